// Who gets into the console, and who does not.
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { identityOf, keyPairOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { Browser, strangerKeys } from './browser.ts'

let server: TestServer
const admin = keyPairOf('admin')
const reader = keyPairOf('reader')

beforeAll(async () => {
  server = await startTestServer({
    console: {},
    policies: { readers: { allow: ['/v1/key/list/*'], identities: [identityOf(reader)] } },
  })
})
afterAll(() => server.stop())

function browser(): Browser {
  return new Browser(server.consoleUrl)
}

describe('a login', () => {
  test('with the key of an API key answers a token, and who it is', async () => {
    const { status, json } = await browser().tryLogin(admin.privateKey, admin.publicKey)
    expect(status).toBe(200)
    expect(json).toEqual({
      token: expect.stringMatching(/^[\w-]{43}$/),
      identity: server.apiKey.identity,
      admin: true,
      policy: null,
      expires_in: 900,
    })
  })

  test('takes the public key in its long form, too', async () => {
    const publicKey = admin.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
    const { status } = await browser().tryLogin(admin.privateKey, admin.publicKey, { publicKey })
    expect(status).toBe(200)
  })

  test('of an identity in a policy tells which', async () => {
    const { json } = await browser().tryLogin(reader.privateKey, reader.publicKey)
    expect(json).toMatchObject({ identity: identityOf(reader), admin: false, policy: 'readers' })
  })

  test('of an identity that the server does not know is refused, and audited with it', async () => {
    const stranger = strangerKeys()
    const { status, json } = await browser().tryLogin(stranger.privateKey, stranger.publicKey)
    expect({ status, json }).toEqual({
      status: 401,
      json: { message: 'the login was refused', code: 'LoginRefused' },
    })
    expect(server.auditLog().at(-1)).toMatchObject({
      msg: 'refused: the login was refused (LoginRefused)',
      req: { method: 'POST', path: '/console/login', identity: identityOf(stranger) },
      res: { code: 401 },
    })
  })

  test('with a nonce that was used is refused', async () => {
    const nonce = await browser().nonce()
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, { nonce })).toMatchObject({
      status: 200,
    })
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, { nonce })).toMatchObject({
      status: 401,
    })
    expect(server.auditLog().at(-1)?.req?.identity).toBe('<unknown>')
  })

  test('with one nonce at the same time succeeds once', async () => {
    const nonce = await browser().nonce()
    const tries = Array.from({ length: 8 }, () =>
      browser().tryLogin(admin.privateKey, admin.publicKey, { nonce }),
    )
    const statuses = (await Promise.all(tries)).map(({ status }) => status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  })

  test.each([
    ['made up', 'A'.repeat(43)],
    ['empty', ''],
    ['of another length', 'AAAA'],
  ])('with a nonce that is %s is refused', async (_, nonce) => {
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, { nonce })).toMatchObject({
      status: 401,
    })
  })

  test('with the nonce of another server is refused', async () => {
    await using other = await startTestServer({ console: {} })
    const nonce = await new Browser(other.consoleUrl).nonce()
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, { nonce })).toMatchObject({
      status: 401,
    })
  })

  test('that was signed for the page of another site is refused', async () => {
    const parts = { origin: 'https://attacker.example' }
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, parts)).toMatchObject({ status: 401 })
  })

  test('with the public key of the admin and the signature of another is refused', async () => {
    const page = await browser().tryLogin(strangerKeys().privateKey, admin.publicKey)
    expect(page.status).toBe(401)
  })

  test.each([
    ['a public key that is no point', { publicKey: Buffer.alloc(32, 0xff).toString('base64') }],
    ['a public key of another kind', { publicKey: Buffer.alloc(91, 1).toString('base64') }],
    ['a short signature', { signature: 'AAAA' }],
    ['a signature of zeros', { signature: Buffer.alloc(64).toString('base64') }],
  ])('with %s is refused', async (_, parts) => {
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, parts)).toMatchObject({ status: 401 })
  })

  test.each([
    ['no JSON', 'nonce'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a field of another type', '{"nonce":1,"public_key":"","signature":""}'],
    ['a field missing', '{"nonce":"","public_key":""}'],
    ['nothing', ''],
  ])('with %s as its body is refused', async (_, body) => {
    expect((await browser().send('POST', '/console/login', { body })).json).toMatchObject({
      code: 'InvalidBody',
    })
  })

  test('with a body that is too large is refused, and its connection closed if there is no end to it', async () => {
    const page = await browser().send('POST', '/console/login', { body: 'x'.repeat(100_000) })
    expect([page.status, page.json.code]).toEqual([413, 'BodyTooLarge'])
    const headers = { 'content-length': 1e12 }
    const endless = await browser().send('POST', '/console/login', { body: 'x'.repeat(100_000), headers })
    expect([endless.status, endless.headers.connection]).toEqual([413, 'close'])
  })
})

describe('without a session', () => {
  test.each([
    ['no token', undefined],
    ['a made-up token', 'A'.repeat(43)],
    ['an empty token', ''],
  ])('nothing is answered: %s', async (_, token) => {
    for (const [method, path] of [
      ['GET', '/console/info'],
      ['GET', '/v1/key/list/'],
      ['PUT', '/v1/key/create/a'],
      ['POST', '/console/policy/explain'],
      ['POST', '/console/logout'],
    ] as const) {
      const page = await browser().send(method, path, { token })
      expect(page.status).toBe(401)
      expect(page.json.code).toBe('SessionRequired')
    }
  })

  test('a token in the query, in a cookie or as another scheme counts for nothing', async () => {
    const { token } = await browser().login(admin)
    const carriers = [
      { path: `/console/info?token=${token}`, headers: {} },
      { path: '/console/info', headers: { cookie: `token=${token}` } },
      { path: '/console/info', headers: { authorization: `Basic ${token}` } },
    ]
    for (const { path, headers } of carriers) {
      expect((await browser().send('GET', path, { headers })).status).toBe(401)
    }
  })

  test('a session that was logged out is none', async () => {
    const page = await browser().login(admin)
    expect((await page.send('POST', '/console/logout')).status).toBe(200)
    expect((await page.send('GET', '/console/info')).status).toBe(401)
  })

  test('a logout ends the streams of its session, and those of no other', async () => {
    const one = await browser().login(admin)
    const other = await browser().login(admin)
    const cut = await one.open('GET', '/v1/key/watch/')
    const kept = await other.open('GET', '/v1/key/watch/')
    const isCut = new Promise((resolve) => cut.once('close', resolve))
    kept.resume()
    cut.resume()
    cut.on('error', () => undefined)
    kept.on('error', () => undefined)
    await one.send('POST', '/console/logout')
    await isCut
    expect(kept.closed).toBe(false)
    await other.send('POST', '/console/logout')
  })
})

describe('requests of other sites', () => {
  test.each([
    ['another origin', { origin: 'https://attacker.example' }],
    ['the null origin of a sandboxed frame', { origin: 'null' }],
    ['the same host over another scheme', { origin: 'https://127.0.0.1' }],
    ['a browser that says cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['a browser that says same-site', { 'sec-fetch-site': 'same-site' }],
  ])('are refused with a valid session, too: %s', async (_, headers) => {
    const page = await browser().login(admin)
    for (const path of ['/console/info', '/v1/key/list/']) {
      const { status, json } = await page.send('GET', path, { headers })
      expect({ status, code: json.code }).toEqual({ status: 403, code: 'WrongOrigin' })
    }
    expect((await page.send('POST', '/console/nonce', { headers })).status).toBe(403)
  })

  test('get no permission from CORS', async () => {
    const page = await browser().send('OPTIONS', '/v1/key/list/', {
      headers: { origin: 'https://attacker.example', 'access-control-request-method': 'GET' },
    })
    expect(page.status).toBe(403)
    expect(Object.keys(page.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  test.each(['attacker.example', 'attacker.example:80', '127.0.0.1', '127.0.0.1:1'])(
    'that come by a name of their own are refused, as DNS rebinding would have it: %j',
    async (host) => {
      const page = await browser().login(admin)
      for (const path of ['/', '/console/info', '/v1/key/list/']) {
        expect((await page.send('GET', path, { headers: { host } })).status).toBe(421)
      }
    },
  )

  test("a page opened by the machine's other name is sent to the console's own, and its calls are refused", async () => {
    const host = `localhost:${new URL(server.consoleUrl).port}`
    const page = await browser().send('GET', '/', { headers: { host } })
    expect(page.status).toBe(307)
    expect(page.headers.location).toBe(server.consoleUrl)
    expect((await browser().send('POST', '/console/nonce', { headers: { host } })).status).toBe(421)
  })
})

describe('a hostile client', () => {
  test('that never ends its headers loses its connection', async () => {
    const socket = connect(Number(new URL(server.consoleUrl).port), '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: ')
    await new Promise((resolve) => socket.once('close', resolve).resume())
  })

  test('that never ends its body is answered 408, and is no burden to others', async () => {
    const { host, port } = new URL(server.consoleUrl)
    const socket = connect(Number(port), '127.0.0.1')
    let answer = ''
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.write(`POST /console/login HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\n{`)
    await delay(50)
    expect((await browser().send('POST', '/console/nonce')).status).toBe(200)
    await new Promise((resolve) => socket.once('close', resolve))
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  }, 30_000)

  test('that asks for thousands of nonces takes nothing from the login of another', async () => {
    const nonce = await browser().nonce()
    for (let asked = 0; asked < 2000; asked += 50) {
      await Promise.all(Array.from({ length: 50 }, () => browser().send('POST', '/console/nonce')))
    }
    expect(await browser().tryLogin(admin.privateKey, admin.publicKey, { nonce })).toMatchObject({
      status: 200,
    })
  })

  test('that logs in again and again has no more than the last sessions', async () => {
    const tokens: string[] = []
    for (let made = 0; made < 25; made += 1) tokens.push((await browser().login(reader)).token ?? '')
    const page = browser()
    const statuses: number[] = []
    for (const token of tokens) statuses.push((await page.send('GET', '/v1/key/list/', { token })).status)
    expect(statuses.filter((status) => status === 200)).toHaveLength(20)
    expect(statuses.at(-1)).toBe(200)
  })

  test.each([
    ['http://attacker.example/v1/key/list/', 404],
    ['//attacker.example/v1/key/list/', 404],
    ['*', 404],
    ['/console', 404],
    ['/console/', 404],
    ['/console/../v1/key/list/', 404],
    ['/console/%69nfo', 404],
  ])('gets nothing by the odd target %s', async (path, status) => {
    const page = await browser().login(admin)
    expect((await page.send('GET', path)).status).toBe(status)
  })

  test('with a method that a call has not is told which it has', async () => {
    const page = await browser().send('GET', '/console/nonce')
    expect({ status: page.status, allow: page.headers.allow }).toEqual({ status: 405, allow: 'POST' })
  })
})
