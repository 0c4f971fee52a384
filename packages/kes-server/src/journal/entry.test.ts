import { generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeEntry, type Entry, EntryFormatError, encodeEntry, isSignedBy, signEntry } from './entry.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')

const bytesOf = (length: number) => fc.uint8Array({ minLength: length, maxLength: length })
const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => value.isWellFormed())
const anyEntry: fc.Arbitrary<Entry> = fc.record({
  storeId: bytesOf(16),
  number: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  previous: bytesOf(32),
  time: text,
  action: fc.constantFrom(
    'set-up',
    'adopt',
    'create',
    'import',
    'reuse',
    'enable',
    'disable',
    'erase',
    'schedule',
    'cancel',
    'audit head',
  ),
  name: text,
  keyId: bytesOf(16),
  algorithm: fc.constantFrom('AES256', 'ChaCha20', undefined),
  state: fc.constantFrom('none', 'enabled', 'disabled', 'erased', 'pending'),
  revision: fc.nat(Number.MAX_SAFE_INTEGER),
  identity: text,
  ip: text,
  createdAt: text,
  createdBy: text,
  fingerprint: fc.option(bytesOf(16), { nil: undefined }),
  detail: fc.option(fc.dictionary(text, fc.oneof(text, fc.maxSafeInteger()), { minKeys: 1 }), {
    nil: undefined,
  }),
})

const erased: Entry = {
  storeId: Buffer.alloc(16, 1),
  number: 7,
  previous: Buffer.alloc(32, 2),
  time: '2026-11-24T04:00:00.5Z',
  action: 'erase',
  name: 'orders',
  keyId: Buffer.alloc(16, 3),
  algorithm: 'AES256',
  state: 'erased',
  revision: 4,
  identity: 'alice',
  ip: '192.0.2.1',
  createdAt: '2026-01-01T00:00:00Z',
  createdBy: 'bob',
  fingerprint: Buffer.alloc(16, 4),
}

test('every entry comes back from its bytes', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      // A Buffer has a form of its own in JSON.
      const found = decodeEntry(encodeEntry(entry))
      for (const [field, value] of Object.entries(found)) {
        const made = entry[field as keyof Entry]
        if (value instanceof Uint8Array) expect(Buffer.from(value)).toEqual(Buffer.from(made as Uint8Array))
        else expect(value).toEqual(made)
      }
    }),
  )
})

test('bytes that are no entry are refused with one error, and what is accepted encodes to the same bytes', () => {
  const start = encodeEntry(erased)
  const near = fc.tuple(fc.nat(start.length - 1), fc.nat(255)).map(([at, value]) => {
    const bytes = Buffer.from(start)
    bytes[at] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), near), (bytes) => {
      try {
        expect(encodeEntry(decodeEntry(bytes))).toEqual(Buffer.from(bytes))
      } catch (error) {
        expect(error).toBeInstanceOf(EntryFormatError)
      }
    }),
    { numRuns: 500 },
  )
})

test('an entry that is cut off or continued is refused, at every length', () => {
  const bytes = encodeEntry(erased)
  for (let length = 0; length < bytes.length; length += 1) {
    expect(() => decodeEntry(bytes.subarray(0, length))).toThrow(EntryFormatError)
  }
  expect(() => decodeEntry(Buffer.concat([bytes, Buffer.of(0)]))).toThrow(EntryFormatError)
})

describe('a detail', () => {
  const detail = { seq: 7, file: 'audit-1.jsonl' }
  const encoded = encodeEntry({ ...erased, detail })
  /** The entry with another text in the detail's place. */
  const withText = (text: string) => {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(Buffer.byteLength(text))
    const start = encodeEntry(erased)
    start[0] = 2
    return Buffer.concat([start, length, Buffer.from(text)])
  }

  test('is canonical JSON behind the texts of an entry that is of version 2 for it', () => {
    expect(encoded).toEqual(withText('{"file":"audit-1.jsonl","seq":7}'))
    expect(decodeEntry(encoded).detail).toEqual(detail)
  })

  test('is not there in an entry of version 1', () => {
    expect(encodeEntry(erased)[0]).toBe(1)
    expect(decodeEntry(encodeEntry(erased)).detail).toBeUndefined()
  })

  test.each([
    ['is empty', ''],
    ['has no field', '{}'],
    ['is not JSON', '{"a":1'],
    ['is a list', '[1]'],
    ['is null', 'null'],
    ['holds a truth value', '{"a":true}'],
    ['holds a fraction', '{"a":1.5}'],
    ['holds an object', '{"a":{"b":1}}'],
    ['has its names in another order', '{"b":1,"a":1}'],
    ['has a name twice', '{"a":1,"a":1}'],
    ['has white space', '{"a": 1}'],
    ['has half of a surrogate pair', '{"a":"\\ud800"}'],
  ])('that %s is refused', (_, text) => {
    expect(() => decodeEntry(withText(text))).toThrow(EntryFormatError)
  })
})

test.each([
  ['version', 0],
  ['action', 57],
  ['state', 58],
  ['algorithm', 59],
  ['length of the fingerprint', 84],
])('an unknown %s is refused', (_, offset) => {
  const bytes = encodeEntry(erased)
  bytes[offset] = 99
  expect(() => decodeEntry(bytes)).toThrow(EntryFormatError)
})

test('the signature fails for every flipped bit of the entry, and of itself', () => {
  const signed = signEntry(privateKey, erased)
  expect(isSignedBy(publicKey, signed)).toBe(true)
  for (const part of ['bytes', 'signature'] as const) {
    for (let bit = 0; bit < signed[part].length * 8; bit += 1) {
      const flipped = Buffer.from(signed[part])
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(isSignedBy(publicKey, { ...signed, [part]: flipped })).toBe(false)
    }
  }
})

test('a signature by another key, of another length, or without the domain is refused', () => {
  const signed = signEntry(privateKey, erased)
  expect(isSignedBy(generateKeyPairSync('ed25519').publicKey, signed)).toBe(false)
  expect(isSignedBy(publicKey, { ...signed, signature: signed.signature.subarray(1) })).toBe(false)
  expect(isSignedBy(publicKey, { ...signed, signature: sign(null, signed.bytes, privateKey) })).toBe(false)
})
