/** From a request line to an API: cleaning, redirects, unknown paths, methods, and how HTTP/1.x frames it all. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, type Reply, startTestServer, type TestServer } from '../sandbox/server.ts'
import { exchange, statusesOf } from './raw-http.ts'
import { apiHeadersOf, errorBody, expectEmpty, expectError, jsonOf, textOf } from './replies.ts'

let server: TestServer
let nobody: Credentials

beforeAll(async () => {
  nobody = await clientOf('nobody')
  // An optional certificate lets the tests ask without one.
  server = await startTestServer({ keys: ['my-key'], api: { '/v1/ready': { skipAuth: true } } })
})

afterAll(() => server.stop())

function redirectBody(location: string): string {
  return `<a href="${location}">Temporary Redirect</a>.\n\n`
}

function expectNotFound(reply: Reply): void {
  expect([reply.status, textOf(reply)]).toEqual([404, '404 page not found\n'])
  expect(apiHeadersOf(reply)).toEqual({
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
    'content-length': '19',
  })
}

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const ask = (method: string, path: string, as: Credentials | null = server.admin) =>
    server.request(method, path, { protocol, as })

  test.each([
    ['/v1/key/list', '/v1/key/list/'],
    ['/v1/policy/list', '/v1/policy/list/'],
    ['/v1/identity/list', '/v1/identity/list/'],
    ['/v1/key/list?a=b&c=d', '/v1/key/list/?a=b&c=d'],
    ['/v1/key/create', '/v1/key/create/'],
    ['//version', '/version'],
    ['/v1//status', '/v1/status'],
    ['/v1/./status', '/v1/status'],
    ['/v1/key/../status', '/v1/status'],
    ['/../../v1/status', '/v1/status'],
    ['/v1/key/describe/my-key/..', '/v1/key/describe/'],
    ['/v1/key/describe/my-key/.', '/v1/key/describe/my-key'],
    ['/v1/key/list//', '/v1/key/list/'],
    ['/v1/key//list/a?details=true', '/v1/key/list/a?details=true'],
    ['//', '/'],
    ['/..', '/'],
    ['/nowhere//at/all', '/nowhere/at/all'],
  ])('%s is sent to %s', async (path, location) => {
    const reply = await ask('GET', path)
    const body = redirectBody(location.replaceAll('&', '&amp;'))
    expect([reply.status, textOf(reply)]).toEqual([307, body])
    expect(apiHeadersOf(reply)).toEqual({
      location,
      'content-type': 'text/html; charset=utf-8',
      'content-length': String(body.length),
    })
  })

  test.each(['PUT', 'POST', 'DELETE', 'HEAD'])('a redirect of %s has no body', async (method) => {
    for (const [path, location] of [
      ['/v1/key//create/a', '/v1/key/create/a'],
      ['/v1/key/create', '/v1/key/create/'],
    ] as const) {
      const reply = await ask(method, path)
      expect([reply.status, reply.headers.location, textOf(reply)]).toEqual([307, location, ''])
    }
  })

  test('a redirect needs no identity', async () => {
    for (const as of [nobody, null]) {
      for (const path of ['/v1/key/list', '/v1//status'])
        expect((await ask('GET', path, as)).status).toBe(307)
    }
  })

  test('what a client writes into a redirected path is not HTML in the reply', async () => {
    const reply = await ask('GET', '/v1/key//list/a?"><script>alert(1)</script>&b=\'')
    expect(reply.status).toBe(307)
    expect(textOf(reply)).not.toMatch(/<script|"></)
  })

  test.each([
    '/',
    '/v1',
    '/v1/',
    '/v1/key/',
    '/v1/key',
    '/version/',
    '/Version',
    '/V1/status',
    '/v1/status/',
    '/v1/ready/',
    '/v1/api/',
    '/v1/metrics/',
    '/v1/log/audit/',
    '/v1/identity/self/describe/',
    '/v1/identity/self',
    '/v1/key/Create/a',
    '/v1/key/bulk/decrypt/a',
    '/v1/secret/create/a',
    '/v1/enclave/create/a',
    '/v1/log/audit/trace',
    '/v1/log/error/trace',
    '/v1/policy/write/a',
    '/v1/policy/assign/a',
    '/v1/policy/delete/a',
    '/v1/identity/assign/a',
    '/v1/identity/delete/a',
    '/v1%2Fstatus',
    '/v1/key%2Fcreate/a',
    '/v1/status%20',
    '/v2/status',
    `/${'a'.repeat(4000)}`,
  ])('%s is not found, whoever asks', async (path) => {
    for (const as of [server.admin, nobody, null]) {
      for (const method of ['GET', 'PUT', 'DELETE']) expectNotFound(await ask(method, path, as))
    }
  })

  test.each([
    ['/version', 'GET'],
    ['/v1/ready', 'GET'],
    ['/v1/status', 'GET'],
    ['/v1/metrics', 'GET'],
    ['/v1/api', 'GET'],
    ['/v1/key/create/a', 'PUT'],
    ['/v1/key/import/a', 'PUT'],
    ['/v1/key/describe/a', 'GET'],
    ['/v1/key/delete/a', 'DELETE'],
    ['/v1/key/list/', 'GET'],
    ['/v1/key/generate/a', 'PUT'],
    ['/v1/key/encrypt/a', 'PUT'],
    ['/v1/key/decrypt/a', 'PUT'],
    ['/v1/key/hmac/a', 'PUT'],
    ['/v1/key/enable/a', 'PUT'],
    ['/v1/key/disable/a', 'PUT'],
    ['/v1/policy/describe/a', 'GET'],
    ['/v1/policy/read/a', 'GET'],
    ['/v1/policy/list/', 'GET'],
    ['/v1/identity/describe/a', 'GET'],
    ['/v1/identity/list/', 'GET'],
    ['/v1/identity/self/describe', 'GET'],
    ['/v1/log/error', 'GET'],
    ['/v1/log/audit', 'GET'],
  ])('%s is for %s alone, and says so before it asks who calls', async (path, expected) => {
    const accepted = expected === 'PUT' ? ['PUT', 'POST'] : [expected]
    for (const method of ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
      if (accepted.includes(method)) continue
      for (const as of [server.admin, nobody, null]) {
        const reply = await ask(method, path, as)
        expectError(reply, 405, `received method '${method}' expected '${expected}'`, 'MethodNotAllowed')
        expect([reply.headers.accept, reply.headers.allow]).toEqual([expected, accepted.join(', ')])
      }
    }
  })

  test('HEAD is no GET', async () => {
    for (const path of ['/version', '/v1/status', '/v1/key/list/']) {
      const reply = await ask('HEAD', path)
      expect([reply.status, reply.headers.accept, textOf(reply)]).toEqual([405, 'GET', ''])
    }
  })

  test.each(['create', 'import', 'generate', 'encrypt', 'decrypt', 'hmac', 'enable', 'disable'])(
    'POST %s is PUT %s',
    async (api) => {
      const path = `/v1/key/${api}/a..`
      const [put, post] = [await ask('PUT', path), await ask('POST', path)]
      expect([put.status, textOf(put)]).toEqual([post.status, textOf(post)])
      expect(textOf(put)).toContain("key name 'a..'")
    },
  )

  test.each([
    ['a%2Fb', 'a/b'],
    ['a/b', 'a/b'],
    ['a/', 'a/'],
    ['a%20b', 'a b'],
    ['a+b', 'a+b'],
    ['a;b', 'a;b'],
    ['a%3Fb', 'a?b'],
    ['a%252Fb', 'a%2Fb'],
    ['%2E%2E', '..'],
    ['a%00b', 'a\u0000b'],
    ['a%0D%0Ab', 'a\r\nb'],
    ['%C3%A9', 'é'],
    ['%FF', '\ufffd'],
    ['a%C3', 'a\ufffd'],
    ['a%22b', 'a"b'],
    ['', ''],
    ['?name=a', ''],
  ])('the argument %s is read as %j and is no name', async (argument, name) => {
    const reply = await ask('GET', `/v1/key/describe/${argument}`)
    const body: { message: string; code: string } = JSON.parse(textOf(reply))
    expect([reply.status, body]).toEqual([
      400,
      {
        message: `key name '${name}' is empty, too long or contains invalid characters`,
        code: 'InvalidName',
      },
    ])
  })

  test('a message escapes <, > and & as Go does', async () => {
    const reply = await ask('GET', '/v1/key/describe/%3Ca%3E&b')
    expect(textOf(reply)).toBe(
      `{"message":"key name '\\u003ca\\u003e\\u0026b' is empty, too long or contains invalid characters","code":"InvalidName"\n}`,
    )
  })

  test('escapes in a name are only another way to write it', async () => {
    for (const name of ['my-key', 'my%2Dkey', '%6D%79%2dkey', 'my-key?ignored=1', 'my-key#']) {
      const reply = await ask('GET', `/v1/key/describe/${name.replace('#', '')}`)
      expect(jsonOf(reply)).toMatchObject({ name: 'my-key' })
    }
  })

  test('escapes in the path of an API are only another way to write it', async () => {
    const reply = await ask('GET', '/v1/key/d%65scribe/my-key')
    expect(jsonOf(reply)).toMatchObject({ name: 'my-key' })
  })

  test.each(['%', '%a', '%zz', 'a%2', '%%41'])('the malformed escape %s is refused', async (argument) => {
    expect((await ask('GET', `/v1/key/describe/${argument}`)).status).toBe(400)
  })

  test('headers that KES ignores change nothing', async () => {
    const headers = {
      accept: 'text/csv',
      'accept-encoding': 'gzip, br',
      'kes-enclave': 'other',
      'if-none-match': '*',
      range: 'bytes=0-1',
      cookie: 'a=b',
    }
    const reply = await server.request('GET', '/v1/key/describe/my-key', { protocol, headers })
    expect([reply.status, Object.keys(apiHeadersOf(reply)).sort()]).toEqual([
      200,
      ['content-length', 'content-type'],
    ])
  })

  test('every reply has a date, and none says what the server is', async () => {
    for (const path of ['/version', '/v1/ready', '/nope', '/v1/key/list', '/v1/key/describe/nope']) {
      const { headers } = await ask('GET', path)
      expect(Date.parse(String(headers.date))).toBeGreaterThan(Date.now() - 10_000)
      for (const name of [
        'server',
        'x-powered-by',
        'cache-control',
        'strict-transport-security',
        'vary',
        'etag',
      ]) {
        expect(headers).not.toHaveProperty(name)
      }
    }
  })
})

describe('HTTP/1.x', () => {
  const get = (path: string, ...headers: string[]) =>
    `${[`GET ${path} HTTP/1.1`, 'Host: kes', ...headers].join('\r\n')}\r\n\r\n`
  const closing = 'Connection: close'

  test('an empty reply has a length of 0 and no type', async () => {
    expectEmpty(await server.request('GET', '/v1/ready', { protocol: 'http/1.1' }))
  })

  test('HTTP/1.0 is answered and closed', async () => {
    const received = await exchange(server, 'GET /version HTTP/1.0\r\n\r\n')
    expect(received).toMatch(/^HTTP\/1\.[01] 200 OK\r\n/)
    expect(received).toMatch(/\r\n\r\n\{"version":"[^"]+","commit":"[^"]+"\}\n$/)
  })

  test('HTTP/1.1 without Host is refused', async () => {
    expect(statusesOf(await exchange(server, 'GET /version HTTP/1.1\r\n\r\n'))).toEqual([400])
  })

  test('pipelined requests are answered one after the other', async () => {
    const requests = [get('/version'), get('/nope'), get('/v1/ready'), get('/v1/key/describe/nope', closing)]
    const received = await exchange(server, requests.join(''))
    expect(statusesOf(received)).toEqual([200, 404, 200, 404])
    expect(received.endsWith(errorBody('key does not exist', 'KeyNotFound'))).toBe(true)
  })

  test('pipelined bodies go to their own requests', async () => {
    const body = '{"plaintext":"AAAA"}'
    const encrypt = [
      'POST /v1/key/encrypt/my-key HTTP/1.1',
      'Host: kes',
      `Content-Length: ${body.length}`,
      '',
      body,
    ].join('\r\n')
    const received = await exchange(server, encrypt + encrypt + get('/version', closing))
    expect(statusesOf(received)).toEqual([200, 200, 200])
    expect(received.match(/"ciphertext"/g)).toHaveLength(2)
  })

  test('a target with scheme and host is as good as its path', async () => {
    for (const scheme of ['https', 'HTTPS', 'http']) {
      expect(statusesOf(await exchange(server, get(`${scheme}://kes:7373/version`, closing)))).toEqual([200])
    }
    expect(statusesOf(await exchange(server, get('https://kes//version', closing)))).toEqual([307])
  })

  test('a request line that is none is refused and closed', async () => {
    for (const line of ['BOGUS\r\n\r\n', 'GET  /version HTTP/1.1\r\n\r\n', '\u0000\u0001\u0002\r\n\r\n']) {
      expect(statusesOf(await exchange(server, line))).toEqual([400])
    }
  })

  test('a request with two lengths, or a length and chunks, is refused', async () => {
    const put = 'PUT /v1/key/generate/my-key HTTP/1.1\r\nHost: kes\r\n'
    for (const headers of [
      'Content-Length: 2\r\nContent-Length: 3\r\n',
      'Content-Length: 2\r\nTransfer-Encoding: chunked\r\n',
      'Transfer-Encoding: chunked, identity\r\n',
      'Content-Length: -1\r\n',
      'Content-Length: 1e1\r\n',
    ]) {
      expect(statusesOf(await exchange(server, `${put}${headers}\r\n{}`))).toEqual([400])
    }
  })

  test('headers of 50 kB are refused; KES would take 1 MB of them', async () => {
    const received = await exchange(server, get('/version', `X: ${'a'.repeat(50_000)}`))
    expect(statusesOf(received)).toEqual([431])
  })

  test('the client that expects 100 is told to go on', async () => {
    const head =
      'POST /v1/key/generate/my-key HTTP/1.1\r\nHost: kes\r\nContent-Length: 2\r\nExpect: 100-continue\r\n'
    const socket = await server.connect({ ALPNProtocols: ['http/1.1'] })
    socket.write(`${head}${closing}\r\n\r\n`)
    let received = ''
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1')
      if (received.endsWith('100 Continue\r\n\r\n')) socket.write('{}')
    })
    await new Promise((resolve) => socket.on('close', resolve))
    expect(statusesOf(received)).toEqual([100, 200])
  })
})
