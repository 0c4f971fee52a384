/** Targets and methods that a router and a policy might read differently: nobody gets more than his policy says. */
import { METHODS } from 'node:http'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { exchange } from './raw-http.ts'
import { expectError, NOT_ALLOWED, textOf } from './replies.ts'

let server: TestServer
let reader: Credentials

beforeAll(async () => {
  reader = await clientOf('reader')
  server = await startTestServer({
    keys: ['my-key'],
    policies: {
      reader: {
        allow: ['/v1/*'],
        deny: ['/v1/api', '/v1/status', '/v1/key/delete/*'],
        identities: [reader.identity],
      },
    },
  })
})

afterAll(() => server.stop())

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const ask = (method: string, path: string, as = reader) => server.request(method, path, { protocol, as })

  test.each([
    '/v1/api',
    '/v1/api#',
    '/v1/api#/v1/ready',
    '/v1/api?x',
    '/v1/api;x',
    '/v1/%61pi',
    '/v1/api%23',
    '/v1/api%3F',
    '/v1/api/',
    '/V1/api',
    '/v1/status#x',
    '/v1/%2561pi',
  ])('GET %s gives nothing that the policy denies', async (path) => {
    const { status } = await ask('GET', path)
    expect([400, 403, 404]).toContain(status)
  })

  test.each([
    '/v1/key/delete/my-key',
    '/v1/key/delete/my-key#',
    '/v1/key/%64elete/my-key',
    '/v1/key/delete%2Fmy-key',
  ])('DELETE %s does not delete', async (path) => {
    expect([400, 403, 404]).toContain((await ask('DELETE', path)).status)
    expect((await ask('GET', '/v1/key/describe/my-key')).status).toBe(200)
  })

  test('a malformed waiting period is refused, instead of erasing at once', async () => {
    const reply = await ask('DELETE', '/v1/key/delete/my-key?after=soon', server.admin)
    expect([reply.status, textOf(reply)]).toEqual([400, expect.stringContaining('"code":"InvalidParameter"')])
    expect((await ask('GET', '/v1/key/describe/my-key')).status).toBe(200)
  })

  test('a refused request leaves an audit event', async () => {
    const before = server.auditLog().length
    expectError(await ask('GET', '/v1/api'), 403, NOT_ALLOWED, 'NotAllowed')
    expect(server.auditLog().length).toBe(before + 1)
  })
})

test('HTTP/2 with a method that no HTTP has is refused, and the session goes on', async () => {
  const reply = await server.request('FOO', '/version', { protocol: 'h2' })
  expect(reply.status).toBe(400)
  expect((await server.request('GET', '/version', { protocol: 'h2' })).status).toBe(200)
})

test('every method that HTTP/1.1 knows is answered, and only GET gets the version', async () => {
  const statuses = new Map<string, number>()
  for (const method of METHODS.filter((each) => each !== 'CONNECT' && each !== 'QUERY')) {
    const text = await exchange(
      server,
      `${method} /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    )
    statuses.set(method, Number(text.split(' ')[1]))
  }
  expect([...statuses].filter(([, status]) => status !== 405)).toEqual([['GET', 200]])
})
