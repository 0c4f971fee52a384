/** The manifests for Kubernetes: they are what Kubernetes takes, fit together, and their config serves their probes. */
import { spawnSync } from 'node:child_process'
import { chmodSync, readdirSync, readFileSync } from 'node:fs'
import { get } from 'node:https'
import { join, resolve } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { pythonWith } from '../storage-node/clients/python.ts'
import { Installation } from './installation.ts'
import { requireOfServer, runKes, type ServerProcess } from './server-process.ts'

const FOLDER = resolve(import.meta.dirname, '../../deploy/kubernetes')
const NAMES = { 'app.kubernetes.io/name': 'latchkey' }

/** Kubernetes reads YAML 1.1, where 0440 is octal. */
const parse = (name: string) =>
  requireOfServer('yaml').parse(readFileSync(join(FOLDER, name), 'utf8'), { version: '1.1' })

const set = parse('stateful-set.yml')
const { spec: pod } = set.spec.template
const [server] = pod.containers
const config = parse('config.yml')

let installation: Installation

beforeEach(async () => {
  installation = await Installation.make()
})

afterEach(() => installation[Symbol.dispose]())

test('kustomize applies every file, and none is missing', () => {
  const { resources } = parse('kustomization.yml')
  const files = readdirSync(FOLDER).filter((name) => name !== 'kustomization.yml')
  expect(resources.toSorted()).toEqual(files.sort())
})

test('Kubernetes knows every field', ({ skip }) => {
  const python = pythonWith('kubernetes_validate')
  if (python === undefined) {
    const reason = 'no Python on this machine has kubernetes_validate'
    if (process.env.CI) throw new Error(reason)
    skip(reason)
    return
  }
  const files = parse('kustomization.yml').resources.map((name: string) => join(FOLDER, name))
  const { status, stdout, stderr } = spawnSync(
    python,
    ['-m', 'kubernetes_validate', '--strict', '--quiet', ...files],
    {
      encoding: 'utf8',
    },
  )
  expect(status, stdout + stderr).toBe(0)
})

test('the manifests name each other rightly', () => {
  const service = parse('service.yml')
  const policy = parse('network-policy.yml')
  const budget = parse('pod-disruption-budget.yml')
  expect(set.spec.serviceName).toBe(service.metadata.name)
  for (const labels of [
    set.spec.template.metadata.labels,
    set.spec.selector.matchLabels,
    service.spec.selector,
    policy.spec.podSelector.matchLabels,
    budget.spec.selector.matchLabels,
  ]) {
    expect(labels).toEqual(NAMES)
  }
  const [port] = server.ports
  expect([service.spec.ports[0].targetPort, policy.spec.ingress[0].ports[0].port]).toEqual([
    port.name,
    port.name,
  ])
  expect(requireOfServer('yaml').parse(config.data['kes.yml']).address).toBe(`0.0.0.0:${port.containerPort}`)
  const mounted = server.volumeMounts.map(({ name }: { name: string }) => name)
  const volumes = [
    ...pod.volumes,
    ...set.spec.volumeClaimTemplates.map(({ metadata }: typeof set) => metadata),
  ]
  expect(mounted.toSorted()).toEqual(volumes.map(({ name }: { name: string }) => name).sort())
  // A mount inside of another one that is read-only can't be made.
  const paths: string[] = server.volumeMounts.map(({ mountPath }: { mountPath: string }) => mountPath)
  expect(paths.filter((path) => paths.some((other) => path.startsWith(`${other}/`)))).toEqual([])
  expect(pod.volumes[0].configMap.name).toBe(config.metadata.name)
})

test('the pod has no rights, one replica, and one place to write to', () => {
  expect(set.spec.replicas).toBe(1)
  expect(pod.securityContext).toMatchObject({
    runAsNonRoot: true,
    seccompProfile: { type: 'RuntimeDefault' },
  })
  expect(server.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  })
  expect(pod.automountServiceAccountToken).toBe(false)
  const writable = server.volumeMounts.filter(({ readOnly }: { readOnly?: boolean }) => !readOnly)
  expect(writable.map(({ name }: { name: string }) => name)).toEqual(['data'])
  for (const volume of pod.volumes) expect(volume.secret?.defaultMode ?? 0o440).toBe(0o440)
})

/** Answers as the kubelet hears them: without a client certificate, and whatever the server's certificate is. */
function probe(running: ServerProcess, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host: '127.0.0.1', port: running.port, path, rejectUnauthorized: false, agent: false },
      (reply) => {
        reply.resume()
        resolve(reply.statusCode)
      },
    )
    request.once('error', reject)
  })
}

test('a server with the config of the manifests answers their probes, and nobody else without an identity', async () => {
  const { identity } = await clientOf('minio')
  const env = { KES_ADMIN_IDENTITY: installation.admin.identity, MINIO_IDENTITY: identity }
  const wanted = server.env.map(({ name }: { name: string }) => name)
  expect(wanted.toSorted()).toEqual(Object.keys(env).sort())
  const passphrase = installation.write('passphrase', 'correct horse battery staple')
  chmodSync(passphrase, 0o440)
  const text: string = config.data['kes.yml']
  const file = installation.write(
    'kubernetes.yml',
    text
      .replace('0.0.0.0:7373', '127.0.0.1:0')
      .replace('/etc/latchkey/tls/tls.key', join(installation.folder, 'server.key'))
      .replace('/etc/latchkey/tls/tls.crt', join(installation.folder, 'server.crt'))
      .replace('/etc/latchkey/secret/passphrase', passphrase)
      .replace('/var/lib/latchkey', installation.folder),
  )
  expect((await runKes(['config', 'check', file], { env })).stdout).toContain('no problems found')
  const [command, flag] = server.args
  await using running = await installation.start([flag, file], { env })
  expect(command).toBe('server')
  for (const { httpGet } of [server.startupProbe, server.livenessProbe, server.readinessProbe]) {
    expect(httpGet).toMatchObject({ port: 'kes', scheme: 'HTTPS' })
    expect(await probe(running, httpGet.path)).toBe(200)
  }
  expect(await probe(running, '/v1/status')).toBe(400)
  const minio = await clientOf('minio')
  expect((await running.request('PUT', '/v1/key/create/minio-default', { as: minio })).status).toBe(200)
  expect((await running.request('PUT', '/v1/key/generate/minio-default', { as: minio })).status).toBe(200)
  expect((await running.request('GET', '/v1/status', { as: minio })).status).toBe(200)
  expect(await running.stop()).toEqual({ code: 0, signal: null })
})
