// Whatever is sent to the console's port, it is answered, or its connection closed; and none of it is a defect.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConsoleServer, type KeyServer, startConsole } from '@latchkey/console'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { keyPairOf } from '../sandbox/certificates.ts'
import { Browser } from './browser.ts'

const admin = keyPairOf('admin')
const defects: unknown[] = []
const passedOn: (string | undefined)[] = []

const keyServer: KeyServer = {
  membershipOf: () => ({ isAdmin: true, policy: undefined }),
  info: () => ({ version: '1', endpoint: '', workers: 1, store: '', certificate_expires: null }),
  handle(_, request, response) {
    passedOn.push(request.url)
    response.end('{}')
  },
  explain: () => ({ allowed: true }),
  isAuditing: true,
  audit: () => Promise.resolve(),
  reportDefect: (error) => void defects.push(error),
}

let folder: string
let server: ConsoleServer
let token: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-console-'))
  mkdirSync(join(folder, 'page', 'assets'), { recursive: true })
  writeFileSync(join(folder, 'page', 'index.html'), 'the page')
  writeFileSync(join(folder, 'secret'), 'the secret')
  server = await startConsole({
    address: { host: '127.0.0.1', port: 0 },
    keyServer,
    // No port answers there: what is sent to the node is answered 502.
    node: { endpoint: 'http://127.0.0.1:1', accessKey: 'a', secretKey: 'b' },
    pageFolder: join(folder, 'page'),
  })
  token = (await new Browser(server.url).login(admin)).token ?? ''
})

afterAll(async () => {
  await server.stop()
  rmSync(folder, { recursive: true })
})

/** All that comes back until the connection ends. @param isEnd - whether the client says that it sends no more. */
function exchange(bytes: Buffer, isEnd: boolean): Promise<string> {
  const { hostname, port } = new URL(server.url)
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => (isEnd ? socket.end(bytes) : socket.write(bytes)))
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(answer))
  })
}

const start = fc.constantFrom(
  ...['/', '/v1/', '/v1/key/list/', '/assets/', '/console/', '/console/info', '/console/login'],
  ...[
    '/console/policy/explain',
    '/console/node/buckets',
    '/console/node/bucket/',
    '/console/node/bucket/shop',
  ],
  ...['/console/node/encryption/shop', '/console/node/objects/shop?max=', '/console/node/object/shop/'],
  ...['/console/node/explain/shop/', '/console/node/objects-of-key/'],
)
const piece = fc.oneof(
  fc.constantFrom('/', '..', '.', '%2e%2e', '%2f', '%', '%ff', '%00', '\\', '//', '?', '#', 'a'.repeat(3000)),
  fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.~!$&\'()*+,;=:@%<>"|^`{}[]'), maxLength: 8 }),
)
const target = fc
  .tuple(start, fc.array(piece, { maxLength: 5 }))
  .map(([beginning, pieces]) => `${beginning}${pieces.join('')}`)
const method = fc.constantFrom(
  'GET',
  'PUT',
  'POST',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'PATCH',
  'TRACE',
  'PROPFIND',
)
const body = fc.oneof(
  fc.constantFrom(
    '',
    '{}',
    '[]',
    'null',
    '{"nonce":{}}',
    '{"__proto__":{"kind":"SSE-S3"}}',
    '{"kind":"SSE-S3"}',
  ),
  fc.string({ maxLength: 40 }),
)

test('any request of a session gets an answer that is no defect', async () => {
  const statuses = new Set<number>()
  await fc.assert(
    fc.asyncProperty(method, target, body, async (asked, path, content) => {
      const { host } = new URL(server.url)
      const bytes = Buffer.from(content)
      const head = [
        `${asked} ${path} HTTP/1.1`,
        `Host: ${host}`,
        `Authorization: Bearer ${token}`,
        `Content-Length: ${bytes.length}`,
        'Connection: close',
      ]
      const request = Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\n\r\n`), bytes])
      const answer = await exchange(request, false)
      const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? []
      statuses.add(Number(status))
      expect([200, 307, 400, 401, 404, 405, 411, 413, 502]).toContain(Number(status))
      expect(answer).not.toContain('the secret')
    }),
    { numRuns: 400 },
  )
  expect(statuses.size).toBeGreaterThan(3)
  expect(defects).toEqual([])
  expect(passedOn.every((url) => url?.startsWith('/v1/'))).toBe(true)
})

test('any bytes end with an answer, or with the connection', async () => {
  const line = fc.constantFrom(
    'GET / HTTP/1.1',
    'POST /console/login HTTP/1.1',
    'Host: x',
    'Host: 127.0.0.1',
    '',
    ' ',
  )
  const noise = fc.oneof(line, fc.string({ unit: 'binary', maxLength: 20 }))
  await fc.assert(
    fc.asyncProperty(fc.array(noise, { maxLength: 10 }), async (lines) => {
      const answer = await exchange(Buffer.from(lines.join('\r\n')), true)
      expect(answer === '' || answer.startsWith('HTTP/1.1 ')).toBe(true)
      expect(answer).not.toMatch(/^HTTP\/1\.1 [25]0/)
    }),
    { numRuns: 200 },
  )
  expect(defects).toEqual([])
  expect((await new Browser(server.url).send('GET', '/')).text).toBe('the page')
})
