/** Clients that want to be somebody else, or nobody, and what they leave in the logs. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  type Credentials,
  clientOf,
  credentialsOf,
  issueCertificate,
  keyPairOf,
} from '../sandbox/certificates.ts'
import { PROTOCOLS } from '../sandbox/connection.ts'
import { request, requestFields } from './http2-frames.ts'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import { type ServerProcess, sleep } from './server-process.ts'

let installation: Installation
let server: ServerProcess
let mallory: Credentials

beforeAll(async () => {
  mallory = await clientOf('mallory')
  installation = await Installation.make({
    keys: ['my-key'],
    policies: { few: { allow: ['/v1/key/describe/*', '/v1/log/*'], identities: [mallory.identity] } },
  })
  server = await installation.start()
})

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation[Symbol.dispose]()
})

const WHO_AM_I = 'GET /v1/identity/self/describe HTTP/1.1\r\nHost: kes\r\n\r\n'

async function ask(path: string, as: Credentials, method = 'GET'): Promise<{ status: number; text: string }> {
  const { status, rawBody } = await server.request(method, path, { as })
  return { status, text: rawBody.toString() }
}

describe("a certificate of the admin, which is no secret, behind one's own", () => {
  test.each([
    ['an ordinary one', false],
    ["a CA's", true],
  ])('%s makes nobody the admin', async (_, isCa) => {
    const keys = keyPairOf(`chain ${isCa}`)
    const own = await issueCertificate('chain', { keys, isCa, commonName: 'admin' })
    const chained = credentialsOf(keys, own, installation.admin.cert)
    const twice = credentialsOf(keys, own, installation.admin.cert, installation.admin.cert)
    const behindSelf = credentialsOf(keys, own, own, installation.admin.cert)
    for (const as of [chained, twice, behindSelf]) {
      const self = await ask('/v1/identity/self/describe', as)
      expect(self.text).not.toContain(installation.admin.identity)
      expect(self.text).not.toContain('"admin":true')
      expect((await ask('/v1/metrics', as)).status).toBeGreaterThanOrEqual(400)
      expect((await ask('/v1/key/create/theirs', as, 'PUT')).status).toBeGreaterThanOrEqual(400)
    }
  })

  test('a certificate that the admin has not signed, with the name of the admin, is another identity', async () => {
    const keys = keyPairOf('namesake')
    const namesake = credentialsOf(keys, await issueCertificate('namesake', { keys, commonName: 'admin' }))
    expect((await ask('/v1/metrics', namesake)).status).toBe(403)
  })
})

test('each connection keeps its own identity, however they take turns', async () => {
  const callers = [installation.admin, mallory]
  const connections = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      RawConnection.open(server, 'http/1.1', callers[index % 2] ?? null),
    ),
  )
  for (let round = 0; round < 5; round += 1)
    await Promise.all(connections.map((each) => each.write(WHO_AM_I)))
  for (const [index, connection] of connections.entries()) {
    await connection.until(() => connection.statuses.length === 5 && connection.text.endsWith('}\n'))
    const found = [...connection.text.matchAll(/"identity":"([0-9a-f]+)"/g)].map(([, identity]) => identity)
    expect(found).toEqual(Array(5).fill(callers[index % 2]?.identity))
    connection.close()
  }
})

describe('what a client writes', () => {
  const hostile = '%0d%0aSet-Cookie:%20a=b%0d%0a%1b[2J%E2%80%AE{"level":"INFO","msg":"forged"}%0a'

  test.each(PROTOCOLS)('over %s, makes no header of its own in a redirect', async (protocol) => {
    const targets = [
      `//${hostile}`,
      `/v1/./${hostile}`,
      `/v1/key/list?${hostile}`,
      '//evil.example//',
      '/.//evil.example',
    ]
    for (const target of targets) {
      const { status, headers } = await server.request('GET', target, { protocol })
      expect(status).toBe(307)
      expect(headers['set-cookie']).toBeUndefined()
      expect(headers.location).toMatch(/^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/)
    }
  })

  test.each(['/\\evil.example//', '//\\evil.example', '/.//\\evil.example', '/\\/evil.example/./'])(
    '%s is not sent to another host',
    async (target) => {
      const http1 = await RawConnection.open(server, 'http/1.1')
      await http1.write(`GET ${target} HTTP/1.1\r\nHost: kes\r\nConnection: close\r\n\r\n`)
      await http1.until()
      expect(http1.statuses).toEqual([307])
      expect(/^location: (.*)$/im.exec(http1.text)?.[1]).toMatch(/^\/[^/\\]/)
    },
  )

  test('makes no line of its own in the logs, nor in their streams', async () => {
    const stream = await RawConnection.open(server, 'h2')
    await stream.write(
      Buffer.concat([
        request(1, requestFields('GET', '/v1/log/audit')),
        request(3, requestFields('GET', '/v1/log/error')),
      ]),
    )
    await sleep(100)
    const paths = [`/v1/key/describe/${hostile}`, `/v1/metrics/${hostile}`, `/v1/key/create/${hostile}`]
    for (const path of paths) await server.request('PUT', path, { as: mallory })
    for (const path of paths) await server.request('GET', path, { as: mallory })
    await sleep(300)
    for (const text of [server.stderr, server.stdout.slice(server.stdout.indexOf('{'))]) {
      for (const line of text.trimEnd().split('\n')) expect(() => JSON.parse(line)).not.toThrow()
      expect(text).not.toContain('\u001b')
      expect(text).not.toMatch(/^\{"level":"INFO","msg":"forged"\}/m)
    }
    for (const id of [1, 3]) {
      const lines = stream.bodyOf(id).trimEnd().split('\n')
      for (const line of lines) expect(() => JSON.parse(line)).not.toThrow()
      expect(stream.bodyOf(id)).not.toContain('\u001b')
    }
    expect(stream.bodyOf(1).trimEnd().split('\n').length).toBeGreaterThanOrEqual(2 * paths.length)
    stream.close()
  })
})

test('every request that gets a reply of the API leaves one event, with who asked', async () => {
  await sleep(200)
  const before = server.auditLog().length
  const requests = [
    ['GET', '/version'],
    ['GET', '/nowhere'],
    ['GET', '/v1//status'],
    ['GET', '/v1/key/list'],
    ['GET', '/v1/metrics'],
    ['GET', '/v1/metrics#'],
    ['DELETE', '/v1/metrics'],
    ['HEAD', '/v1/metrics'],
    ['OPTIONS', '/v1/metrics'],
    ['GET', '/v1/key/describe/my-key'],
    ['GET', '/v1/key/describe/%'],
    ['PUT', '/v1/key/generate/my-key'],
    ['PUT', '/v1/key/generate/a..'],
    ['GET', '/v1/identity/self/describe'],
  ] as const
  const statuses: number[] = []
  for (const protocol of PROTOCOLS) {
    for (const [method, path] of requests) {
      statuses.push((await server.request(method, path, { protocol, as: mallory })).status)
    }
  }
  await sleep(300)
  const events = server.auditLog().slice(before)
  expect(events.map(({ res }) => res.code)).toEqual(statuses)
  for (const [index, { req }] of events.entries()) {
    expect([req.ip, req.identity, req.method]).toEqual([
      '127.0.0.1',
      mallory.identity,
      requests[index % requests.length]?.[0],
    ])
  }
})
