import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { format, inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ApiKey, InvalidApiKeyError } from './api-key.ts'
import { encodeBase64 } from './base64.ts'
import { identityOfPublicKey } from './identity.ts'

interface Row {
  readonly api_key: string
  readonly valid: boolean
  readonly identity?: string
  readonly canonical?: string
  readonly error?: string
}

const { rows } = JSON.parse(
  readFileSync(new URL('../../../test/vectors/kes/api-keys.json', import.meta.url), 'utf8'),
) as { rows: Row[] }

describe('every API key of the Go KES is read as it reads it', () => {
  test.each(rows.filter(({ valid }) => !valid))('$api_key is refused: $error', ({ api_key, error }) => {
    expect(() => ApiKey.parse(api_key)).toThrow(InvalidApiKeyError)
    expect(() => ApiKey.parse(api_key)).toThrow(new InvalidApiKeyError(error))
  })

  test.each(rows.filter(({ valid }) => valid))('$api_key has identity $identity', (row) => {
    const key = ApiKey.parse(row.api_key)
    expect(key.identity).toBe(row.identity)
    expect(key.toString()).toBe(row.canonical ?? row.api_key)
  })
})

test('a refusal repeats nothing of the text', () => {
  const text = `${ApiKey.generate().toString()}!`
  expect(() => ApiKey.parse(text)).toThrow(/^illegal base64 data at input byte 44$/)
})

test('any 32 bytes are a seed, and come back', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (seed) => {
      const text = `kes:v1:${encodeBase64(Buffer.concat([Buffer.of(0), seed]))}`
      expect(ApiKey.parse(text).toString()).toBe(text)
    }),
  )
})

test('two generated keys differ', () => {
  expect(ApiKey.generate().identity).not.toBe(ApiKey.generate().identity)
})

test('nothing but a call of toString() shows the secret', () => {
  const key = ApiKey.generate()
  const secret = key.toString().slice('kes:v1:'.length)
  const shown = [
    `${key}`,
    String(key),
    JSON.stringify({ key }),
    inspect({ key }, { showHidden: true, depth: null }),
    format('%s %o %O %j', key, key, key, key),
    Object.values(key).join(),
  ].join('\n')

  expect(shown).not.toContain(secret)
  expect(shown.split(key.identity).length).toBeGreaterThan(8)
})

test('a private key in a file is an API key if it is Ed25519, and no other', () => {
  const { privateKey } = generateKeyPairSync('ed25519')
  const key = ApiKey.fromPrivateKey(privateKey)
  expect(ApiKey.parse(key.toString()).identity).toBe(identityOfPublicKey(privateKey))

  const { privateKey: other, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  expect(() => ApiKey.fromPrivateKey(other)).toThrow(InvalidApiKeyError)
  expect(() => ApiKey.fromPrivateKey(publicKey)).toThrow(InvalidApiKeyError)
})
