/** Policies over the wire: the decisions recorded from KES's own matcher, asked for by real requests. */
import { connect } from 'node:http2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readVectors } from '../read-vectors.ts'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { exchange } from './raw-http.ts'
import { expectEmpty, expectError, NOT_ALLOWED, textOf } from './replies.ts'

interface Decisions {
  readonly policies: readonly { readonly name: string; readonly allow: string[]; readonly deny: string[] }[]
  readonly rows: readonly { readonly policy: string; readonly path: string; readonly allowed: boolean }[]
}

const decisions = readVectors<Decisions>('policy-decisions.json')

/** Which method the API of a path expects; the paths of the vectors that no API has are not asked for. */
function methodOf(path: string): string | undefined {
  if (/^\/v1\/key\/(create|generate|decrypt)\//.test(path)) return 'PUT'
  if (path.startsWith('/v1/key/delete/')) return 'DELETE'
  if (path.startsWith('/v1/key/list/')) return 'GET'
  return ['/v1/api', '/v1/metrics', '/v1/metrics/latchkey', '/v1/ready', '/v1/status'].includes(path)
    ? 'GET'
    : undefined
}

/** Every character that is not plain is escaped, so that the server decodes it to the path of the vector. */
function encode(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

let server: TestServer
const callers = new Map<string, Credentials>()

beforeAll(async () => {
  const policies: Record<string, { allow: string[]; deny: string[]; identities: string[] }> = {}
  for (const { name, allow, deny } of decisions.policies) {
    const caller = await clientOf(`policy ${name}`)
    callers.set(name, caller)
    policies[name] = { allow, deny, identities: [caller.identity] }
  }
  server = await startTestServer({ policies })
})

afterAll(() => server.stop())

function callerOf(policy: string): Credentials {
  const caller = callers.get(policy)
  if (caller === undefined) throw new Error(`no caller has the policy ${policy}`)
  return caller
}

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test.each(decisions.policies)('policy $name decides as in KES', async ({ name }) => {
    const wrong: string[] = []
    let asked = 0
    for (const { policy, path, allowed } of decisions.rows) {
      const method = methodOf(path)
      if (policy !== name || method === undefined) continue
      asked += 1
      const reply = await server.request(method, encode(path), { as: callerOf(name), protocol })
      const isRefused = reply.status === 403
      if (isRefused) expectError(reply, 403, NOT_ALLOWED, 'NotAllowed')
      if (isRefused === allowed) wrong.push(`${path}: ${reply.status}`)
    }
    expect(wrong).toEqual([])
    expect(asked).toBeGreaterThan(10)
  })

  test('what an identity may ask for does not depend on the method', async () => {
    for (const method of ['PUT', 'POST']) {
      const as = callerOf('exact')
      const allowed = await server.request(method, '/v1/key/create/my-app', { as, protocol })
      expect(allowed.status).not.toBe(403)
      expect((await server.request(method, '/v1/key/create/my-app-1', { as, protocol })).status).toBe(403)
    }
  })

  test('a query is no part of the path that policies see', async () => {
    const as = callerOf('exact')
    const reply = await server.request('PUT', '/v1/key/create/my-app?x=/v1/status', { as, protocol })
    expect(reply.status).not.toBe(403)
  })

  test('no detour of the path leads around a deny rule', async () => {
    const as = await clientOf('denied one key')
    const rules = { allow: ['/v1/*'], deny: ['/v1/key/create/my-app'], identities: [as.identity] }
    await using server = await startTestServer({ policies: { rules } })
    for (const path of [
      '/v1/key/create/my-app',
      '/v1/key/create/my%2Dapp',
      '/v1/key/create/%6dy-app',
      '/v1/key/cr%65ate/my-app',
      '/v1/%6bey/create/my-app',
      '/v1/key/create/my-app?',
      '/v1/key/create/my-app?reuse=false',
    ]) {
      expectError(await server.request('PUT', path, { as, protocol }), 403, NOT_ALLOWED, 'NotAllowed')
    }
    for (const path of ['/v1/key//create/my-app', '/v1/key/./create/my-app', '/v1/key/create/x/../my-app']) {
      expect((await server.request('PUT', path, { as, protocol })).status).toBe(307)
    }
    for (const path of ['/v1/key/create%2Fmy-app', '/v1/KEY/create/my-app', '/v1/key/create;/my-app']) {
      expect((await server.request('PUT', path, { as, protocol })).status).toBe(404)
    }
    expect((await server.request('GET', '/v1/key/describe/my-app')).status).not.toBe(200)
  })

  test('headers give nobody an identity or an address', async () => {
    const headers = {
      'x-forwarded-for': '192.0.2.1',
      forwarded: 'for=192.0.2.1',
      'x-real-ip': '192.0.2.1',
      'x-tls-client-cert': encodeURIComponent(server.admin.cert),
      'x-ssl-cert': encodeURIComponent(server.admin.cert),
      authorization: 'Bearer admin',
    }
    const reply = await server.request('GET', '/v1/status', { as: callerOf('empty'), protocol, headers })
    expectError(reply, 403, NOT_ALLOWED, 'NotAllowed')
    expect(server.auditLog().at(-1)?.req).toEqual({
      method: 'GET',
      path: '/v1/status',
      ip: '127.0.0.1',
      identity: callerOf('empty').identity,
    })
  })

  test('an identity in no policy may read the version and nothing else', async () => {
    const as = await clientOf('in no policy')
    expect((await server.request('GET', '/version', { as, protocol })).status).toBe(200)
    for (const path of [
      '/v1/ready',
      '/v1/status',
      '/v1/api',
      '/v1/metrics',
      '/v1/log/audit',
      '/v1/key/list/',
    ]) {
      expectError(await server.request('GET', path, { as, protocol }), 403, NOT_ALLOWED, 'NotAllowed')
    }
  })

  test('the admin is asked for no policy, and one that is no identity is nobody', async () => {
    const as = await clientOf('admin')
    const policies = { all: { deny: ['*'], identities: [(await clientOf('denied')).identity] } }
    await using normal = await startTestServer({ policies })
    await using without = await startTestServer({ policies, adminIdentity: 'disabled' })
    expectEmpty(await normal.request('GET', '/v1/ready', { as, protocol }))
    expectError(await without.request('GET', '/v1/ready', { as, protocol }), 403, NOT_ALLOWED, 'NotAllowed')
  })

  test('an identity matches in upper case too', async () => {
    const as = await clientOf('upper case')
    const policies = { mine: { allow: ['/v1/ready'], identities: [as.identity.toUpperCase()] } }
    await using shouting = await startTestServer({ policies })
    expectEmpty(await shouting.request('GET', '/v1/ready', { as, protocol }))
  })
})

test('a log stream is decided on like any other path', async () => {
  for (const name of ['allow-all-star', 'deny-all', 'allow-v1', 'prefix', 'empty']) {
    const as = callerOf(name)
    for (const path of ['/v1/log/audit', '/v1/log/error']) {
      const row = decisions.rows.find((each) => each.policy === name && each.path === path)
      const received = await exchange(
        server,
        `GET ${path} HTTP/1.1\r\nHost: kes\r\n\r\n`,
        (text) => text.includes('\r\n\r\n'),
        as,
      )
      expect(received.startsWith('HTTP/1.1 403 ')).toBe(row?.allowed !== true)
    }
  }
})

test('one connection is one caller, however many requests it carries', async () => {
  const session = connect(server.url, {
    ca: server.ca,
    key: callerOf('empty').key,
    cert: callerOf('empty').cert,
  })
  const statuses = await Promise.all(
    Array.from(
      { length: 50 },
      () =>
        new Promise((resolve) => {
          session
            .request({ ':path': '/v1/status' })
            .on('response', (headers) => resolve(headers[':status']))
            .resume()
        }),
    ),
  )
  session.destroy()
  expect(new Set(statuses)).toEqual(new Set([403]))
  expect(textOf(await server.request('GET', '/v1/ready'))).toBe('')
})
