/** The client against the real server: every call, over both versions of HTTP, by API key and by certificate. */
import { randomBytes } from 'node:crypto'
import {
  type ApiKey,
  CertificateRequiredError,
  IdentityNotFoundError,
  InvalidKeySizeError,
  KesClient,
  type KesClientOptions,
  KesConnectionError,
  KeyDisabledError,
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
  NotAllowedError,
  NotAuthenticError,
  PolicyNotFoundError,
} from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { authorityOf, type Credentials, clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'

let server: TestServer
let user: Credentials
let apiKey: ApiKey

beforeAll(async () => {
  user = await clientOf('user')
  server = await startTestServer({
    policies: {
      'my-app': {
        allow: ['/v1/key/*', '/v1/log/*'],
        deny: ['/v1/key/delete/*'],
        identities: [user.identity],
      },
    },
  })
  apiKey = server.apiKey
})

afterAll(() => server.stop())

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  return await Array.fromAsync(items)
}

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const open = (options: Partial<KesClientOptions>) =>
    new KesClient({ endpoint: server.url, ca: server.ca, protocol, ...options })
  const asAdmin = () => open({ apiKey })
  const asUser = () => open({ certificate: { cert: user.cert, key: user.key } })
  const nameOf = (text: string) => `${text}-${protocol === 'h2' ? 'two' : 'one'}`

  test('the server tells of itself', async () => {
    await using client = asAdmin()
    expect((await client.version()).version).toMatch(/^\d+\.\d+\.\d+$/)
    await client.ready()
    expect(await client.status()).toMatchObject({ os: process.platform, cpus: expect.any(Number) })
    expect((await client.metrics()).cpus).toBeGreaterThan(0)
    expect((await client.apis()).map(({ path }) => path)).toContain('/v1/key/disable/')
  })

  test('a key lives: made, used, locked, resumed, erased', async () => {
    await using client = asAdmin()
    const name = nameOf('life')
    const context = Buffer.from('context')
    await client.createKey(name)
    await expect(client.createKey(name)).rejects.toThrow(KeyExistsError)
    expect(await client.describeKey(name)).toMatchObject({
      name,
      algorithm: 'AES256',
      state: 'enabled',
      revision: 1,
    })

    const { plaintext, ciphertext } = await client.generateKey(name, context)
    expect(await client.decrypt(name, ciphertext, context)).toEqual(plaintext)
    await expect(client.decrypt(name, ciphertext)).rejects.toThrow(NotAuthenticError)
    const encrypted = await client.encrypt(name, Buffer.from('hello'))
    expect(Buffer.from(await client.decrypt(name, encrypted)).toString()).toBe('hello')
    expect(await client.hmac(name, Buffer.from('message'))).toHaveLength(32)

    await client.disableKey(name)
    for (const use of [
      () => client.generateKey(name),
      () => client.encrypt(name, Buffer.of()),
      () => client.decrypt(name, ciphertext, context),
      () => client.hmac(name, Buffer.of()),
    ]) {
      await expect(use()).rejects.toThrow(KeyDisabledError)
    }
    await client.enableKey(name)
    expect(await client.decrypt(name, ciphertext, context)).toEqual(plaintext)

    await client.deleteKey(name)
    await expect(client.describeKey(name)).rejects.toThrow(KeyNotFoundError)
    await expect(client.deleteKey(name)).rejects.toThrow(KeyNotFoundError)
    await expect(client.createKey(name)).rejects.toThrow(KeyNameReservedError)
    await client.createKey(name, { reuse: true })
    await expect(client.decrypt(name, ciphertext, context)).rejects.toThrow(NotAuthenticError)
  })

  test('keys are imported, listed, and changed by pattern', async () => {
    await using client = asAdmin()
    const names = ['a', 'b', 'c'].map((text) => nameOf(`many-${text}`))
    for (const name of names) await client.importKey(name, randomBytes(32), { cipher: 'ChaCha20' })
    await expect(client.importKey(nameOf('short'), randomBytes(31))).rejects.toThrow(InvalidKeySizeError)
    expect(await collect(client.listKeys('many-'))).toEqual(expect.arrayContaining(names))
    const changed = await client.disableKeys('many-*')
    expect(changed).toMatchObject({ damaged: 0 })
    expect(changed.matched).toBeGreaterThanOrEqual(names.length)
    const details = await collect(client.listKeyDetails('many-'))
    expect(new Set(details.map(({ state }) => state))).toEqual(new Set(['disabled']))
    expect(await client.enableKeys('many-*')).toEqual({ ...changed, changed: changed.matched })
  })

  test('policies and identities are read', async () => {
    await using client = asAdmin()
    expect(await collect(client.listPolicies())).toEqual(['my-app'])
    expect(await client.describePolicy('my-app')).toMatchObject({ name: 'my-app' })
    expect(await client.readPolicy('my-app')).toMatchObject({ allow: ['/v1/key/*', '/v1/log/*'] })
    await expect(client.readPolicy('nope')).rejects.toThrow(PolicyNotFoundError)
    expect(await collect(client.listIdentities())).toEqual([apiKey.identity, user.identity].sort())
    expect(await client.describeIdentity(user.identity)).toMatchObject({ isAdmin: false, policy: 'my-app' })
    await expect(client.describeIdentity('ab')).rejects.toThrow(IdentityNotFoundError)
    expect(await client.describeSelf()).toMatchObject({ isAdmin: true })
  })

  test('a user does what the policy allows, and is told his policy', async () => {
    await using client = asUser()
    const name = nameOf('user')
    await client.createKey(name)
    expect((await client.generateKey(name)).plaintext).toHaveLength(32)
    await expect(client.deleteKey(name)).rejects.toThrow(NotAllowedError)
    await expect(client.status()).rejects.toThrow(NotAllowedError)
    expect(await client.describeSelf()).toMatchObject({ policy: 'my-app', deny: ['/v1/key/delete/*'] })
  })

  test('the audit log is heard while it happens', async () => {
    await using client = asAdmin()
    const opened = Promise.withResolvers<void>()
    const stop = new AbortController()
    const heard = (async () => {
      for await (const event of client.auditLog({ onOpen: opened.resolve, signal: stop.signal })) {
        if (event.path === '/v1/key/list/heard') return event
      }
      return undefined
    })()
    await opened.promise
    await collect(client.listKeys('heard'))
    expect(await heard).toMatchObject({ status: 200, identity: apiKey.identity })
    stop.abort()
  })

  test('a certificate that says CA:TRUE is nobody, and a server of another authority is not trusted', async () => {
    const { certificate, privateKey } = await authorityOf('somebody')
    await using nobody = open({ certificate: { cert: certificate.toString(), key: privateKey } })
    await expect(nobody.status()).rejects.toThrow(CertificateRequiredError)
    await using stranger = new KesClient({ endpoint: server.url, apiKey, protocol })
    await expect(stranger.version()).rejects.toThrow(KesConnectionError)
  })
})
