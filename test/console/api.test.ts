// The key server's API through the console: the same answers, policies and events as over mutual TLS.
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Secret } from '../../packages/kes-server/src/config/secret.ts'
import { clientOf, identityOf, keyPairOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer, type TestServerOptions } from '../sandbox/server.ts'
import { jsonOf } from '../wire/replies.ts'
import { Browser } from './browser.ts'

const admin = keyPairOf('admin')
const auditor = keyPairOf('auditor')
const NO_USE = 'this API is not offered to the console'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-console-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

let stores = 0
function optionsOf(workers: number): TestServerOptions {
  stores += 1
  return {
    console: {},
    workers,
    keystore: {
      type: 'sqlite',
      path: join(folder, `${stores}.db`),
      unseal: { type: 'passphrase', passphrase: new Secret('a passphrase of some length') },
      argon2: { memoryBytes: 8 << 20, passes: 1, parallelism: 1 },
    },
    policies: {
      auditors: {
        allow: ['/v1/key/list/*', '/v1/identity/describe/*'],
        deny: ['/v1/key/list/secret*'],
        identities: [identityOf(auditor)],
      },
    },
  }
}

describe.each([1, 2])('with %i workers', (workers) => {
  let server: TestServer
  let page: Browser

  beforeAll(async () => {
    server = await startTestServer(optionsOf(workers))
    page = await new Browser(server.consoleUrl).login(admin)
  })
  afterAll(() => server.stop())

  test('a key is made, listed, described, disabled, enabled and erased', async () => {
    expect(await page.send('PUT', '/v1/key/create/life')).toMatchObject({ status: 200, text: '' })
    const { json: described } = await page.send('GET', '/v1/key/describe/life')
    expect(described).toMatchObject({ name: 'life', state: 'enabled', created_by: server.apiKey.identity })
    const { json: listed } = await page.send('GET', '/v1/key/list/life*?details=true')
    expect(listed).toMatchObject({ keys: [{ name: 'life' }] })
    expect((await page.send('PUT', '/v1/key/disable/life')).status).toBe(200)
    expect((await page.send('GET', '/v1/key/describe/life')).json.state).toBe('disabled')
    expect((await page.send('PUT', '/v1/key/enable/life')).status).toBe(200)
    const erased = await page.send('DELETE', '/v1/key/delete/life?receipt=true')
    expect(erased.status).toBe(200)
    const receipt = '/v1/key/history/life?receipt=true'
    expect((await page.send('GET', receipt)).json).toEqual(erased.json)
    expect(jsonOf(await server.request('GET', receipt))).toEqual(erased.json)
    expect((await page.send('GET', '/v1/key/describe/life')).json).toMatchObject({ code: 'KeyNotFound' })
  })

  test('a key that was disabled over the console is refused over mutual TLS as soon as the console has answered', async () => {
    await page.send('PUT', '/v1/key/create/barrier')
    for (let round = 0; round < 20; round += 1) {
      expect((await server.request('PUT', '/v1/key/generate/barrier', { body: {} })).status).toBe(200)
      expect((await page.send('PUT', '/v1/key/disable/barrier')).status).toBe(200)
      const uses = Array.from({ length: 4 }, () =>
        server.request('PUT', '/v1/key/generate/barrier', { body: {}, protocol: 'http/1.1' }),
      )
      for (const use of await Promise.all(uses)) expect(use.status).toBe(403)
      expect((await page.send('PUT', '/v1/key/enable/barrier')).status).toBe(200)
    }
  })

  test('an import goes through, and shows in no answer and no log', async () => {
    const key = Buffer.alloc(32, 0x5a)
    server.secrets.addBody(Buffer.from(JSON.stringify({ key: key.toString('base64'), cipher: 'AES256' })))
    const body = { key: key.toString('base64'), cipher: 'AES256' }
    expect((await page.send('PUT', '/v1/key/import/imported', { body })).status).toBe(200)
    const calls = ['describe/imported', 'history/imported', 'list/', 'list/?details=true'].map(
      (call) => `key/${call}`,
    )
    const others = ['status', 'metrics', 'metrics/latchkey', 'api', 'policy/list/', 'identity/list/']
    const trusted = ['journal/head', 'journal/entries', 'seal/describe']
    for (const path of [...calls, ...others, ...trusted].map((call) => `/v1/${call}`)) {
      const { status, body: answer } = await page.send('GET', path)
      expect(status).toBe(200)
      for (const form of [key, key.toString('base64'), key.toString('hex')]) {
        expect(answer.includes(form)).toBe(false)
      }
    }
  })

  test.each([
    ['PUT', '/v1/key/generate/life'],
    ['POST', '/v1/key/generate/life'],
    ['PUT', '/v1/key/decrypt/life'],
    ['PUT', '/v1/key/encrypt/life'],
    ['PUT', '/v1/key/hmac/life'],
    ['PUT', '/v1/key/%67enerate/life'],
    ['PUT', '/v1/seal/add-slot'],
    ['PUT', '/v1/seal/change-passphrase'],
    ['PUT', '/v1/seal/remove-slot/1'],
    ['PUT', '/v1/seal/rotate-root'],
    ['PUT', '/v1/backup/create'],
    ['GET', '/v1/backup/read/x'],
    ['PUT', '/v1/backup/drop/x'],
  ])('%s %s is refused: a session uses no keys and moves no secrets', async (method, path) => {
    const { status, json } = await page.send(method, path, method === 'GET' ? {} : { body: {} })
    expect({ status, json }).toEqual({ status: 403, json: { message: NO_USE, code: 'NotInConsole' } })
  })

  test('an event names the identity of the session and the address of the browser', async () => {
    await page.send('GET', '/v1/key/describe/nowhere')
    await expect
      .poll(() => server.auditLog().find(({ req }) => req?.path === '/v1/key/describe/nowhere'))
      .toMatchObject({
        msg: 'refused: key does not exist (KeyNotFound)',
        req: { method: 'GET', ip: '127.0.0.1', identity: server.apiKey.identity },
        res: { code: 404 },
      })
  })

  test('policies hold as over mutual TLS', async () => {
    const other = await new Browser(server.consoleUrl).login(auditor)
    expect((await other.send('GET', '/v1/key/list/a*')).status).toBe(200)
    expect((await other.send('GET', '/v1/key/list/secret*')).json).toMatchObject({ code: 'NotAllowed' })
    expect((await other.send('PUT', '/v1/key/create/a')).json).toMatchObject({ code: 'NotAllowed' })
  })

  test('sessions on one connection are not taken for one another', async () => {
    const { Agent, request } = await import('node:http')
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const other = await new Browser(server.consoleUrl).login(auditor)
    const whoami = async (token: string | undefined) => {
      const url = `${server.consoleUrl}v1/identity/self/describe`
      const sent = request(url, { agent, headers: { authorization: `Bearer ${token}` } }).end()
      const [response] = await once(sent, 'response')
      let text = ''
      for await (const chunk of response) text += chunk
      return JSON.parse(text).identity
    }
    for (let round = 0; round < 3; round += 1) {
      expect(await whoami(page.token)).toBe(server.apiKey.identity)
      expect(await whoami(other.token)).toBe(identityOf(auditor))
    }
    agent.destroy()
  })

  test('a watch tells of changes made by others', async () => {
    const watch = await page.open('GET', '/v1/key/watch/seen*')
    const lines = createInterface(watch)[Symbol.asyncIterator]()
    await server.request('PUT', '/v1/key/create/seen')
    for (;;) {
      const { value } = await lines.next()
      if (value?.includes('"seen"')) break
    }
    watch.destroy()
  })

  test('the audit log streams what every process answers, and stops when its reader goes', async () => {
    const log = await page.open('GET', '/v1/log/audit')
    const lines = createInterface(log)[Symbol.asyncIterator]()
    const client = await clientOf('admin')
    for (let sent = 0; sent < 4; sent += 1) {
      // Connections of their own, so that each worker has some.
      using connection = await server
        .connect({ as: client, ALPNProtocols: ['http/1.1'] })
        .then((socket) => Object.assign(socket, { [Symbol.dispose]: () => void socket.destroy() }))
      connection.write(`GET /v1/key/describe/audited-${sent} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await once(connection, 'data')
    }
    await page.send('GET', '/v1/key/describe/audited-console')
    const missing = new Set([0, 1, 2, 3].map((sent) => `audited-${sent}`).concat('audited-console'))
    while (missing.size > 0) {
      const { value = '' } = await lines.next()
      for (const name of missing) if (value.includes(name)) missing.delete(name)
    }
    log.destroy()
    expect((await page.send('GET', '/v1/metrics')).text).toContain('kes_log_audit_events')
  })

  test('the console tells what it is', async () => {
    const { json } = await page.send('GET', '/console/info')
    expect(json).toMatchObject({
      endpoint: server.url,
      workers,
      identity: server.apiKey.identity,
      admin: true,
      policy: null,
      node: null,
      sandbox: false,
    })
    expect(Date.parse(String(json.certificate_expires))).toBeGreaterThan(Date.now())
  })

  test('it explains which rule decides, to those who may read the policy', async () => {
    const question = { identity: identityOf(auditor), method: 'GET', path: '/v1/key/list/secret-1' }
    const { json } = await page.send('POST', '/console/policy/explain', { body: question })
    expect(json).toEqual({
      allowed: false,
      policy: 'auditors',
      status: 403,
      reason: "rule '/v1/key/list/secret*' of policy 'auditors' denies it",
      rule: '/v1/key/list/secret*',
      hint: expect.stringContaining("take '/v1/key/list/secret*' out of 'deny'"),
    })
    const other = await new Browser(server.consoleUrl).login(auditor)
    expect((await other.send('POST', '/console/policy/explain', { body: question })).json.code).toBe(
      'NotAllowed',
    )
    const stranger = { ...question, identity: 'f'.repeat(64) }
    expect((await other.send('POST', '/console/policy/explain', { body: stranger })).json.reason).toBe(
      'the identity has no policy',
    )
  })

  test('a stop cuts streams and takes no request more', async () => {
    const own = await startTestServer(optionsOf(workers))
    const browser = await new Browser(own.consoleUrl).login(admin)
    const watch = await browser.open('GET', '/v1/key/watch/')
    watch.on('error', () => undefined).resume()
    const isCut = new Promise((resolve) => watch.once('close', resolve))
    await own.stop()
    await isCut
    await expect(browser.send('GET', '/console/info')).rejects.toThrow('ECONNREFUSED')
  })
})

test.each([1, 2])(
  'a server of %i that can not listen for its console leaves nothing open',
  async (workers) => {
    await using first = await startTestServer(optionsOf(1))
    const port = Number(new URL(first.consoleUrl).port)
    const options = { ...optionsOf(workers), console: { address: { host: '127.0.0.1', port } } }
    await expect(startTestServer(options)).rejects.toThrow(
      `the console can not listen on 127.0.0.1:${port}, the config's 'console.address': another program listens there`,
    )
    await using second = await startTestServer({ ...options, console: {} }) // The store is free.
    expect(second.consoleUrl).not.toBe(first.consoleUrl)
  },
)
