// The console of a server as an operator runs it: what its files say, and what a reload and a stop do.

import { once } from 'node:events'
import { readFileSync, renameSync } from 'node:fs'
import { request } from 'node:https'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { identityOf, keyPairOf, serverOf } from '../sandbox/certificates.ts'
import { auditFilesOf } from '../server-process/audit-log-files.ts'
import { Installation } from '../server-process/installation.ts'
import type { ServerProcess } from '../server-process/server-process.ts'
import { Browser } from './browser.ts'

const admin = keyPairOf('admin')
const app = keyPairOf('app')
const POLICY = { app: { allow: ['/v1/key/watch/*', '/v1/key/list/*'], identities: [identityOf(app)] } }
const ANY_PORT = { address: '127.0.0.1:0' }

let installation: Installation
beforeEach(async () => {
  installation = await Installation.make({ policies: POLICY })
})
afterEach(() => installation[Symbol.dispose]())

function writeConfig(fields: Readonly<Record<string, unknown>>): void {
  const config = JSON.parse(readFileSync(installation.configFile, 'utf8'))
  installation.write('kes.yml', JSON.stringify({ ...config, ...fields }, undefined, 2))
}

function start(workers: number): Promise<ServerProcess> {
  return installation.start(['--config', installation.configFile, '--workers', String(workers)])
}

async function reload(server: ServerProcess): Promise<void> {
  const completed = () => server.stdout.split('after SIGHUP signal completed').length
  const before = completed()
  server.kill('SIGHUP')
  await expect.poll(completed, { timeout: 20_000 }).toBe(before + 1)
}

describe.each([1, 2])('with %i workers', (workers) => {
  test('a reload that takes the policy from an identity ends its sessions and its streams', async () => {
    writeConfig({ console: ANY_PORT })
    await using server = await start(workers)
    const page = await new Browser(server.consoleUrl).login(app)
    const watch = await page.open('GET', '/v1/key/watch/')
    const isCut = new Promise((resolve) => watch.once('close', resolve))
    watch.on('error', () => undefined).resume()
    writeConfig({ console: ANY_PORT, policy: {} })
    await reload(server)
    expect((await page.send('GET', '/v1/key/list/')).json.code).toBe('SessionRequired')
    await server.request('PUT', '/v1/key/create/wakes-the-watch')
    await isCut
    expect((await page.tryLogin(app.privateKey, app.publicKey)).status).toBe(401)
  })

  test('a changed console takes a restart, and a warning says so', async () => {
    const secret = 'a secret that is changed'
    const node = { endpoint: 'http://127.0.0.1:9', access_key: 'a', secret_key: 'b' }
    writeConfig({ console: { ...ANY_PORT, node } })
    await using server = await start(workers)
    await reload(server)
    expect(server.stderr).not.toContain("'console'")
    writeConfig({ console: { ...ANY_PORT, node: { ...node, secret_key: secret } } })
    await reload(server)
    await expect
      .poll(() => server.stderr)
      .toContain("'console' of the config has changed: restart the server")
    expect(server.stdout + server.stderr).not.toContain(secret)
    expect((await new Browser(server.consoleUrl).login(admin)).token).toBeDefined()
  })

  test('a stop ends it with the server, streams and all', async () => {
    writeConfig({ console: ANY_PORT })
    await using server = await start(workers)
    const page = await new Browser(server.consoleUrl).login(admin)
    const log = await page.open('GET', '/v1/log/audit')
    log.on('error', () => undefined).resume()
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })

  test('with an audit file every login and call is in it before it is answered', async () => {
    writeConfig({ console: ANY_PORT, log: { audit: { stdout: 'off', file: installation.auditFile } } })
    await using server = await start(workers)
    const page = await new Browser(server.consoleUrl).login(admin)
    const written = () =>
      auditFilesOf(installation)
        .map((path) => readFileSync(path, 'utf8'))
        .join('')
    expect(written()).toContain('logged in to the console')
    await page.send('PUT', '/v1/key/create/audited')
    expect(written()).toContain('/v1/key/create/audited')
    await page.send('GET', '/console/info')
    expect(written()).toContain('/console/info')
  })
})

test('with TLS it shows the certificate of the server, and a new one when that is replaced', async () => {
  writeConfig({ console: { ...ANY_PORT, tls: true } })
  await using server = await start(1)
  const url = server.consoleUrl
  expect(url).toMatch(/^https:/)
  expect(await curveAt(url)).toBe('prime256v1')
  await expect(curveAt(url, 'TLSv1.2')).rejects.toThrow(/protocol version/)
  const { key, cert } = await serverOf('p384')
  for (const [name, text] of [
    ['server.key', key],
    ['server.crt', cert],
  ] as const) {
    renameSync(installation.write(`${name}.new`, text), join(installation.folder, name))
  }
  await expect.poll(() => curveAt(url), { timeout: 20_000 }).toBe('secp384r1')
})

/** Of the certificate that the console shows to a browser, which gets its nonce. */
async function curveAt(url: string, maxVersion?: 'TLSv1.2'): Promise<string | undefined> {
  const headers = { 'sec-fetch-site': 'same-origin' }
  const sent = request(new URL('/console/nonce', url), {
    method: 'POST',
    ca: installation.ca,
    agent: false,
    headers,
    ...(maxVersion === undefined ? {} : { maxVersion }),
  })
  const [response] = await once(sent.end(), 'response')
  expect(response.statusCode).toBe(200)
  const socket: TLSSocket = response.socket
  const curve = socket.getPeerX509Certificate()?.publicKey.asymmetricKeyDetails?.namedCurve
  response.resume()
  return curve
}

test.each([
  [
    'an address of other machines without TLS',
    { address: '0.0.0.0:0' },
    'is reached from other machines, and has no TLS',
  ],
  [
    'a CA file that is not there',
    { ...ANY_PORT, node: { endpoint: 'https://n:9000', access_key: 'a', secret_key: 'b', ca: '/nowhere' } },
    'stat /nowhere: no such file or directory',
  ],
])('it does not start with %s', async (_, fields, problem) => {
  writeConfig({ console: fields })
  const { code, stderr } = await installation.run()
  expect(code).toBe(1)
  expect(stderr).toContain(problem)
})
