/** What the Go KES has recorded, asked of this server: ciphertexts of every format and size, and HMACs. */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readVectors } from '../read-vectors.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { errorBody, expectEmpty, jsonOf, textOf } from './replies.ts'

interface RecordedKey {
  readonly name: string
  readonly algorithm: 'AES256' | 'ChaCha20'
  readonly key: string
  readonly hmac_key: string
  readonly created_at: string
  readonly created_by: string
}

interface RecordedCiphertext {
  readonly id: string
  readonly key_name?: string
  readonly algorithm: string
  readonly key: string
  readonly context: string | null
  readonly ciphertext: string
  readonly decrypts: boolean
  readonly plaintext?: string
  readonly status?: number
  readonly message?: string
}

interface RecordedLarge {
  readonly id: string
  readonly algorithm: string
  readonly key: string
  readonly plaintext_byte: string
  readonly plaintext_length: number
  readonly request_body_length: number
  readonly status: number
  readonly ciphertext_length?: number
  readonly message?: string
}

const NOT_AUTHENTIC = 'decryption failed: ciphertext is not authentic'
const ciphertexts = readVectors<{ keys: RecordedKey[]; rows: RecordedCiphertext[] }>('ciphertexts.json')
const legacy = readVectors<{ rows: RecordedCiphertext[] }>('legacy-ciphertexts.json').rows
const large = readVectors<{ rows: RecordedLarge[] }>('large-ciphertexts.json').rows
const hmacs = readVectors<{
  rows: { id: string; key_name: string; hmac_key: string; message: string; hmac: string }[]
}>('hmac.json').rows

let server: TestServer
/** Names of imported keys by their bytes and algorithm. */
const imported = new Map<string, string>()

beforeAll(async () => {
  server = await startTestServer()
  for (const { key, algorithm } of [...ciphertexts.keys, ...ciphertexts.rows, ...legacy, ...large]) {
    const id = `${algorithm} ${key}`
    if (imported.has(id)) continue
    const name = `imported-${imported.size}`
    imported.set(id, name)
    expectEmpty(await server.request('PUT', `/v1/key/import/${name}`, { body: { key, cipher: algorithm } }))
  }
})

afterAll(() => server.stop())

function nameOf({ algorithm, key }: { readonly algorithm: string; readonly key: string }): string {
  const name = imported.get(`${algorithm} ${key}`)
  if (name === undefined) throw new Error('the key was not imported')
  return name
}

/** Status and body that the row's recording, or its plaintext, lets expect. */
function expectedOf({
  decrypts,
  plaintext = '',
  status = 400,
  message = NOT_AUTHENTIC,
}: RecordedCiphertext): string {
  return decrypts ? `200 {"plaintext":"${plaintext}"}\n` : `${status} ${errorBody(message, 'NotAuthentic')}`
}

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test.each([
    ['ciphertexts.json', ciphertexts.rows],
    ['legacy-ciphertexts.json', legacy],
  ])('each row of %s decrypts, or is refused, as by KES', async (_, rows) => {
    expect(rows.length).toBeGreaterThan(30)
    const replies: string[] = []
    for (const row of rows) {
      const { context, ciphertext } = row
      const reply = await server.request('PUT', `/v1/key/decrypt/${nameOf(row)}`, {
        protocol,
        body: context === null ? { ciphertext } : { ciphertext, context },
      })
      replies.push(`${row.id}: ${reply.status} ${textOf(reply)}`)
    }
    expect(replies).toEqual(rows.map((row) => `${row.id}: ${expectedOf(row)}`))
  })

  test('no recorded ciphertext decrypts with another context, or under another key', async () => {
    for (const row of ciphertexts.rows.filter(({ decrypts }) => decrypts).slice(0, 60)) {
      const { ciphertext, context } = row
      const others = [...imported.values()].filter((name) => name !== nameOf(row)).slice(0, 3)
      const right = context === null ? {} : { context }
      const asked: [string, object][] = [
        [nameOf(row), { ciphertext, context: Buffer.from('another').toString('base64') }],
        ...others.map((name): [string, object] => [name, { ciphertext, ...right }]),
      ]
      for (const [name, body] of asked) {
        const reply = await server.request('PUT', `/v1/key/decrypt/${name}`, { protocol, body: { ...body } })
        expect(reply.status).toBe(400)
      }
    }
  })

  test.each(large)('$id: a request of $request_body_length bytes is answered $status', async (row) => {
    const plaintext = Buffer.alloc(row.plaintext_length, Number.parseInt(row.plaintext_byte, 16))
    const body = Buffer.from(`{"plaintext": "${plaintext.toString('base64')}"}`)
    expect(body).toHaveLength(row.request_body_length)
    const path = `/v1/key/encrypt/${nameOf(row)}`
    const reply = await server.request('PUT', path, { protocol, body })
    expect(reply.status).toBe(row.status)
    if (row.message !== undefined) {
      expect(textOf(reply)).toBe(errorBody(row.message, 'InvalidBody'))
      return
    }
    const { ciphertext } = jsonOf<{ ciphertext: string }>(reply)
    expect(Buffer.from(ciphertext, 'base64')).toHaveLength(row.ciphertext_length ?? 0)
    if (ciphertext.length > 990_000) return // The request to decrypt it would be over the limit itself.
    const back = await server.request('PUT', path.replace('encrypt', 'decrypt'), {
      protocol,
      body: { ciphertext },
    })
    expect(digest(Buffer.from(jsonOf<{ plaintext: string }>(back).plaintext, 'base64'))).toBe(
      digest(plaintext),
    )
  })

  test('each row of hmac.json is the HMAC of a store with its HMAC key', async () => {
    const keys = new Map(hmacs.map(({ key_name, hmac_key }) => [key_name, hmac_key]))
    using store = prepareStore(
      [...keys].map(([name, key]) => ({ name, hmacKey: Buffer.from(key, 'base64') })),
    )
    await using prepared = await startTestServer(store)
    for (const { key_name, message, hmac } of hmacs) {
      const reply = await prepared.request('PUT', `/v1/key/hmac/${key_name}`, { protocol, body: { message } })
      expect(textOf(reply)).toBe(`{"hmac":"${hmac}"}\n`)
    }
  })

  test('keys with the facts of ciphertexts.json are described by them', async () => {
    using store = prepareStore(
      ciphertexts.keys.map((key) => ({
        name: key.name,
        algorithm: key.algorithm,
        secretKey: Buffer.from(key.key, 'base64'),
        hmacKey: Buffer.from(key.hmac_key, 'base64'),
        createdAt: key.created_at,
        createdBy: key.created_by,
      })),
    )
    await using prepared = await startTestServer(store)
    for (const { name, algorithm, created_at, created_by } of ciphertexts.keys) {
      const described = jsonOf(await prepared.request('GET', `/v1/key/describe/${name}`, { protocol }))
      expect(described).toMatchObject({ name, algorithm, created_at, created_by })
    }
    for (const row of ciphertexts.rows) {
      if (row.key_name === undefined || !ciphertexts.keys.some(({ name }) => name === row.key_name)) continue
      const { context, ciphertext } = row
      const body = context === null ? { ciphertext } : { ciphertext, context }
      const reply = await prepared.request('PUT', `/v1/key/decrypt/${row.key_name}`, { protocol, body })
      expect(`${reply.status} ${textOf(reply)}`).toBe(expectedOf(row))
    }
  })
})

function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
