/** The bytes of every reply of the key APIs: section 8 of KES's protocol, and what Latchkey adds to it. */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readVectors } from '../read-vectors.ts'
import { type PreparedStore, prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, type RequestOptions, startTestServer, type TestServer } from '../sandbox/server.ts'
import { apiHeadersOf, base64, expectEmpty, expectError, jsonOf, NOT_ALLOWED, textOf } from './replies.ts'

const HMAC_KEY = Buffer.alloc(32, 9)
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{0,8}[1-9])?Z$/
const BASE64 = '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?'

let store: PreparedStore
let server: TestServer

beforeAll(async () => {
  store = prepareStore([
    { name: 'known', hmacKey: HMAC_KEY, createdAt: '2024-01-12T10:39:20.886816Z', createdBy: 'somebody' },
    { name: 'early', hmacKey: null, createdAt: '0001-01-01T00:00:00Z' },
    { name: 'chacha', algorithm: 'ChaCha20', createdAt: '2026-11-24T01:42:04Z' },
    { name: 'locked' },
  ])
  server = await startTestServer({ keystore: store.keystore })
  await server.request('PUT', '/v1/key/disable/locked')
})

afterAll(async () => {
  await server.stop()
  store[Symbol.dispose]()
})

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const ask = (method: string, path: string, options: RequestOptions = {}) =>
    server.request(method, path, { protocol, ...options })
  const name = (text: string) => `${text}-${protocol.replace(/\W/g, '')}`

  test.each(['create', 'enable', 'disable', 'delete'])('%s answers with nothing at all', async (api) => {
    const path = `/v1/key/${api}/${name('empty')}`
    expectEmpty(await ask(api === 'delete' ? 'DELETE' : 'PUT', path))
  })

  test('import answers with nothing at all', async () => {
    const body = { key: base64(Buffer.alloc(32, 1)), cipher: 'AES256' }
    expectEmpty(await ask('PUT', `/v1/key/import/${name('imported')}`, { body }))
  })

  test('generate answers a plaintext of 32 bytes and a ciphertext of 76', async () => {
    const reply = await ask('PUT', '/v1/key/generate/known', { body: { context: base64('ctx') } })
    expect(textOf(reply)).toMatch(
      /^\{"plaintext":"[A-Za-z0-9+/]{43}=","ciphertext":"[A-Za-z0-9+/]{102}=="\}\n$/,
    )
    expect(apiHeadersOf(reply)).toEqual({
      'content-type': 'application/json',
      'content-length': String(reply.rawBody.length),
    })
  })

  test.each([0, 1, 2, 3, 32, 100, 5000])(
    'encrypt adds 44 bytes to a plaintext of %i, and decrypt takes them away',
    async (length) => {
      const plaintext = base64(Buffer.alloc(length, 'p'))
      const context = base64('ctx')
      for (const key of ['known', 'chacha', 'early']) {
        const encrypted = await ask('PUT', `/v1/key/encrypt/${key}`, { body: { plaintext, context } })
        expect(textOf(encrypted)).toMatch(new RegExp(`^\\{"ciphertext":"${BASE64}"\\}\\n$`))
        const { ciphertext } = jsonOf<{ ciphertext: string }>(encrypted)
        expect(Buffer.from(ciphertext, 'base64')).toHaveLength(length + 44)
        const decrypted = await ask('PUT', `/v1/key/decrypt/${key}`, { body: { ciphertext, context } })
        expect([decrypted.status, textOf(decrypted)]).toEqual([200, `{"plaintext":"${plaintext}"}\n`])
      }
    },
  )

  test('no two ciphertexts or data keys are the same', async () => {
    const seen = new Set<string>()
    for (let round = 0; round < 50; round += 1) {
      const encrypted = await ask('PUT', '/v1/key/encrypt/known', { body: { plaintext: 'AAAA' } })
      const { ciphertext } = jsonOf<{ ciphertext: string }>(encrypted)
      const { plaintext } = jsonOf<{ plaintext: string }>(await ask('PUT', '/v1/key/generate/known'))
      seen.add(Buffer.from(ciphertext, 'base64').subarray(-28).toString('hex')).add(plaintext)
    }
    expect(seen).toHaveLength(100)
  })

  test('hmac is HMAC-SHA-256 under the stored HMAC key', async () => {
    for (const message of ['', 'm', 'a longer message '.repeat(1000)]) {
      const reply = await ask('PUT', '/v1/key/hmac/known', { body: { message: base64(message) } })
      const mac = createHmac('sha256', HMAC_KEY).update(message).digest('base64')
      expect([reply.status, textOf(reply)]).toEqual([200, `{"hmac":"${mac}"}\n`])
    }
  })

  /** As it would be, had no other test used the key. */
  const describeUnused = async (key: string) =>
    textOf(await ask('GET', `/v1/key/describe/${key}`)).replace(/,"last_used_at":"[^"]+"/, '')

  test('describe has the fields of KES first, then state, revision and the last change', async () => {
    expect(await describeUnused('known')).toBe(
      '{"name":"known","algorithm":"AES256","created_at":"2024-01-12T10:39:20.886816Z","created_by":"somebody",' +
        '"state":"enabled","revision":1,"changed_at":"2024-01-12T10:39:20.886816Z","changed_by":"somebody"}\n',
    )
  })

  test('describe omits who is not known', async () => {
    expect(await describeUnused('early')).toBe(
      '{"name":"early","algorithm":"AES256","created_at":"0001-01-01T00:00:00Z",' +
        '"state":"enabled","revision":1,"changed_at":"0001-01-01T00:00:00Z"}\n',
    )
    expect(jsonOf(await ask('GET', '/v1/key/describe/chacha'))).toMatchObject({ algorithm: 'ChaCha20' })
  })

  test('a new key is described with its creator and the time in UTC', async () => {
    const before = Date.now()
    await ask('PUT', `/v1/key/create/${name('dated')}`)
    const key = jsonOf<Record<string, string>>(await ask('GET', `/v1/key/describe/${name('dated')}`))
    expect(key).toMatchObject({ algorithm: 'AES256', created_by: server.admin.identity })
    expect(key.created_at).toMatch(TIME)
    const created = Date.parse(String(key.created_at))
    expect(created).toBeGreaterThanOrEqual(before - 1)
    expect(created).toBeLessThanOrEqual(Date.now() + 1)
  })

  test.each([
    ['AES256', 'AES256'],
    ['AES256-GCM_SHA256', 'AES256'],
    ['ChaCha20', 'ChaCha20'],
    ['XCHACHA20-POLY1305', 'ChaCha20'],
  ])('the cipher %s of an import is %s', async (cipher, algorithm) => {
    const imported = name(`of-${cipher}`)
    const body = { key: base64(Buffer.alloc(32, 2)), cipher }
    expectEmpty(await ask('PUT', `/v1/key/import/${imported}`, { body }))
    expect(jsonOf(await ask('GET', `/v1/key/describe/${imported}`))).toMatchObject({ algorithm })
  })

  test.each(['aes256', 'AES-256', 'AES256 ', 'CHACHA20', 'XChaCha20-Poly1305', 'AES256-GCM', '', '<b>'])(
    "import refuses the cipher '%s', before it looks at the key",
    async (cipher) => {
      for (const length of [0, 31, 32]) {
        const body = { key: base64(Buffer.alloc(length, 2)), cipher }
        const reply = await ask('PUT', `/v1/key/import/${name('refused')}`, { body })
        const message = `algorithm '${cipher}' is not supported`
        expect(reply.status).toBe(406)
        expect(JSON.parse(textOf(reply))).toEqual({ message, code: 'UnsupportedAlgorithm' })
      }
    },
  )

  test.each([0, 1, 16, 31, 33, 64])('import refuses a key of %i bytes', async (length) => {
    for (const cipher of ['AES256', 'XCHACHA20-POLY1305']) {
      const body = { key: base64(Buffer.alloc(length, 2)), cipher }
      const reply = await ask('PUT', `/v1/key/import/${name('refused')}`, { body })
      expectError(reply, 406, `invalid key size for '${cipher}'`, 'InvalidKeySize')
    }
    expect((await ask('GET', `/v1/key/describe/${name('refused')}`)).status).toBe(404)
  })

  test('two keys from the same import decrypt for each other, and have HMAC keys of their own', async () => {
    const body = { key: base64(Buffer.alloc(32, 5)), cipher: 'AES256' }
    const [a, b] = [name('twin-a'), name('twin-b')]
    for (const twin of [a, b]) await ask('PUT', `/v1/key/import/${twin}`, { body })
    const encrypted = await ask('PUT', `/v1/key/encrypt/${a}`, { body: { plaintext: 'AAAA' } })
    const decrypted = await ask('PUT', `/v1/key/decrypt/${b}`, { body: jsonOf(encrypted) })
    expect(textOf(decrypted)).toBe('{"plaintext":"AAAA"}\n')
    const macs = []
    for (const twin of [a, b]) macs.push(textOf(await ask('PUT', `/v1/key/hmac/${twin}`, { body: {} })))
    expect(new Set(macs).size).toBe(2)
  })

  test('a name that is taken is refused, for create and import, enabled or disabled', async () => {
    const body = { key: base64(Buffer.alloc(32, 6)), cipher: 'AES256' }
    for (const taken of ['known', 'locked']) {
      const created = await ask('PUT', `/v1/key/create/${taken}`)
      const imported = await ask('PUT', `/v1/key/import/${taken}`, { body })
      for (const reply of [created, imported]) expectError(reply, 400, 'key already exists', 'KeyExists')
    }
  })

  test.each([
    ['GET', 'describe'],
    ['DELETE', 'delete'],
    ['PUT', 'generate'],
    ['PUT', 'encrypt'],
    ['PUT', 'decrypt'],
    ['PUT', 'hmac'],
    ['PUT', 'enable'],
    ['PUT', 'disable'],
  ])('%s %s of a key that never was is 404', async (method, api) => {
    const body = method === 'PUT' ? '{}' : undefined
    const reply = await ask(method, `/v1/key/${api}/${name('never')}`, { body })
    expectError(reply, 404, 'key does not exist', 'KeyNotFound')
  })

  test('hmac with a key that has no HMAC key is 409', async () => {
    const reply = await ask('PUT', '/v1/key/hmac/early', { body: {} })
    expectError(reply, 409, 'key does not support HMAC', 'NoHmac')
  })

  test.each(['generate', 'encrypt', 'decrypt', 'hmac'])(
    '%s with a disabled key is 403, as for who may not',
    async (api) => {
      const reply = await ask('PUT', `/v1/key/${api}/locked`, { body: '{}' })
      expectError(reply, 403, NOT_ALLOWED, 'KeyDisabled')
    },
  )

  test('whatever is wrong with a ciphertext, the reply is the same', async () => {
    const encrypted = await ask('PUT', '/v1/key/encrypt/known', {
      body: { plaintext: base64('attack at dawn'), context: base64('ctx') },
    })
    const ciphertext = Buffer.from(jsonOf<{ ciphertext: string }>(encrypted).ciphertext, 'base64')
    const flipped = Array.from(ciphertext, (_, at) => {
      const copy = Buffer.from(ciphertext)
      copy[at] = (copy[at] ?? 0) ^ 1
      return copy
    })
    const wrong: readonly (readonly [Buffer, string])[] = [
      ...flipped.map((each) => [each, 'ctx'] as const),
      ...Array.from(ciphertext, (_, length) => [ciphertext.subarray(0, length), 'ctx'] as const),
      [Buffer.concat([ciphertext, Buffer.of(0)]), 'ctx'],
      [ciphertext, ''],
      [ciphertext, 'ctx '],
      [ciphertext, 'CTX'],
      [Buffer.from('{"aead":"AES-256-GCM-HMAC-SHA-256"}'), 'ctx'],
      [Buffer.from('{'), 'ctx'],
      [Buffer.of(0x95), 'ctx'],
      [Buffer.alloc(500_000), 'ctx'],
    ]
    const replies = new Set<string>()
    for (const [bytes, context] of wrong) {
      const body = { ciphertext: base64(bytes), context: base64(context) }
      const reply = await ask('PUT', '/v1/key/decrypt/known', { body })
      expectError(reply, 400, 'decryption failed: ciphertext is not authentic', 'NotAuthentic')
      replies.add(JSON.stringify(apiHeadersOf(reply)))
    }
    expect(replies.size).toBe(1)
    const other = await ask('PUT', '/v1/key/decrypt/chacha', { body: jsonOf(encrypted) })
    expectError(other, 400, 'decryption failed: ciphertext is not authentic', 'NotAuthentic')
  })

  test.each(readVectors<{ rows: { input: string; valid_name: boolean }[] }>('names.json').rows)(
    'the name $input is valid: $valid_name',
    async ({ input, valid_name }) => {
      const path = `/v1/key/describe/${encodeURIComponent(input)}`
      if (/(^|\/)\.{1,2}(\/|$)/.test(path)) return // Cleaned away before there is a name.
      const reply = await ask('GET', path)
      expect(JSON.parse(textOf(reply))).toEqual(
        valid_name
          ? { message: 'key does not exist', code: 'KeyNotFound' }
          : {
              message: `key name '${input}' is empty, too long or contains invalid characters`,
              code: 'InvalidName',
            },
      )
    },
  )
})

test('a flag that is neither true nor false is refused', async () => {
  for (const value of ['1', 'yes', 'TRUE', 'tru']) {
    const reply = await server.request('PUT', `/v1/key/create/flagged?reuse=${value}`)
    expect([reply.status, JSON.parse(textOf(reply)).code]).toEqual([400, 'InvalidParameter'])
  }
  expect((await server.request('GET', '/v1/key/describe/flagged')).status).toBe(404)
})
