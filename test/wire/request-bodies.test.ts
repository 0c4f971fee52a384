/** How much, and how little, of a request's body KES reads: sections 5 and 6 of its protocol. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  PROTOCOLS,
  type Reply,
  type RequestOptions,
  startTestServer,
  type TestServer,
} from '../sandbox/server.ts'
import { exchange, statusesOf } from './raw-http.ts'
import { base64, expectEmpty, expectError, jsonOf, textOf } from './replies.ts'

const BODY_BYTES_MAX = 1_000_000

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ keys: ['my-key'] })
})

afterAll(() => server.stop())

function expectInvalid(reply: Reply, api: string): void {
  const message = api === 'import' ? 'invalid import key request body' : 'invalid request body'
  expectError(reply, 400, message, 'InvalidBody')
}

/** A JSON text of exactly `length` bytes, whose last byte closes it. */
function bodyOfLength(length: number, field = 'plaintext'): Buffer {
  const head = `{"${field}":"`
  const room = length - head.length - 2
  return Buffer.from(`${' '.repeat(room % 4)}${head}${'A'.repeat(room - (room % 4))}"}`)
}

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const ask = (api: string, options: RequestOptions = {}) =>
    server.request('PUT', `/v1/key/${api}/my-key`, { protocol, ...options })

  /** The plaintext that the server took from the body. */
  async function encrypted(body: RequestOptions['body'], headers = {}): Promise<string> {
    const reply = await ask('encrypt', { body, headers })
    if (reply.status !== 200) return `${reply.status} ${JSON.parse(textOf(reply)).code}`
    const { ciphertext } = jsonOf<{ ciphertext: string }>(reply)
    for (const context of [undefined, base64('ctx')]) {
      const decrypted = await ask('decrypt', { body: { ciphertext, context } })
      if (decrypted.status !== 200) continue
      const { plaintext } = jsonOf<{ plaintext: string }>(decrypted)
      return `${Buffer.from(plaintext, 'base64')}${context === undefined ? '' : ' with ctx'}`
    }
    return 'something else'
  }

  test.each(['import', 'encrypt', 'decrypt', 'hmac'])('%s without a body is refused', async (api) => {
    for (const body of [undefined, '', [Buffer.alloc(0)], ' ', '\n\t '])
      expectInvalid(await ask(api, { body }), api)
  })

  test('generate takes no body and a body of length 0, but none that is chunked and empty', async () => {
    expect((await ask('generate')).status).toBe(200)
    expect((await ask('generate', { body: '', headers: { 'content-length': 0 } })).status).toBe(200)
    expectInvalid(await ask('generate', { body: [Buffer.alloc(0)] }), 'generate')
    expectInvalid(await ask('generate', { body: ' ' }), 'generate')
  })

  test.each(['{}', 'null', '{"context":null}', '{"context":""}', '{"context":[]}'])(
    'generate takes %s as no context',
    async (body) => {
      const { plaintext, ciphertext } = jsonOf<{ plaintext: string; ciphertext: string }>(
        await ask('generate', { body }),
      )
      expect(jsonOf(await ask('decrypt', { body: { ciphertext } }))).toEqual({ plaintext })
    },
  )

  test.each(['import', 'generate', 'encrypt', 'decrypt', 'hmac'])(
    '%s takes 1,000,000 bytes and refuses one more',
    async (api) => {
      const field = {
        import: 'version',
        generate: 'context',
        encrypt: 'plaintext',
        decrypt: 'ciphertext',
        hmac: 'message',
      }
      const name = field[api as keyof typeof field]
      const accepted = await ask(api, { body: bodyOfLength(BODY_BYTES_MAX, name) })
      expect(textOf(accepted)).not.toContain('InvalidBody')
      expectInvalid(await ask(api, { body: bodyOfLength(BODY_BYTES_MAX + 1, name) }), api)
      expect((await ask('generate')).status).toBe(200)
    },
  )

  test('the limit holds where the client tells no length', async () => {
    const chunked = (length: number) => {
      const body = bodyOfLength(length, 'context')
      return [body.subarray(0, 1), body.subarray(1, 400_000), body.subarray(400_000)]
    }
    expect((await ask('generate', { body: chunked(BODY_BYTES_MAX) })).status).toBe(200)
    expectInvalid(await ask('generate', { body: chunked(BODY_BYTES_MAX + 1) }), 'generate')
  })

  test('a small document before more than 1 MB of padding is accepted', async () => {
    for (const padding of [' ', 'x', '\u0000', '}']) {
      const body = Buffer.concat([
        Buffer.from(`{"plaintext":"${base64('hi')}"}`),
        Buffer.alloc(1_500_000, padding),
      ])
      expect(await encrypted(body)).toBe('hi')
    }
  })

  test('a body without a length, in any pieces, is one body', async () => {
    const body = Buffer.from(`{"plaintext":"${base64('in pieces')}"}`)
    expect(await encrypted([body])).toBe('in pieces')
    expect(await encrypted([...body].map((byte) => Buffer.of(byte)))).toBe('in pieces')
  })

  test.each([
    'application/json',
    'text/plain',
    'application/octet-stream',
    'application/xml; charset=utf-16',
    'multipart/form-data; boundary=x',
    'nonsense',
    '',
  ])("the type '%s' of a body is ignored", async (type) => {
    expect(await encrypted({ plaintext: base64('typed') }, { 'content-type': type })).toBe('typed')
  })

  const hi = base64('hi')
  const other = base64('other')

  test.each([
    [`{"PlainText":"${hi}"}`, 'hi', 'names in any case'],
    [`{"PLAINTEXT":"${hi}","CONTEXT":"${base64('ctx')}"}`, 'hi with ctx', 'names in any case'],
    [`{"plaintext":"${other}","plaintext":"${hi}"}`, 'hi', 'the last of two fields'],
    [`{"plaintext":"${other}","Plaintext":"${hi}"}`, 'hi', 'the last of two fields, in any case'],
    [`{"plaintext":"${other}","plaintext":null}`, '', 'null after a value'],
    [`{"plaintext":null}`, '', 'null as nothing'],
    [`{}`, '', 'no field as nothing'],
    [`null`, '', 'null as no fields'],
    [` \r\n\t{"plaintext":"${hi}"}`, 'hi', 'white space before'],
    [`{"plaintext":"${hi}"} trailing`, 'hi', 'text behind'],
    [`{"plaintext":"${hi}"}{"plaintext":"${other}"}`, 'hi', 'the first of two documents'],
    [`{"plaintext":"${hi}"}\u0000\u0000`, 'hi', 'zeros behind'],
    [`{"plaintext":"${hi}","a":{"b":["}",{"c":"\\"}"}]}} }`, 'hi', 'braces in strings'],
    [`{"plaintext":"${hi}","unknown":{"plaintext":"${other}"}}`, 'hi', 'unknown fields'],
    [`{"plaintext":"${hi}","__proto__":{"plaintext":"${other}"}}`, 'hi', 'a field named __proto__'],
    [`{"plaintext":"${hi}","constructor":1,"toString":2}`, 'hi', 'fields named as methods'],
    [`{"plaintext":[104,105]}`, 'hi', 'numbers as bytes'],
    [`{"plaintext":[]}`, '', 'no numbers as no bytes'],
    [`{"plaintext":"aG\\r\\nk\\n="}`, 'hi', 'line breaks within base64'],
    [`{"plaintext":"aGl="}`, 'hi', 'bits to spare in base64'],
    [`{"\\u0070laintext":"${hi}"}`, 'hi', 'escapes in names'],
    [`{"plaintext":"\\u0061Gk="}`, 'hi', 'escapes in values'],
    [`{"plaintext":"${hi}","version":"v1"}`, 'hi', 'a version'],
    [`{"plaintext":"${hi}","version":null}`, 'hi', 'no version'],
    [`{"plaintext":"${hi}","Version":""}`, 'hi', 'an empty version'],
  ])('%s is read as %j: %s', async (body, plaintext) => {
    expect(await encrypted(body)).toBe(plaintext)
  })

  test.each([
    ['{', 'not closed'],
    ['{"plaintext"', 'cut'],
    [`{"plaintext":"${hi}"`, 'not closed'],
    [`{"plaintext":"${hi}",}`, 'a comma too much'],
    [`{'plaintext':'${hi}'}`, 'wrong quotes'],
    [`{plaintext:"${hi}"}`, 'no quotes'],
    [`{"plaintext":"${hi}"//\n}`, 'a comment'],
    [`\ufeff{"plaintext":"${hi}"}`, 'a byte order mark'],
    [`x{"plaintext":"${hi}"}`, 'text before'],
    ['[]', 'an array'],
    [`["${hi}"]`, 'an array'],
    [`"${hi}"`, 'a string'],
    ['1', 'a number'],
    ['true', 'a boolean'],
    ['undefined', 'no JSON'],
    ['NaN', 'no JSON'],
    ['{"plaintext":1}', 'a number for bytes'],
    ['{"plaintext":true}', 'a boolean for bytes'],
    ['{"plaintext":{}}', 'an object for bytes'],
    ['{"plaintext":["a"]}', 'strings for bytes'],
    ['{"plaintext":[256]}', 'a number over 255'],
    ['{"plaintext":[-1]}', 'a number below 0'],
    ['{"plaintext":[1.5]}', 'a fraction'],
    ['{"plaintext":[[1]]}', 'an array in an array'],
    ['{"plaintext":"aGk"}', 'no padding'],
    ['{"plaintext":"aGk=="}', 'too much padding'],
    ['{"plaintext":"-_-_"}', 'the URL-safe alphabet'],
    ['{"plaintext":"a Gk="}', 'a space in base64'],
    ['{"plaintext":"aGk=aGk="}', 'padding in the middle'],
    ['{"plaintext":"a"}', 'one character of base64'],
    ['{"plaintext":"aGk=\u00a0"}', 'an exotic space'],
    ['{"plaintext":"\n"}', 'a line break that is not escaped'],
    [`{"plaintext":"${hi}","context":1}`, 'another field of a wrong type'],
    [`{"plaintext":"${hi}","version":1}`, 'a version that is a number'],
    [`{"plaintext":"${hi}","version":{}}`, 'a version that is an object'],
    [`{"plaintext":"${hi}","VERSION":false}`, 'a version that is a boolean'],
    ['['.repeat(500_000), 'very many brackets'],
    [`{"a":${'['.repeat(400_000)}`, 'very many brackets'],
  ])('%s is refused: %s', async (body) => {
    expectInvalid(await ask('encrypt', { body }), 'encrypt')
  })

  test('import reads the fields of today, not those of early versions', async () => {
    const key = base64(Buffer.alloc(32, 3))
    const send = (name: string, body: RequestOptions['body']) =>
      server.request('PUT', `/v1/key/import/${name}`, { protocol, body })
    const early = await send('early', { bytes: key, algorithm: 'AES256' })
    expectError(early, 406, "algorithm '' is not supported", 'UnsupportedAlgorithm')
    expectInvalid(await send('wrong', { key, cipher: 1 }), 'import')
    expectInvalid(await send('wrong', { key: '!', cipher: 'AES256' }), 'import')
    expectInvalid(await send('wrong', { key: key.replace(/=+$/, ''), cipher: 'AES256' }), 'import')
    const bytes = [...Buffer.alloc(32, 4)]
    expectEmpty(await send(`as-numbers-${protocol.length}`, { KEY: bytes, Cipher: 'AES256' }))
  })

  test.each([
    ['GET', '/version'],
    ['GET', '/v1/status'],
    ['GET', '/v1/key/describe/my-key'],
    ['GET', '/v1/key/list/'],
    ['PUT', '/v1/key/enable/my-key'],
  ])('a body for %s %s changes nothing', async (method, path) => {
    for (const body of ['{}', Buffer.alloc(100_000, 'x'), [Buffer.alloc(10), Buffer.alloc(10)]]) {
      const headers = Array.isArray(body) && protocol === 'http/1.1' ? { 'transfer-encoding': 'chunked' } : {}
      expect((await server.request(method, path, { protocol, body, headers })).status).toBe(200)
    }
  })

  test('the body of a refused request does not hold up the next one', async () => {
    for (const path of ['/nope', '/v1/key/list', '/v1/key/encrypt/a..']) {
      const reply = await server.request('PUT', path, { protocol, body: Buffer.alloc(2_000_000, 'x') })
      expect([404, 307, 400]).toContain(reply.status)
      expect((await ask('generate')).status).toBe(200)
    }
  })
})

describe('HTTP/1.1', () => {
  const CLOSE = 'GET /version HTTP/1.1\r\nHost: kes\r\nConnection: close\r\n\r\n'

  test('a connection is usable after a body for an API that takes none', async () => {
    const requests = [
      'GET /v1/status HTTP/1.1\r\nHost: kes\r\nContent-Length: 2\r\n\r\n{}',
      'PUT /v1/key/create/with-body HTTP/1.1\r\nHost: kes\r\nContent-Length: 12\r\n\r\nGET / HTTP/1',
      'DELETE /v1/key/delete/with-body HTTP/1.1\r\nHost: kes\r\nContent-Length: 2\r\n\r\n{}',
    ]
    expect(statusesOf(await exchange(server, requests.join('') + CLOSE))).toEqual([200, 200, 200, 200])
  })

  test('the rest of a body over the limit is no request', async () => {
    const smuggled = 'DELETE /v1/key/delete/my-key HTTP/1.1\r\nHost: kes\r\n\r\n'
    const body = Buffer.concat([bodyOfLength(BODY_BYTES_MAX + 1), Buffer.from(smuggled)])
    const head = `PUT /v1/key/encrypt/my-key HTTP/1.1\r\nHost: kes\r\nContent-Length: ${body.length}\r\n\r\n`
    const received = await exchange(server, Buffer.concat([Buffer.from(head), body, Buffer.from(CLOSE)]))
    expect([[400], [400, 200]]).toContainEqual(statusesOf(received))
    expect((await server.request('GET', '/v1/key/describe/my-key')).status).toBe(200)
  })

  test('chunks may carry extensions and trailers', async () => {
    const body = `{"plaintext":"${base64('hi')}"}`
    const request = [
      'PUT /v1/key/encrypt/my-key HTTP/1.1',
      'Host: kes',
      'Transfer-Encoding: chunked',
      'Connection: close',
      '',
      `${body.length.toString(16)};name=value`,
      body,
      '0',
      'X-Trailer: 1',
      '',
      '',
    ]
    expect(statusesOf(await exchange(server, request.join('\r\n')))).toEqual([200])
  })
})
