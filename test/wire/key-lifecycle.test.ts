/** A key's life: enabled, disabled, enabled again, erased; over both protocols, and over a restart. */
import { rmSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Credentials, clientOf } from '../sandbox/certificates.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, type Protocol, type Reply, startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectEmpty, expectError, jsonOf, NOT_ALLOWED, textOf } from './replies.ts'

interface Described {
  readonly state: string
  readonly revision: number
  readonly changed_at: string
  readonly changed_by: string
  readonly created_at: string
}

const put = (server: TestServer, api: string, name: string, options = {}) =>
  server.request('PUT', `/v1/key/${api}/${name}`, options)
const erase = (server: TestServer, name: string, options = {}) =>
  server.request('DELETE', `/v1/key/delete/${name}`, options)
const describeKey = async (server: TestServer, name: string) =>
  jsonOf<Described>(await server.request('GET', `/v1/key/describe/${name}`))

/** The replies of all four uses, each over both protocols. */
async function useAll(server: TestServer, name: string, ciphertext: string): Promise<Reply[]> {
  const bodies = {
    generate: {},
    encrypt: { plaintext: 'AAAA' },
    decrypt: { ciphertext },
    hmac: { message: 'AAAA' },
  }
  return Promise.all(
    PROTOCOLS.flatMap((protocol) =>
      Object.entries(bodies).map(([api, body]) => put(server, api, name, { protocol, body })),
    ),
  )
}

async function encryptWith(server: TestServer, name: string): Promise<string> {
  const reply = await put(server, 'encrypt', name, { body: { plaintext: 'AAAA' } })
  return jsonOf<{ ciphertext: string }>(reply).ciphertext
}

const statuses = (replies: readonly Reply[]) => [...new Set(replies.map(({ status }) => status))]

describe.each(PROTOCOLS)('changed over %s', (protocol: Protocol) => {
  test('a disabled key gives nothing on any connection until it is enabled again', async () => {
    await using server = await startTestServer({ keys: ['a', 'b'] })
    const ciphertext = await encryptWith(server, 'a')
    for (let round = 0; round < 3; round += 1) {
      expect(statuses(await useAll(server, 'a', ciphertext))).toEqual([200])
      expectEmpty(await put(server, 'disable', 'a', { protocol }))
      for (const reply of await useAll(server, 'a', ciphertext))
        expectError(reply, 403, NOT_ALLOWED, 'KeyDisabled')
      expect(statuses(await useAll(server, 'b', await encryptWith(server, 'b')))).toEqual([200])
      expectEmpty(await put(server, 'enable', 'a', { protocol }))
    }
    expect(statuses(await useAll(server, 'a', ciphertext))).toEqual([200])
  })

  test('state, revision and the last change are told; a change to what is so already is none', async () => {
    await using server = await startTestServer({ keys: ['a'] })
    const created = await describeKey(server, 'a')
    expect(created).toMatchObject({ state: 'enabled', revision: 1, changed_at: created.created_at })
    const steps = [
      ['enable', 'enabled', 1],
      ['disable', 'disabled', 2],
      ['disable', 'disabled', 2],
      ['enable', 'enabled', 3],
      ['enable', 'enabled', 3],
    ] as const
    for (const [api, state, revision] of steps) {
      expectEmpty(await put(server, api, 'a', { protocol }))
      const described = await describeKey(server, 'a')
      expect(described).toMatchObject({ state, revision, created_at: created.created_at })
      expect(described.changed_by).toBe(server.admin.identity)
      expect(Date.parse(described.changed_at)).toBeGreaterThanOrEqual(Date.parse(created.changed_at))
    }
  })

  test('a disabled key is listed, described and erased as any other', async () => {
    await using server = await startTestServer({ keys: ['a'] })
    await put(server, 'disable', 'a', { protocol })
    expect(jsonOf(await server.request('GET', '/v1/key/list/'))).toEqual({ names: ['a'] })
    expect(await describeKey(server, 'a')).toMatchObject({ name: 'a', state: 'disabled' })
    expectEmpty(await erase(server, 'a', { protocol }))
    expect(jsonOf(await server.request('GET', '/v1/key/list/'))).toEqual({ names: [] })
  })

  test('an erased key is gone, and its name stays taken until the admin reuses it', async () => {
    const user = await clientOf('user')
    const policies = { all: { allow: ['/v1/*'], identities: [user.identity] } }
    await using server = await startTestServer({ keys: ['a'], policies })
    const ciphertext = await encryptWith(server, 'a')
    expectEmpty(await erase(server, 'a', { protocol }))
    for (const reply of await useAll(server, 'a', ciphertext))
      expectError(reply, 404, 'key does not exist', 'KeyNotFound')
    for (const reply of [
      await server.request('GET', '/v1/key/describe/a', { protocol }),
      await erase(server, 'a', { protocol }),
      await put(server, 'enable', 'a', { protocol }),
      await put(server, 'disable', 'a', { protocol }),
    ]) {
      expectError(reply, 404, 'key does not exist', 'KeyNotFound')
    }
    const key = Buffer.alloc(32, 1).toString('base64')
    for (const as of [server.admin, user]) {
      const imported = await put(server, 'import', 'a', { protocol, as, body: { key, cipher: 'AES256' } })
      for (const reply of [await put(server, 'create', 'a', { protocol, as }), imported]) {
        expectError(reply, 400, 'key already exists', 'KeyNameReserved')
      }
      expectError(
        await put(server, 'create', 'a?reuse=false', { protocol, as }),
        400,
        'key already exists',
        'KeyNameReserved',
      )
    }
    expectError(
      await put(server, 'create', 'a?reuse=true', { protocol, as: user }),
      403,
      NOT_ALLOWED,
      'NotAllowed',
    )
    expectError(
      await put(server, 'create', 'new?reuse=true', { protocol, as: user }),
      403,
      NOT_ALLOWED,
      'NotAllowed',
    )

    expectEmpty(await put(server, 'create', 'a?reuse=true', { protocol }))
    const stale = await put(server, 'decrypt', 'a', { protocol, body: { ciphertext } })
    expectError(stale, 400, 'decryption failed: ciphertext is not authentic', 'NotAuthentic')
    expectError(await put(server, 'create', 'a', { protocol }), 400, 'key already exists', 'KeyExists')
    expectError(
      await put(server, 'create', 'a?reuse=true', { protocol }),
      400,
      'key already exists',
      'KeyExists',
    )
    expect(await describeKey(server, 'a')).toMatchObject({ state: 'enabled', revision: 1 })
  })

  test('where erased names are free, they can be taken by anyone at once', async () => {
    await using server = await startTestServer({ keys: ['a'], erasedNames: 'free' })
    const ciphertext = await encryptWith(server, 'a')
    expectEmpty(await erase(server, 'a', { protocol }))
    expectEmpty(await put(server, 'create', 'a', { protocol }))
    const stale = await put(server, 'decrypt', 'a', { protocol, body: { ciphertext } })
    expectError(stale, 400, 'decryption failed: ciphertext is not authentic', 'NotAuthentic')
  })

  test('no use that begins after a disable or an erase has returned succeeds', async () => {
    await using server = await startTestServer({ keys: ['a', 'b'] })
    for (const [name, change] of [
      ['a', () => put(server, 'disable', 'a', { protocol })],
      ['b', () => erase(server, 'b', { protocol })],
    ] as const) {
      const ciphertext = await encryptWith(server, name)
      let hasReturned = false
      let lateSuccesses = 0
      let uses = 0
      const users = Array.from({ length: 16 }, async (_, index) => {
        const over = PROTOCOLS[index % 2] ?? 'h2'
        for (let rounds = 0; rounds < 5; rounds += hasReturned ? 1 : 0) {
          const beganAfter = hasReturned
          const { status } = await put(server, 'decrypt', name, { body: { ciphertext }, protocol: over })
          uses += 1
          if (beganAfter && status === 200) lateSuccesses += 1
        }
      })
      while (uses < 50) await new Promise((resolve) => setTimeout(resolve, 1))
      expectEmpty(await change())
      hasReturned = true
      await Promise.all(users)
      expect(lateSuccesses).toBe(0)
    }
  })
})

describe('patterns', () => {
  let server: TestServer
  let team: Credentials
  let other: Credentials

  beforeAll(async () => {
    team = await clientOf('team')
    other = await clientOf('other team')
    server = await startTestServer({
      keys: ['my-1', 'my-2', 'my-3', 'mine', 'other'],
      policies: {
        team: { allow: ['/v1/key/disable/my-*', '/v1/key/enable/my-*'], identities: [team.identity] },
        other: {
          allow: ['/v1/key/disable/*', '/v1/key/enable/*'],
          deny: ['/v1/key/disable/my-2', '/v1/key/enable/my-2'],
          identities: [other.identity],
        },
      },
    })
  })

  afterAll(() => server.stop())

  const disabled = async () => {
    const { keys } = jsonOf<{ keys: { name: string; state: string }[] }>(
      await server.request('GET', '/v1/key/list/?details=true'),
    )
    return keys.filter(({ state }) => state === 'disabled').map(({ name }) => name)
  }

  test.each(PROTOCOLS)(
    'over %s, all keys of a prefix change in one call, which says how many',
    async (protocol) => {
      const change = async (api: string, pattern: string) =>
        textOf(await put(server, api, pattern, { protocol, as: team }))
      expect(await change('disable', 'my-*')).toBe('{"matched":3,"changed":3}\n')
      expect(await disabled()).toEqual(['my-1', 'my-2', 'my-3'])
      expect(await change('disable', 'my-*')).toBe('{"matched":3,"changed":0}\n')
      await put(server, 'enable', 'my-2')
      expect(await change('disable', 'my-%2A')).toBe('{"matched":3,"changed":1}\n')
      expect(await change('enable', 'my-*')).toBe('{"matched":3,"changed":3}\n')
      expect(await change('enable', 'my-nothing*')).toBe('{"matched":0,"changed":0}\n')
      expect(await disabled()).toEqual([])
    },
  )

  test.each(PROTOCOLS)(
    'over %s, one key that the caller may not change keeps all as they are',
    async (protocol) => {
      const body = { plaintext: 'AAAA' }
      for (const pattern of ['*', 'm*', 'my-*']) {
        expectError(
          await put(server, 'disable', pattern, { protocol, as: other }),
          403,
          NOT_ALLOWED,
          'NotAllowed',
        )
        expect(await disabled()).toEqual([])
        expect((await put(server, 'encrypt', 'my-1', { body })).status).toBe(200)
      }
      for (const pattern of ['*', 'm*', 'my*']) {
        expectError(
          await put(server, 'disable', pattern, { protocol, as: team }),
          403,
          NOT_ALLOWED,
          'NotAllowed',
        )
      }
      expect((await put(server, 'disable', 'o*', { protocol, as: other })).status).toBe(200)
      expect((await put(server, 'enable', 'my-*', { protocol, as: other })).status).toBe(403)
      expect(await disabled()).toEqual(['other'])
      expect((await put(server, 'enable', '*', { protocol })).status).toBe(200)
    },
  )

  test.each(['my**', '*my', 'm*y', 'my-*/', '_.*', ' *', '-*', `${'a'.repeat(80)}*`])(
    '%s is no pattern',
    async (pattern) => {
      const reply = await put(server, 'disable', encodeURIComponent(pattern))
      const message = `key name '${pattern}' is empty, too long or contains invalid characters`
      expect([reply.status, JSON.parse(textOf(reply))]).toEqual([400, { message, code: 'InvalidName' }])
      expect(await disabled()).toEqual([])
    },
  )

  test.each([
    ['PUT', 'create'],
    ['DELETE', 'delete'],
    ['GET', 'describe'],
    ['PUT', 'generate'],
  ])('%s %s takes no pattern', async (method, api) => {
    const reply = await server.request(method, `/v1/key/${api}/my-*`)
    expectError(
      reply,
      400,
      "key name 'my-*' is empty, too long or contains invalid characters",
      'InvalidName',
    )
  })
})

describe('on SQLite', () => {
  test('states, erased names and ciphertexts outlive a restart', async () => {
    using store = prepareStore([{ name: 'used' }, { name: 'locked' }, { name: 'erased' }])
    const ciphertexts: string[] = []
    {
      await using server = await startTestServer(store)
      for (const name of ['used', 'locked']) ciphertexts.push(await encryptWith(server, name))
      await put(server, 'disable', 'locked')
      await erase(server, 'erased')
      await put(server, 'create', 'made')
    }
    await using server = await startTestServer({ ...store, keys: ['used', 'erased', 'predefined'] })
    const [used = '', locked = ''] = ciphertexts
    expect(statuses(await useAll(server, 'used', used))).toEqual([200])
    for (const reply of await useAll(server, 'locked', locked))
      expectError(reply, 403, NOT_ALLOWED, 'KeyDisabled')
    expect(await describeKey(server, 'locked')).toMatchObject({
      state: 'disabled',
      revision: 2,
      changed_by: server.admin.identity,
    })
    expectError(await put(server, 'create', 'erased'), 400, 'key already exists', 'KeyNameReserved')
    expectError(await put(server, 'generate', 'erased'), 404, 'key does not exist', 'KeyNotFound')
    expect(jsonOf(await server.request('GET', '/v1/key/list/'))).toEqual({
      names: ['locked', 'made', 'predefined', 'used'],
    })
    const told = server.errorLog().filter(({ msg }) => msg.includes("'erased'"))
    expect(told.map(({ level }) => level)).toEqual(['WARN'])
    expectEmpty(await put(server, 'enable', 'locked'))
    expect(statuses(await useAll(server, 'locked', locked))).toEqual([200])
  })

  test.each(['sealed', 'mac'] as const)(
    'a key whose %s bytes are damaged answers 502 to every use, can be locked and erased, and harms no other',
    async (damaged) => {
      using store = prepareStore([{ name: 'bad', damaged }, { name: 'good' }])
      await using server = await startTestServer(store)
      const ciphertext = await encryptWith(server, 'good')
      for (const reply of await useAll(server, 'bad', ciphertext)) {
        expectError(reply, 502, 'failed to read key', 'RecordDamaged')
      }
      expect(statuses(await useAll(server, 'good', ciphertext))).toEqual([200])
      expect(jsonOf(await server.request('GET', '/v1/key/list/'))).toEqual({ names: ['bad', 'good'] })
      expectError(await put(server, 'create', 'bad'), 400, 'key already exists', 'KeyExists')

      expectEmpty(await put(server, 'disable', 'bad'))
      for (const reply of await useAll(server, 'bad', ciphertext))
        expectError(reply, 403, NOT_ALLOWED, 'KeyDisabled')
      if (damaged === 'sealed') {
        expectError(await put(server, 'enable', 'bad'), 502, 'failed to read key', 'RecordDamaged')
        expect(await describeKey(server, 'bad')).toMatchObject({ state: 'disabled' })
      }
      expectEmpty(await erase(server, 'bad'))
      expectError(await put(server, 'generate', 'bad'), 404, 'key does not exist', 'KeyNotFound')
      expect(server.errorLog().filter(({ level }) => level === 'ERROR').length).toBeGreaterThan(0)
    },
  )

  test('a store that has gone is 504 for readiness, and unreachable in the status', async () => {
    using store = prepareStore([{ name: 'a' }])
    await using server = await startTestServer(store)
    expectEmpty(await server.request('GET', '/v1/ready'))
    rmSync(store.keystore.path)
    expectError(
      await server.request('GET', '/v1/ready'),
      504,
      'key store is not reachable',
      'StoreUnreachable',
    )
    const status = jsonOf<Record<string, unknown>>(await server.request('GET', '/v1/status'))
    expect(status).toMatchObject({ keystore_unreachable: true, keystore_unavailable: true })
    expect(status).not.toHaveProperty('keystore_latency')
    expect(server.errorLog().at(-1)?.msg).toContain('key store is not reachable')
  })
})
