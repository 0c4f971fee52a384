/** What can be read of policies and identities: section 9 of KES's protocol. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectError, jsonOf, textOf } from './replies.ts'

let server: TestServer
let app: Credentials
let ops: Credentials
let startedMs: number

beforeAll(async () => {
  app = await clientOf('app')
  ops = await clientOf('ops')
  startedMs = Date.now()
  server = await startTestServer({
    policies: {
      'my-app': {
        allow: ['/v1/key/generate/my-app*', '/v1/api', '/v1/key/decrypt/my-app*'],
        deny: ['/v1/key/generate/my-app-<&>*'],
        identities: [app.identity, 'not-hex'],
      },
      ops: { deny: ['/v1/*'], identities: [ops.identity] },
      empty: {},
    },
  })
})

afterAll(() => server.stop())

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const ask = (path: string, as: Credentials = server.admin) => server.request('GET', path, { protocol, as })
  const textAt = async (path: string, as?: Credentials) => textOf(await ask(path, as))
  const createdAt = async () =>
    jsonOf<{ created_at: string }>(await ask('/v1/identity/self/describe')).created_at

  test('a policy is described by its name and the start of the server', async () => {
    const time = await createdAt()
    expect(Math.abs(Date.parse(time) - startedMs)).toBeLessThan(5_000)
    expect(time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}Z$/)
    expect(await textAt('/v1/policy/describe/my-app')).toBe(
      `{"name":"my-app","created_at":"${time}","created_by":"${server.admin.identity}"}\n`,
    )
  })

  test('a policy is read with its rules as sorted keys, and without what it has not', async () => {
    const origin = `"created_at":"${await createdAt()}","created_by":"${server.admin.identity}"`
    expect(await textAt('/v1/policy/read/my-app')).toBe(
      '{"name":"my-app","allow":{"/v1/api":{},"/v1/key/decrypt/my-app*":{},"/v1/key/generate/my-app*":{}},' +
        `"deny":{"/v1/key/generate/my-app-\\u003c\\u0026\\u003e*":{}},${origin}}\n`,
    )
    expect(await textAt('/v1/policy/read/ops')).toBe(`{"name":"ops","deny":{"/v1/*":{}},${origin}}\n`)
    expect(await textAt('/v1/policy/read/empty')).toBe(`{"name":"empty",${origin}}\n`)
  })

  test.each(['describe', 'read'])(
    '%s of a policy that is not there is 404, and of no name 400',
    async (api) => {
      expectError(await ask(`/v1/policy/${api}/nope`), 404, 'policy does not exist', 'PolicyNotFound')
      for (const name of ['', '-', '_', 'a*', 'a.b']) {
        const message = `policy name '${name}' is empty, too long or contains invalid characters`
        expectError(await ask(`/v1/policy/${api}/${name}`), 400, message, 'InvalidName')
      }
    },
  )

  test.each([
    ['', ['empty', 'my-app', 'ops']],
    ['*', ['empty', 'my-app', 'ops']],
    ['my', ['my-app']],
    ['my-*', ['my-app']],
    ['x', []],
  ])('the policies listed for %j are %j', async (argument, names) => {
    expect(await textAt(`/v1/policy/list/${argument}`)).toBe(
      `${JSON.stringify({ names, continue_at: '' })}\n`,
    )
  })

  test('an identity is described by its policy, the admin as such', async () => {
    const time = await createdAt()
    expect(await textAt(`/v1/identity/describe/${app.identity}`)).toBe(
      `{"policy":"my-app","created_at":"${time}","created_by":"${server.admin.identity}"}\n`,
    )
    expect(await textAt(`/v1/identity/describe/${server.admin.identity}`)).toBe(
      `{"admin":true,"created_at":"${time}"}\n`,
    )
    expect(jsonOf(await ask('/v1/identity/describe/not-hex'))).toMatchObject({ policy: 'my-app' })
  })

  test('an identity that is not known is 404, and what is none 400', async () => {
    const unknown = await ask(`/v1/identity/describe/${'0'.repeat(64)}`)
    expectError(unknown, 404, 'identity does not exist', 'IdentityNotFound')
    for (const identity of ['', 'a b', 'a*', '-', 'a'.repeat(81)]) {
      const reply = await ask(`/v1/identity/describe/${encodeURIComponent(identity)}`)
      const message = `identity '${identity}' is empty, too long or contains invalid characters`
      expectError(reply, 400, message, 'InvalidName')
    }
  })

  test('identities are listed with the admin, sorted', async () => {
    const all = [server.admin.identity, app.identity, ops.identity, 'not-hex'].sort()
    const listed = (identities: string[]) => `${JSON.stringify({ identities, continue_at: '' })}\n`
    for (const argument of ['', '*']) expect(await textAt(`/v1/identity/list/${argument}`)).toBe(listed(all))
    const prefix = app.identity.slice(0, 12)
    for (const argument of [prefix, `${prefix}*`, app.identity]) {
      expect(await textAt(`/v1/identity/list/${argument}`)).toBe(listed([app.identity]))
    }
    expect(await textAt('/v1/identity/list/not-*')).toBe(listed(['not-hex']))
  })

  test.each(['policy', 'identity'])('a listing of %s by what is no pattern is 400', async (kind) => {
    for (const argument of ['_', 'a-', 'a.b', '**', 'a*b']) {
      const message = `listing pattern '${argument}' is empty, too long or is invalid`
      expectError(await ask(`/v1/${kind}/list/${argument}`), 400, message, 'InvalidPattern')
    }
  })

  test('the admin sees himself as such', async () => {
    expect(await textAt('/v1/identity/self/describe')).toBe(
      `{"identity":"${server.admin.identity}","admin":true,"created_at":"${await createdAt()}"}\n`,
    )
  })

  test('a user sees the name of his policy and its rules, as the clients of KES read them', async () => {
    const origin = `"created_at":"${await createdAt()}","created_by":"${server.admin.identity}"`
    expect(await textAt('/v1/identity/self/describe', app)).toBe(
      `{"identity":"${app.identity}",${origin},"policy":"my-app",` +
        '"allow":{"/v1/api":{},"/v1/key/decrypt/my-app*":{},"/v1/key/generate/my-app*":{}},' +
        '"deny":{"/v1/key/generate/my-app-\\u003c\\u0026\\u003e*":{}}}\n',
    )
    expect(await textAt('/v1/identity/self/describe', ops)).toBe(
      `{"identity":"${ops.identity}",${origin},"policy":"ops","deny":{"/v1/*":{}}}\n`,
    )
  })

  test('whoever has no policy does not exist', async () => {
    const reply = await ask('/v1/identity/self/describe', await clientOf('stranger'))
    expectError(reply, 404, 'identity does not exist', 'IdentityNotFound')
  })

  test('the creator of all is the admin of the config, also where that is no identity', async () => {
    const policies = { all: { allow: ['/v1/*'], identities: [app.identity] } }
    await using disabled = await startTestServer({ adminIdentity: 'disabled', policies })
    const get = (path: string) => disabled.request('GET', path, { protocol, as: app })
    expect(jsonOf(await get('/v1/policy/describe/all'))).toMatchObject({ created_by: 'disabled' })
    expect(jsonOf(await get('/v1/identity/describe/disabled'))).toMatchObject({ admin: true })
  })
})
