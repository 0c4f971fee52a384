import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecordDamagedError } from '../errors.ts'
import { parseKeyName } from '../names.ts'
import type { Algorithm } from '../store/key-store.ts'
import { type KeyFacts, type KeyMaterial, sealKey, unsealKey } from './sealed-record.ts'

const rootKey = createSecretKey(randomBytes(32))
const storeId = randomBytes(16)
const facts: KeyFacts = {
  keyId: randomBytes(16),
  name: parseKeyName('invoices'),
  algorithm: 'AES256',
  createdAt: '2026-11-24T01:42:04.115739409Z',
  createdBy: 'alice',
}
const material: KeyMaterial = {
  secretKey: new Uint8Array(32).fill(1),
  hmacKey: new Uint8Array(32).fill(2),
}
const record = sealKey(rootKey, storeId, facts, material)

const open = (bytes: Uint8Array, changed: Partial<KeyFacts> = {}) =>
  unsealKey(rootKey, storeId, { ...facts, ...changed }, bytes)

test('a key with and without HMAC key unseals to itself, whatever its facts', () => {
  const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const anyFacts = fc.record({
    keyId: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    name: fc.constantFrom(parseKeyName('a'), parseKeyName('a-b'), parseKeyName('__')),
    algorithm: fc.constantFrom<Algorithm>('AES256', 'ChaCha20'),
    createdAt: fc.string(),
    createdBy: fc.string({ unit: 'binary' }),
  })
  fc.assert(
    fc.property(anyFacts, bytes32, fc.option(bytes32, { nil: undefined }), (any, secretKey, hmacKey) => {
      const sealed = sealKey(rootKey, storeId, any, { secretKey, hmacKey })
      expect(sealed).toHaveLength(hmacKey === undefined ? 61 : 93)
      const opened = unsealKey(rootKey, storeId, any, sealed)
      expect(opened.secretKey).toEqual(Buffer.from(secretKey))
      expect(opened.hmacKey).toEqual(hmacKey && Buffer.from(hmacKey))
    }),
  )
})

test('no record with one bit flipped unseals', () => {
  for (let bit = 0; bit < record.length * 8; bit++) {
    const flipped = Uint8Array.from(record)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(() => open(flipped), `bit ${bit}`).toThrow(RecordDamagedError)
  }
})

test('no shortened and no lengthened record unseals', () => {
  for (let length = 0; length < record.length; length++) {
    expect(() => open(record.subarray(0, length))).toThrow(RecordDamagedError)
    expect(() => open(record.subarray(record.length - length))).toThrow(RecordDamagedError)
  }
  expect(() => open(Buffer.concat([record, Buffer.of(0)]))).toThrow(RecordDamagedError)
  expect(() => open(Buffer.concat([record, record]))).toThrow(RecordDamagedError)
})

test.each<[string, Partial<KeyFacts>]>([
  ['another key id', { keyId: randomBytes(16) }],
  ['another name', { name: parseKeyName('invoices2') }],
  ['another algorithm', { algorithm: 'ChaCha20' }],
  ['another time', { createdAt: '2026-11-24T01:42:04.115739408Z' }],
  ['another creator', { createdBy: 'mallory' }],
  ['no creator', { createdBy: '' }],
  ['a border moved between time and creator', { createdAt: `${facts.createdAt}a`, createdBy: 'lice' }],
])('a record does not unseal with %s', (_, changed) => {
  expect(() => open(record, changed)).toThrow(RecordDamagedError)
})

test('a record does not unseal in another store or under another root key', () => {
  expect(() => unsealKey(rootKey, randomBytes(16), facts, record)).toThrow(RecordDamagedError)
  const other = createSecretKey(randomBytes(32))
  expect(() => unsealKey(other, storeId, facts, record)).toThrow(RecordDamagedError)
})

test('the refusal is a failed read to the client and names the key to the log', () => {
  const refused = {
    status: 502,
    message: 'failed to read key',
    detail: expect.stringContaining("'invoices'"),
  }
  expect(() => open(record.subarray(1))).toThrow(expect.objectContaining(refused))
})

test('a secret key or an HMAC key of any length but 32 bytes is not sealed', () => {
  const short = new Uint8Array(31)
  expect(() => sealKey(rootKey, storeId, facts, { secretKey: short, hmacKey: undefined })).toThrow()
  expect(() => sealKey(rootKey, storeId, facts, { ...material, hmacKey: short })).toThrow()
})

test('a record holds no byte of the key in the clear', () => {
  const sealed = Buffer.from(sealKey(rootKey, storeId, facts, material))
  expect(sealed.includes(Buffer.alloc(4, 1))).toBe(false)
  expect(sealed.includes(Buffer.alloc(4, 2))).toBe(false)
})
