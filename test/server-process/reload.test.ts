/** A running server takes over another config on SIGHUP, and other certificate files by itself. */
import { readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Credentials, clientOf, serverOf } from '../sandbox/certificates.ts'
import { openConnection, PROTOCOLS } from '../sandbox/connection.ts'
import { Installation } from './installation.ts'
import { closed, type ServerProcess, sleep } from './server-process.ts'

/**
 * Reloads under load, each with a swap of the certificate. CI makes few; this makes a thousand:
 * `RELOADS=1000 npm test -- test/server-process/reload.test.ts -t 'no request fails'`
 */
const RELOADS = Number(process.env.RELOADS ?? 12)
const GENERATE = '/v1/key/generate/my-key'
const DESCRIBE = '/v1/key/describe/my-key'

let installation: Installation
let app: Credentials

beforeEach(async () => {
  app = await clientOf('app')
  installation = await Installation.make({
    keys: ['my-key'],
    policies: { app: { allow: ['/v1/key/generate/*', '/v1/log/error'], identities: [app.identity] } },
  })
})

afterEach(() => installation[Symbol.dispose]())

/** Replaces fields at the top of the config file. */
function writeConfig(fields: Readonly<Record<string, unknown>>): void {
  const config = JSON.parse(readFileSync(installation.configFile, 'utf8'))
  installation.write('kes.yml', JSON.stringify({ ...config, ...fields }, undefined, 2))
}

const policyOf = (...allow: string[]) => ({ app: { allow, identities: [app.identity] } })

/** In one step, as whoever cares for running programs does it. */
function replaceFile(name: string, content: string): void {
  const written = installation.write(`${name}.new`, content)
  renameSync(written, join(installation.folder, name))
}

async function writeCredentials(type: 'p256' | 'p384'): Promise<void> {
  const { key, cert } = await serverOf(type)
  replaceFile('server.key', key)
  replaceFile('server.crt', cert)
}

/** The curve of the certificate that the server shows to a new connection. */
async function shownCurve(server: ServerProcess): Promise<string | undefined> {
  const socket = await server.connect()
  const curve = socket.getPeerX509Certificate()?.publicKey.asymmetricKeyDetails?.namedCurve
  socket.destroy()
  return curve
}

const completed = (server: ServerProcess) => server.stdout.split('after SIGHUP signal completed').length - 1

async function reload(server: ServerProcess): Promise<void> {
  const before = completed(server)
  server.kill('SIGHUP')
  await expect.poll(() => completed(server), { timeout: 20_000, interval: 20 }).toBe(before + 1)
}

const statusOf = async (server: ServerProcess, path: string, as?: Credentials | null) =>
  (await server.request(path === GENERATE ? 'PUT' : 'GET', path, as === undefined ? {} : { as })).status

const start = (workers: number) =>
  installation.start(['--config', installation.configFile, '--workers', String(workers)])

describe.each([1, 2])('a server of %i processes that serve', (workers) => {
  test('SIGHUP brings policies, admin and predefined keys of the file into force', async () => {
    await using server = await start(workers)
    const next = await clientOf('next admin')
    expect(await statusOf(server, GENERATE, app)).toBe(200)
    expect(await statusOf(server, DESCRIBE, app)).toBe(403)
    expect(await statusOf(server, DESCRIBE, next)).toBe(403)
    writeConfig({
      admin: { identity: next.identity },
      policy: policyOf('/v1/key/describe/*'),
      keys: [{ name: 'other-key' }],
    })
    expect(await statusOf(server, GENERATE, app)).toBe(200)
    await reload(server)
    expect(server.stdout).toMatch(new RegExp(`^Admin +${next.identity}$`, 'm'))
    for (let connection = 0; connection < 2 * workers; connection += 1) {
      server.closeConnections()
      expect(await statusOf(server, GENERATE, app)).toBe(403)
      expect(await statusOf(server, DESCRIBE, app)).toBe(200)
      expect(await statusOf(server, '/v1/key/describe/other-key', next)).toBe(200)
      expect(await statusOf(server, DESCRIBE)).toBe(403)
    }
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })

  test('a connection that is open goes by the new rules, and a log stream ends with its right', async () => {
    await using server = await start(workers)
    expect(await statusOf(server, GENERATE, app)).toBe(200)
    const readers = [await server.connect({ as: app }), await server.connect()]
    for (const reader of readers) {
      reader.write('GET /v1/log/error HTTP/1.1\r\nHost: kes\r\n\r\n')
      await new Promise((resolve) => reader.once('data', resolve))
    }
    const [ofApp, ofAdmin] = readers
    writeConfig({ policy: policyOf('/v1/key/describe/*') })
    await reload(server)
    expect(await statusOf(server, GENERATE, app)).toBe(403)
    if (ofApp !== undefined) await closed(ofApp)
    expect(ofAdmin?.destroyed).toBe(false)
    ofAdmin?.destroy()
  })

  test('SIGHUP brings APIs and log levels of the file into force', async () => {
    await using server = await start(workers)
    await expect(statusOf(server, '/version', null)).rejects.toThrow()
    writeConfig({
      api: { '/v1/status': { skip_auth: true, timeout: '7s' } },
      log: { error: 'WARN', audit: 'off' },
    })
    await reload(server)
    server.closeConnections()
    expect(await statusOf(server, '/v1/status', null)).toBe(200)
    const { rawBody } = await server.request('GET', '/v1/api')
    expect(JSON.parse(rawBody.toString())).toContainEqual(
      expect.objectContaining({ path: '/v1/status', timeout: 7 }),
    )
    await sleep(300) // For the audit log, which is written a little later.
    expect(server.auditLog().filter(({ req }) => req.path === '/v1/api')).toEqual([])
    const lines = server.stderr.length
    await server.request('GET', DESCRIBE, { as: app }) // Whose refusal is logged at level INFO.
    await sleep(100)
    expect(server.stderr.slice(lines)).toBe('')
  })

  test('a config that can not be used changes nothing, and the log says why', async () => {
    await using server = await start(workers)
    const before = readFileSync(installation.configFile, 'utf8')
    writeConfig({ policy: policyOf('/v1/key/describe/*'), admin: {}, adress: 'x' })
    server.kill('SIGHUP')
    await expect.poll(() => server.stderr).toContain('the old configuration stays in force')
    expect(server.stderr).toContain('SIGHUP signal received. Reloading configuration...')
    expect(server.stderr).toMatch(/kes\.yml:\d+:\d+: error: /)
    installation.write('kes.yml', before)
    writeConfig({ policy: policyOf('/v1/key/describe/*'), tls: { key: 'nowhere.key', cert: 'nowhere.crt' } })
    server.kill('SIGHUP')
    await expect.poll(() => server.stderr).toContain('open nowhere.key: no such file or directory')
    expect(completed(server)).toBe(0)
    expect(await statusOf(server, GENERATE, app)).toBe(200)
    expect(await statusOf(server, DESCRIBE, app)).toBe(403)
    installation.write('kes.yml', before)
    await reload(server)
  })

  test('what takes effect at a restart only is named', async () => {
    await using server = await start(workers)
    writeConfig({
      address: '127.0.0.1:1',
      keystore: { sqlite: { path: join(installation.folder, 'other.db'), key_file: installation.keyFile } },
      keys: { deletion: { waiting_period: '7d' }, erased_names: 'free', predefined: [] },
      log: { audit: { file: installation.auditFile } },
    })
    await reload(server)
    await reload(server)
    for (const field of ['address', 'keystore', 'keys.deletion', 'keys.erased_names', 'log.audit.file']) {
      const warning = `'${field}' of the config has changed: restart the server for it to take effect`
      await expect.poll(() => server.stderr.split(warning)).toHaveLength(3) // Once for each reload.
    }
    expect(server.stderr).not.toContain("'workers'")
    expect(await statusOf(server, GENERATE, app)).toBe(200)
  })

  test('changed certificate files are in use soon, and ones that do not fit never', async () => {
    await using server = await start(workers)
    expect(await shownCurve(server)).toBe('prime256v1')
    replaceFile('server.key', (await serverOf('p384')).key)
    await expect.poll(() => server.stderr).toContain('private key does not match public key')
    expect(server.stderr).toContain('the old certificates stay in use')
    expect(await shownCurve(server)).toBe('prime256v1')
    await writeCredentials('p384')
    await expect.poll(() => shownCurve(server), { timeout: 20_000 }).toBe('secp384r1')
    for (let connection = 0; connection < 2 * workers; connection += 1) {
      await expect.poll(() => shownCurve(server)).toBe('secp384r1')
    }
  })

  test('authorities that are changed decide on the connections that come', async () => {
    const { ca } = installation
    installation.write('ca.crt', ca)
    const files = {
      key: join(installation.folder, 'server.key'),
      cert: join(installation.folder, 'server.crt'),
    }
    writeConfig({ tls: { ...files, auth: 'on', ca: join(installation.folder, 'ca.crt') } })
    await using server = await start(workers)
    await expect(statusOf(server, GENERATE)).rejects.toThrow()
    replaceFile('ca.crt', installation.admin.cert) // Self-signed: an authority of its own.
    const reached = () => {
      server.closeConnections()
      return statusOf(server, GENERATE).catch(() => 0)
    }
    await expect.poll(reached, { timeout: 20_000 }).toBe(200)
    for (let connection = 0; connection < 2 * workers; connection += 1) await expect.poll(reached).toBe(200)
  })

  test(
    `no request fails while config and certificate are replaced ${RELOADS} times`,
    async ({ annotate }) => {
      await using server = await start(workers)
      await reload(server)
      const replies = new Map<unknown, number>()
      let isLoaded = true
      const count = (reply: unknown) => replies.set(reply, (replies.get(reply) ?? 0) + 1)
      /** Half of the requests on a connection that lasts, half on a new one. */
      const load = async (protocol: (typeof PROTOCOLS)[number]) => {
        const lasting = openConnection(protocol, server.tlsOptions(app))
        while (isLoaded) {
          const fresh = openConnection(protocol, server.tlsOptions(app))
          for (const connection of [lasting, fresh]) {
            const sent = connection.send({
              method: 'PUT',
              path: GENERATE,
              headers: {},
              body: undefined,
            })
            count(await sent.then(({ status }) => status).catch(String))
          }
          fresh.close()
        }
        lasting.close()
      }
      const loads = PROTOCOLS.map(load)
      const startedMs = performance.now()
      const held: { readonly memory: number; readonly handles: number }[] = []
      let slowestMs = 0
      for (let round = 0; round < RELOADS; round += 1) {
        const [type, curve] =
          round % 2 === 0 ? (['p384', 'secp384r1'] as const) : (['p256', 'prime256v1'] as const)
        await writeCredentials(type)
        writeConfig({ policy: policyOf('/v1/key/generate/*', `/v1/key/list/${round}`) })
        const writtenMs = performance.now()
        // Every other pair of certificates is left for the server to notice.
        const isNoticed = round % 4 >= 2
        if (!isNoticed) await reload(server)
        await expect.poll(() => shownCurve(server), { timeout: 20_000, interval: 20 }).toBe(curve)
        if (isNoticed) slowestMs = Math.max(slowestMs, performance.now() - writtenMs)
        held.push({ memory: server.memory(), handles: server.fileDescriptors() })
      }
      const seconds = (performance.now() - startedMs) / 1000
      isLoaded = false
      await Promise.all(loads)
      const [early, late] = [held.slice(RELOADS / 4, RELOADS / 2), held.slice(-RELOADS / 4)]
      const mebibytes = [early, late].map((part) => median(part.map(({ memory }) => memory)) / 2 ** 20)
      const handles = [early, late].map((part) => median(part.map((each) => each.handles)))
      await annotate(
        `${RELOADS} in ${seconds.toFixed(0)} s under ${replies.get(200)} requests, each answered 200: ` +
          `${replies.size === 1}; memory ${mebibytes.map((each) => each.toFixed(0)).join(' -> ')} MiB, ` +
          `handles ${handles.join(' -> ')}; a new certificate was shown within ${slowestMs.toFixed(0)} ms`,
      )
      expect([...replies.keys()]).toEqual([200])
      expect(replies.get(200)).toBeGreaterThan(RELOADS)
      const [earlyHandles = 0, lateHandles] = handles
      expect(lateHandles).toBeLessThanOrEqual(earlyHandles + 4)
      const [earlyMebibytes = 0, lateMebibytes] = mebibytes
      expect(lateMebibytes).toBeLessThanOrEqual(earlyMebibytes * 1.1 + 32) // A heap grows and shrinks by as much.
      expect(server.stderr).not.toContain('"level":"ERROR"')
      expect(await server.stop()).toEqual({ code: 0, signal: null })
    },
    60_000 + RELOADS * 2_000,
  )
})

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
