/** The KMS layer: against recorded answers of a Go KES, against the real server, and from the environment. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { ApiKey, encryptPrivateKey, KesClient } from '@latchkey/kms-client'
import {
  type Environment,
  KesKms,
  type Kms,
  KmsConfigError,
  type KmsContext,
  KmsError,
  type KmsOptions,
  openKms,
  parseSecretKey,
  readKmsConfig,
} from '@latchkey/kms-client/kms'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readMinioVectors } from '../minio-vectors.ts'
import { type Credentials, clientOf, keyPairOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { type FakeServer, type Handler, readJson, startFakeServer } from './fake-server.ts'

interface Exchange {
  readonly id: string
  readonly method: string
  readonly path: string
  readonly requestBody: string
  readonly kmsContext: string | null
  readonly status: number
  readonly responseContentType: string | null
  readonly responseBody: string
}

const exchanges = readMinioVectors<Exchange>('kes-wire.json')

/** What came of a call: its value as JSON has it, or what MinIO makes of the error. */
async function outcomeOf(call: Promise<unknown>): Promise<unknown> {
  try {
    return await call
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
    return { reason: error.reason, ...error.minio }
  }
}

/** The call that MinIO made for this exchange; its outcome in the terms of the wire. */
async function callOf(kms: Kms, { path, requestBody, kmsContext }: Exchange): Promise<unknown> {
  const [, , , call = '', argument = ''] = path.split('/')
  const key = decodeURIComponent(argument)
  const context: KmsContext = JSON.parse(kmsContext ?? '{}')
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  switch (call) {
    case 'generate': {
      const { plaintext, ciphertext } = await kms.generateKey({ key, context })
      return { plaintext: base64(plaintext.bytes), ciphertext: base64(ciphertext) }
    }
    case 'decrypt': {
      const ciphertext = Buffer.from(JSON.parse(requestBody).ciphertext, 'base64')
      return { plaintext: base64((await kms.decrypt({ key, ciphertext, context })).bytes) }
    }
    case 'create':
      return await kms.createKey(key)
    case 'list':
      return { names: await Array.fromAsync(kms.listKeys(key)) }
    case 'describe':
      return await kms.keyState(key)
    default:
      return path === '/v1/api'
        ? (await kms.apis()).length
        : (await kms.status()).endpoints.map(({ state }) => state)
  }
}

const DENIED = {
  status: 403,
  code: 'kms:NotAuthorized',
  message: 'insufficient permissions to perform KMS operation',
}

/** What the exchange says that MinIO got. */
function expectedOf({ path, status, responseBody }: Exchange): unknown {
  if (status === 200) {
    if (path.startsWith('/v1/key/describe')) return 'enabled'
    if (path === '/v1/status') return ['online']
    return responseBody === '' || responseBody === null ? undefined : shapeOf(JSON.parse(responseBody))
  }
  const call = path.split('/')[3]
  const { message } = JSON.parse(responseBody)
  if (message === 'not authorized: insufficient permissions') return { reason: 'not-allowed', ...DENIED }
  if (message === 'key does not exist') return expect.objectContaining({ code: 'kms:KeyNotFound' })
  if (message === 'key already exists') return expect.objectContaining({ code: 'kms:KeyAlreadyExists' })
  if (call === 'decrypt') return expect.objectContaining({ code: 'kms:InvalidCiphertextException' })
  return expect.objectContaining({ reason: 'failed', code: 'kms:KeyGenerationFailed' })
}

function shapeOf(reply: unknown): unknown {
  return Array.isArray(reply) ? reply.length : reply
}

describe('recorded answers of a Go KES', () => {
  let server: FakeServer
  let kms: Kms
  let answer: Handler = () => {}

  beforeAll(async () => {
    server = await startFakeServer((request, response) => answer(request, response))
    kms = new KesKms(new KesClient({ ...server, retries: 0 }), 'minio-default-key')
  })

  afterAll(async () => {
    await kms.close()
    await server[Symbol.asyncDispose]()
  })

  test.each(exchanges.filter(({ status }) => status !== 307))('$id: $method $path', async (exchange) => {
    const requests: unknown[] = []
    answer = async (request, response) => {
      const hasBody = request.headers['content-type'] !== undefined
      const body = hasBody ? await readJson(request) : undefined
      if (request.url !== '/version') requests.push([request.url, body])
      const { responseContentType: type } = exchange
      response.writeHead(exchange.status, type === null ? {} : { 'content-type': type })
      response.end(exchange.responseBody)
    }
    expect(await outcomeOf(callOf(kms, exchange))).toEqual(expectedOf(exchange))

    // A name that no server takes, and the status of one that answers, are not asked for.
    if (exchange.path.includes('%2F') || exchange.path === '/v1/status') return
    const body = exchange.requestBody ? JSON.parse(exchange.requestBody) : undefined
    const path = exchange.path.replace(/\/list\/ten%2A$/, '/list/ten')
    expect(requests).toEqual([[path, body]])
  })
})

describe('the real server', () => {
  let server: TestServer
  let user: Credentials
  let kms: Kms
  let admin: KesClient

  beforeAll(async () => {
    user = await clientOf('user')
    server = await startTestServer({
      policies: {
        minio: {
          allow: [
            '/v1/key/generate/*',
            '/v1/key/decrypt/*',
            '/v1/key/create/*',
            '/v1/key/hmac/*',
            '/v1/key/list/*',
            '/v1/key/describe/*',
            '/v1/key/history/*',
            '/v1/api',
          ],
          deny: ['/v1/key/generate/denied-*', '/v1/key/create/denied-*'],
          identities: [user.identity],
        },
      },
    })
    admin = new KesClient({ endpoint: server.url, ca: server.ca, apiKey: server.apiKey })
    kms = kmsOf(user)
    for (const [name, first] of [
      ['minio-default-key', 0x00],
      ['tenant-a-key', 0x20],
    ] as const) {
      await admin.importKey(name, Buffer.from(Array.from({ length: 32 }, (_, index) => first + index)))
    }
    await admin.createKey('denied-key')
  })

  afterAll(async () => {
    await Promise.all([kms.close(), admin.close()])
    await server.stop()
  })

  const kmsOf = ({ cert, key }: Credentials, defaultKey = 'minio-default-key') =>
    new KesKms(new KesClient({ endpoint: server.url, ca: server.ca, certificate: { cert, key } }), defaultKey)

  const decryptions = exchanges.filter(
    ({ path, status }) => /\/decrypt\/(?:minio-default|tenant-a)-key$/.test(path) && status === 200,
  )
  const refusals = exchanges.filter(({ path }) => /\/(?:nosuchkey|denied-.*|bad%2Fkey%20name)$/.test(path))

  test.each(decryptions)('decrypts what a Go KES encrypted, $id', async (exchange) => {
    expect(await callOf(kms, exchange)).toEqual(expectedOf(exchange))
    const moved = { ...exchange, kmsContext: '{"other":"context"}' }
    expect(await outcomeOf(callOf(kms, moved))).toMatchObject({ reason: 'wrong-ciphertext' })
  })

  test.each(refusals)('refuses what a Go KES refused, $id: $path', async (exchange) => {
    expect(await outcomeOf(callOf(kms, exchange))).toEqual(expectedOf(exchange))
  })

  test('tells a locked key from one that waits, one that was erased, and one that never was', async () => {
    const name = 'life'
    await kms.createKey(name)
    await expect(kms.createKey(name)).rejects.toMatchObject({ reason: 'exists' })
    const context = { bucket: 'bucket/object' }
    const { plaintext, ciphertext } = await kms.generateKey({ key: name, context })
    const decrypt = () => kms.decrypt({ key: name, ciphertext, context })
    expect((await decrypt()).equals(plaintext)).toBe(true)
    expect(await kms.keyState(name)).toBe('enabled')
    expect(await kms.mac({ key: name, message: Buffer.from('m') })).toHaveLength(32)

    await admin.disableKey(name)
    await expect(decrypt()).rejects.toMatchObject({ reason: 'locked', minio: DENIED })
    await expect(kms.generateKey({ key: name })).rejects.toMatchObject({ reason: 'locked' })
    expect(await kms.keyState(name)).toBe('disabled')
    await admin.enableKey(name)
    expect((await decrypt()).equals(plaintext)).toBe(true)

    await admin.deleteKey(name)
    await expect(decrypt()).rejects.toMatchObject({ reason: 'erased', minio: { code: 'kms:KeyNotFound' } })
    await expect(kms.createKey(name)).rejects.toMatchObject({ reason: 'exists' })
    expect(await kms.keyState(name)).toBe('erased')
    expect(await kms.keyState('never')).toBe('absent')
  })

  test('makes the default key at start if there is none, and only then', async () => {
    await using fresh = kmsOf(user, 'fresh')
    expect(await fresh.keyState()).toBe('absent')
    await fresh.start()
    const { revision } = await admin.describeKey('fresh')
    await fresh.start()
    expect(await admin.describeKey('fresh')).toMatchObject({ revision })
    expect(await fresh.checkKey()).toEqual({ key: 'fresh' })
  })

  test('lets two that start at the same time have the same default key', async () => {
    await using one = kmsOf(user, 'shared')
    await using other = kmsOf(user, 'shared')
    await Promise.all([one.start(), other.start()])
    const { ciphertext } = await one.generateKey()
    await expect(other.decrypt({ key: 'shared', ciphertext })).resolves.toHaveLength(32)
  })

  test('lets a server start with a locked key, or one that it may not use, but not with one that was erased', async () => {
    await admin.createKey('start')
    await admin.disableKey('start')
    await using locked = kmsOf(user, 'start')
    await locked.start()
    await using denied = kmsOf(user, 'denied-key')
    await denied.start()
    await admin.deleteKey('start')
    await expect(locked.start()).rejects.toMatchObject({ reason: 'erased' })
  })

  test('says which half of a key fails', async () => {
    expect(await kms.checkKey('denied-key')).toMatchObject({
      key: 'denied-key',
      encryptionError: { reason: 'not-allowed' },
    })
    expect(await kms.checkKey('nosuchkey')).toMatchObject({ encryptionError: { reason: 'erased' } })
  })

  test('is online, until it is not', async () => {
    expect(await kms.status()).toEqual({
      type: 'MinIO KES',
      defaultKey: 'minio-default-key',
      endpoints: [{ endpoint: server.url, state: 'online' }],
    })
    await using nowhere = new KesKms(new KesClient({ endpoint: '127.0.0.1:1' }), 'k')
    const { endpoints } = await nowhere.status()
    expect(endpoints).toMatchObject([{ endpoint: 'https://127.0.0.1:1', state: 'offline' }])
    expect(endpoints[0]?.problem).toContain('connection refused')
  })
})

describe('the environment', () => {
  interface Case {
    readonly id: string
    readonly env: Record<string, string>
    /** Null: MinIO starts. */
    readonly exitCode: number | null
    readonly fatal: string | null
  }

  const cases = readMinioVectors<Case>('startup-env.json')
  const SECRET = 'my-minio-key:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='

  /** Texts of Go's libraries, which ours say in their own words. */
  const OWN_WORDS: Readonly<Record<string, RegExp>> = {
    'env-badendpoint': /^kms: invalid endpoint '127\.0\.0\.1:\d+': it must begin with https:\/\/$/,
    'env-camissing': /^failed to generate data key with KMS key: https:.* signed by an unknown authority/,
  }

  let folder: string
  let server: TestServer
  let user: Credentials
  let replace: (text: string) => string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'latchkey-kms-'))
    user = await clientOf('user')
    server = await startTestServer({
      keys: ['minio-default-key'],
      policies: { minio: { allow: ['/v1/key/*'], identities: [user.identity] } },
    })
    const file = (name: string, text: string) => {
      writeFileSync(join(folder, name), text, { mode: 0o600 })
      return join(folder, name)
    }
    const texts: Readonly<Record<string, string>> = {
      '<kes-url>': server.url,
      '<client.crt>': file('client.crt', user.cert),
      '<client.key>': file('client.key', user.key),
      '<locked.key>': file('locked.key', encryptPrivateKey(keyPairOf('user').privateKey, 'open sesame')),
      '<ca.crt>': file('ca.crt', server.ca),
      '<host:port without scheme>': server.url.slice('https://'.length),
      '<existing file>': file('secret', `${SECRET}\n`),
      '<folder>': folder,
    }
    replace = (text) => texts[text] ?? text
  })

  afterAll(async () => {
    await server.stop()
    rmSync(folder, { recursive: true })
  })

  const resolve = (env: Environment): Environment =>
    Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value && replace(value)]))

  /** What MinIO would print behind `FATAL`; `undefined` if it starts. */
  async function fatalOf(env: Environment, options: KmsOptions = {}): Promise<string | undefined> {
    try {
      await using kms = openKms(resolve(env), { retries: 0, ...options })
      await kms?.start()
      return undefined
    } catch (error) {
      if (error instanceof KmsConfigError) return error.message
      if (error instanceof KmsError) return `Failed to connect to KMS: ${error.message}`
      throw error
    }
  }

  test.each(cases)('$id', async ({ id, env, exitCode, fatal }) => {
    const text = await fatalOf(env)
    if (exitCode === null || fatal === null) return expect(text).toBeUndefined()
    const own = OWN_WORDS[id]
    if (own === undefined) return expect(`FATAL ${text}`).toBe(fatal)
    expect(text?.replace('Failed to connect to KMS: ', '')).toMatch(own)
  })

  const kes = {
    MINIO_KMS_KES_ENDPOINT: '<kes-url>',
    MINIO_KMS_KES_KEY_NAME: 'minio-default-key',
    MINIO_KMS_KES_CAPATH: '<ca.crt>',
  }
  const certificate = { MINIO_KMS_KES_CERT_FILE: '<client.crt>', MINIO_KMS_KES_KEY_FILE: '<client.key>' }

  test.each([
    ['a certificate', { ...kes, ...certificate }],
    ['a folder of CAs', { ...kes, ...certificate, MINIO_KMS_KES_CAPATH: '<folder>' }],
    [
      'an encrypted key',
      {
        ...kes,
        ...certificate,
        MINIO_KMS_KES_KEY_FILE: '<locked.key>',
        MINIO_KMS_KES_KEY_PASSWORD: 'open sesame',
      },
    ],
  ])('that names %s makes a KMS that works', async (_, env) => {
    await using kms = openKms(resolve(env))
    if (kms === undefined) throw new Error('there is no KMS')
    await kms.start()
    expect(await kms.checkKey()).toEqual({ key: 'minio-default-key' })
  })

  test('that names an API key makes a KMS of its identity', async () => {
    const env = { ...kes, MINIO_KMS_KES_API_KEY: server.apiKey.toString() }
    await using kms = openKms(resolve(env))
    await expect(kms?.start()).resolves.toBeUndefined()
  })

  test('can leave the CA to the program', async () => {
    const { MINIO_KMS_KES_CAPATH: _, ...env } = kes
    const text = await fatalOf({ ...env, ...certificate }, { defaultCaPath: join(folder, 'ca.crt') })
    expect(text).toBeUndefined()
  })

  test.each([
    [
      'an API key beside a certificate',
      { ...kes, ...certificate, MINIO_KMS_KES_API_KEY: 'x' },
      "Invalid KMS configuration specified: kms: invalid configuration for MinIO KES: 'MINIO_KMS_KES_API_KEY' and client certificate is present",
    ],
    [
      'KES beside MinIO KMS',
      { ...kes, MINIO_KMS_SERVER: 'x' },
      'Invalid KMS configuration specified: kms: configuration for MinIO KMS and MinIO KES is present',
    ],
    [
      'MinIO KMS, complete',
      { MINIO_KMS_SERVER: 'x', MINIO_KMS_ENCLAVE: 'x', MINIO_KMS_SSE_KEY: 'x', MINIO_KMS_API_KEY: 'x' },
      'Invalid KMS configuration specified: kms: MinIO KMS is not supported, only MinIO KES and a static KMS key',
    ],
    [
      'a password that does not open the key',
      { ...kes, ...certificate, MINIO_KMS_KES_KEY_FILE: '<locked.key>', MINIO_KMS_KES_KEY_PASSWORD: 'guess' },
      'incorrect password',
    ],
    [
      'a key file that is a certificate',
      { ...kes, ...certificate, MINIO_KMS_KES_KEY_FILE: '<client.crt>' },
      'there is no private key in PEM',
    ],
    [
      'plain HTTP',
      { ...kes, ...certificate, MINIO_KMS_KES_ENDPOINT: 'http://127.0.0.1:1' },
      'key servers speak https only',
    ],
  ])('that names %s is refused', async (_, env, message) => {
    expect(await fatalOf(env)).toContain(message)
  })

  test('that says nothing names no KMS', () => {
    expect(openKms({})).toBeUndefined()
    expect(openKms({ MINIO_KMS_SECRET_KEY: '', MINIO_KMS_SECRET_KEY_FILE: '' })).toBeUndefined()
    expect(openKms({ MINIO_KMS_AUTO_ENCRYPTION: 'off' })).toBeUndefined()
  })

  test('can name a secret key, or a file of it, also among the secrets of a container', async () => {
    const options = { secretsFolder: folder }
    for (const env of [
      { MINIO_KMS_SECRET_KEY: SECRET },
      { MINIO_KMS_SECRET_KEY_FILE: '<existing file>' },
      { MINIO_KMS_SECRET_KEY_FILE: 'secret' },
    ]) {
      await using kms = openKms(resolve(env), options)
      expect(kms).toMatchObject({ type: 'MinIO builtin', defaultKey: 'my-minio-key' })
      expect(await kms?.checkKey()).toEqual({ key: 'my-minio-key' })
    }
  })

  interface SecretCase {
    readonly id: string
    readonly value: string
    readonly error: string
  }

  const secrets = readMinioVectors<SecretCase>('builtin-kms-misc.json').filter(({ id }) =>
    id.startsWith('parse-'),
  )

  test.each(secrets)('with the secret key $value, $id', ({ value, error }) => {
    if (error === '') expect(parseSecretKey(value).secretKey).toHaveLength(32)
    else expect(() => parseSecretKey(value)).toThrow(`Failed to connect to KMS: ${error}`)
  })

  test('is not repeated by any error or inspection', async () => {
    const apiKey = ApiKey.generate().toString()
    const shown: unknown[] = [readKmsConfig(resolve({ ...kes, MINIO_KMS_KES_API_KEY: apiKey }))]
    shown.push(readKmsConfig({ MINIO_KMS_SECRET_KEY: SECRET }))
    for (const env of [
      { ...kes, MINIO_KMS_KES_API_KEY: apiKey.slice(0, -4) },
      { MINIO_KMS_SECRET_KEY: SECRET.slice(0, -2) },
      { MINIO_KMS_SECRET_KEY: SECRET.replace(':', '.') },
    ]) {
      shown.push(await fatalOf(env))
    }
    const text = inspect(shown, { depth: null, showHidden: true }) + JSON.stringify(shown)
    expect(text).not.toContain(apiKey.slice(10, 30))
    expect(text).not.toContain('AAAAAAAAAA')
  })
})
