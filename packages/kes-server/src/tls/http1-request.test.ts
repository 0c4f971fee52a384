import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type Duplex, duplexPair } from 'node:stream'
import {
  asyncProperty,
  assert as check,
  constant,
  constantFrom,
  nat,
  oneof,
  record,
  string,
  subarray,
} from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Http1Reader, type ReadRequest } from './http1-request.ts'

function read(text: string, reader = new Http1Reader()): ReadRequest | undefined {
  return reader.read(Buffer.from(text, 'latin1'))
}

describe('a request that came whole is read', () => {
  test('without a body', () => {
    expect(read('GET /version?a=b HTTP/1.1\r\nHost: kes:7373\r\nAccept:\r\n\r\n')).toEqual({
      method: 'GET',
      target: '/version?a=b',
      headers: { host: 'kes:7373', accept: '' },
      body: undefined,
    })
  })

  test('with a length', () => {
    const found = read('PUT /v1/key/generate/a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}')
    expect(found?.body).toEqual(Buffer.from('{}'))
  })

  test.each([
    ['a chunk', '2\r\n{}\r\n0\r\n\r\n', '{}'],
    ['nothing', '0\r\n\r\n', ''],
    [
      'a chunk with a line of its own that looks like the last',
      '7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n',
      '\r\n0\r\n\r\n',
    ],
  ])('in chunks: %s', (_what, chunks, body) => {
    const found = read(
      `PUT /v1/key/generate/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
    )
    expect(found?.body).toEqual(Buffer.from(body))
  })

  test('and one with the same header lines has the same headers, and its own body', () => {
    const reader = new Http1Reader()
    const lines = 'Host: h\r\nContent-Length: 1\r\n\r\n'
    const first = read(`PUT /a HTTP/1.1\r\n${lines}1`, reader)
    const second = read(`PUT /b HTTP/1.1\r\n${lines}2`, reader)
    expect(second).toEqual({ ...first, target: '/b', body: Buffer.from('2') })
    expect(second?.headers).toBe(first?.headers)
  })

  test('after one that was not', () => {
    const reader = new Http1Reader()
    expect(read('GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n', reader)).toBeUndefined()
    expect(read('GET /a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\n\r\n', reader)).toBeUndefined()
    expect(read('GET /a HTTP/1.1\r\nHost: h\r\n\r\n', reader)).toBeDefined()
  })
})

const LINES = 'Host: h\r\nContent-Length: 0\r\n'

test.each([
  ['half of a head', `GET /a HTTP/1.1\r\n${LINES}`],
  ['no header lines', 'GET /a HTTP/1.1\r\n\r\n'],
  ['half of a body', 'PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n{}'],
  ['two requests', `GET /a HTTP/1.1\r\n${LINES}\r\nGET /b HTTP/1.1\r\n${LINES}\r\n`],
  ['more than a body', 'PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n{}'],
  ['half of a chunk', 'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}'],
  [
    'two chunks',
    'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n',
  ],
  ['no last chunk', 'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n'],
  ['a trailer', 'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\n\r\n'],
  [
    'a chunk extension',
    'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n',
  ],
  [
    'a chunk with a sign',
    'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n+2\r\n{}\r\n0\r\n\r\n',
  ],
  [
    'no chunks, only a coding',
    'PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  ],
  ['a length and chunks', `PUT /a HTTP/1.1\r\n${LINES}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ['two lengths', `PUT /a HTTP/1.1\r\n${LINES}Content-Length: 0\r\n\r\n`],
  ['a length with a sign', 'PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: +2\r\n\r\n{}'],
  ['a length that is a list', 'PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2, 2\r\n\r\n{}'],
  ['no host', 'GET /a HTTP/1.1\r\nAccept: x\r\n\r\n'],
  ['an empty host', 'GET /a HTTP/1.1\r\nHost: \r\n\r\n'],
  ['two hosts', 'GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n'],
  ['a line that is folded', 'GET /a HTTP/1.1\r\nHost: h\r\nAccept: x,\r\n y\r\n\r\n'],
  ['a space before the colon', 'GET /a HTTP/1.1\r\nHost: h\r\nContent-Length : 0\r\n\r\n'],
  ['a line feed alone', 'GET /a HTTP/1.1\r\nHost: h\nAccept: x\r\n\r\n'],
  ['a carriage return alone', 'GET /a HTTP/1.1\r\nHost: h\rAccept: x\r\n\r\n'],
  ['a NUL', 'GET /a HTTP/1.1\r\nHost: h\0\r\n\r\n'],
  ['what is not ASCII', 'GET /a HTTP/1.1\r\nHost: h\xe4\r\n\r\n'],
  ['a header of every object', 'GET /a HTTP/1.1\r\nHost: h\r\n__proto__: x\r\n\r\n'],
  ['an end of the connection', `GET /a HTTP/1.1\r\n${LINES}Connection: close\r\n\r\n`],
  ['an upgrade', `GET /a HTTP/1.1\r\n${LINES}Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n`],
  ['a wish to be told to go on', `PUT /a HTTP/1.1\r\n${LINES}Expect: 100-continue\r\n\r\n`],
  ['HTTP/1.0', `GET /a HTTP/1.0\r\n${LINES}\r\n`],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HEAD', `HEAD /a HTTP/1.1\r\n${LINES}\r\n`],
  ['a method in lower case', `get /a HTTP/1.1\r\n${LINES}\r\n`],
  ['two spaces', `GET  /a HTTP/1.1\r\n${LINES}\r\n`],
  ['a whole URL', `GET https://h/a HTTP/1.1\r\n${LINES}\r\n`],
  ['an escape', `GET /%61 HTTP/1.1\r\n${LINES}\r\n`],
  ['an empty segment', `GET //a HTTP/1.1\r\n${LINES}\r\n`],
  ['a fragment', `GET /a#b HTTP/1.1\r\n${LINES}\r\n`],
  ['an empty line before', `\r\nGET /a HTTP/1.1\r\n${LINES}\r\n`],
  ['a long head', `GET /a HTTP/1.1\r\n${LINES}Accept: ${'x'.repeat(9_000)}\r\n\r\n`],
])('%s is left to node:http', (_what, text) => {
  expect(read(text)).toBeUndefined()
})

interface Seen {
  readonly method: string
  readonly target: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/** What `node:http` reads of it: the requests, and undefined for what it refuses. */
async function readByNode(bytes: Buffer): Promise<(Seen | undefined)[]> {
  const seen: (Seen | undefined)[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      seen.push({ method, target: url, headers, body: Buffer.concat(chunks) })
      response.end()
    })
  })
  server.on('clientError', (_error, socket) => {
    seen.push(undefined)
    socket.destroy()
  })
  const [client, socket]: [Duplex, Duplex] = duplexPair()
  server.emit('connection', socket)
  client.end(bytes)
  client.resume()
  await new Promise((resolve) => socket.once('close', resolve))
  return seen
}

/** Much of it is fine, so that what is odd is often the only thing. */
const request = record({
  method: oneof(
    { weight: 5, arbitrary: constantFrom('GET', 'PUT', 'POST', 'DELETE') },
    constantFrom('HEAD', 'get', ''),
  ),
  target: oneof(
    {
      weight: 5,
      arbitrary: constantFrom('/', '/version', '/v1/key/generate/my-key', '/v1/key/list/a*?details=true'),
    },
    constantFrom('//a', '/%61', '*', '/a/../b', '/a?b?c'),
    string({ maxLength: 8, unit: 'binary-ascii' }),
  ),
  host: oneof(
    { weight: 5, arbitrary: constantFrom('Host: kes:7373', 'HOST:h') },
    constantFrom('', 'Host:', 'Host : h'),
  ),
  lines: subarray([
    'Accept-Encoding: gzip',
    'User-Agent: Go-http-client/1.1',
    'Content-Type:  application/json\t',
    'Connection: Keep-Alive',
    'Cookie: a=b',
    'X-Text: a\tb "c" ~',
    'Accept:',
  ]),
  oddLine: oneof(
    { weight: 5, arbitrary: constant(undefined) },
    constantFrom(
      'Set-Cookie: a=b',
      'Connection: close',
      ' folded',
      'X\xe4: y',
      'Content-Length: 2',
      'Expect: 100-continue',
    ),
    string({ maxLength: 12, unit: 'binary-ascii' }),
  ),
  framing: constantFrom(
    ['X: none', ''],
    ['Content-Length: 0', ''],
    ['content-length: 2', '{}'],
    ['Content-Length: 02', '{}'],
    ['Content-Length: 1', '{}'],
    ['Transfer-Encoding: chunked', '2\r\n{}\r\n0\r\n\r\n'],
    ['Transfer-Encoding: chunked', '0a\r\n0123456789\r\n0\r\n\r\n'],
    ['transfer-encoding: chunked', '0\r\n\r\n'],
    ['Transfer-Encoding: chunked', '{}'],
    ['Transfer-Encoding: identity', ''],
  ),
  fault: oneof(
    { weight: 3, arbitrary: constant(undefined) },
    record({ at: nat(), byte: constantFrom(0, 9, 10, 13, 32, 58, 0x7f, 0xe4) }),
  ),
})

test('whatever is read, node:http reads as well, and the same', async () => {
  let count = 0
  await check(
    asyncProperty(request, async ({ method, target, host, lines, oddLine, framing, fault }) => {
      const [framed = '', body = ''] = framing
      const all = [
        `${method} ${target} HTTP/1.1`,
        host,
        ...lines,
        ...(oddLine === undefined ? [] : [oddLine]),
        framed,
      ]
      const bytes = Buffer.from(`${all.join('\r\n')}\r\n\r\n${body}`, 'latin1')
      if (fault !== undefined) bytes[fault.at % bytes.length] = fault.byte
      const found = new Http1Reader().read(bytes)
      if (found === undefined) return
      count += 1
      const { body: foundBody = Buffer.alloc(0), ...rest } = found
      expect(await readByNode(bytes)).toEqual([{ ...rest, body: Buffer.from(foundBody) }])
    }),
    { numRuns: 5_000 },
  )
  expect(count).toBeGreaterThan(500)
})
