import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { ProtobufWriter } from '../encoding/protobuf.ts'
import { formatTimestamp } from '../encoding/timestamp.ts'
import { HmacKey } from '../keyring/hmac-key.ts'
import { decodeStoredKey, encodeStoredKey, type StoredKey, StoredKeyError } from './stored-key.ts'

interface Row {
  id: string
  why: string
  stored: string
  valid: boolean
  algorithm: string
  key: string
  created_at: string
  created_by: string
  has_hmac_key: boolean
  hmac_probe: string
  hmac_probe_message: string
  reencoded?: string
}

const { rows } = readVectors<{ rows: Row[] }>('stored-keys.json')
const { keys } = readVectors<{ keys: CiphertextKey[] }>('ciphertexts.json')

interface CiphertextKey {
  name: string
  algorithm: string
  key: string
  hmac_key: string
  created_at: string
  created_by: string
  stored_value: string
}

const KEY = Buffer.from('0123456789abcdef0123456789ABCDEF')
const HMAC_KEY = Buffer.from('an HMAC key which has 32 bytes !')

/** A message like KES's, each part of it replaceable. */
function message(parts: {
  secret?: Buffer
  hmac?: Buffer
  time?: Buffer
  more?: (w: ProtobufWriter) => void
}): string {
  const writer = new ProtobufWriter()
    .message(1, parts.secret ?? new ProtobufWriter().bytes(1, KEY).uint(2, 1).finish())
    .message(2, parts.hmac ?? new ProtobufWriter().bytes(1, HMAC_KEY).uint(2, 1).finish())
    .message(3, parts.time ?? Buffer.alloc(0))
  parts.more?.(writer)
  return writer.finish().toString('base64')
}

describe('a value that KES refuses or that makes it panic', () => {
  test.each(rows.filter((row) => !row.valid))('is refused: $why', ({ stored }) => {
    expect(() => decodeStoredKey(stored)).toThrow(StoredKeyError)
    expect(() => decodeStoredKey(Buffer.from(stored))).toThrow(StoredKeyError)
  })

  test.each([
    [
      'secret key of 33 bytes',
      { secret: new ProtobufWriter().bytes(1, Buffer.alloc(33)).uint(2, 1).finish() },
    ],
    ['HMAC key of 31 bytes', { hmac: new ProtobufWriter().bytes(1, Buffer.alloc(31)).uint(2, 1).finish() }],
    ['year 0', { time: new ProtobufWriter().int(1, -62_135_596_801n).finish() }],
    ['year 10000', { time: new ProtobufWriter().int(1, 253_402_300_800n).finish() }],
    ['negative nanoseconds', { time: new ProtobufWriter().int(2, -1n).finish() }],
    ['a second of nanoseconds', { time: new ProtobufWriter().uint(2, 1_000_000_000).finish() }],
    ['creator that is not UTF-8', { more: (w: ProtobufWriter) => w.bytes(4, Buffer.from([0xff])) }],
  ])('is refused: %s', (_, parts) => {
    expect(() => decodeStoredKey(message(parts))).toThrow(StoredKeyError)
  })

  test.each([
    ['time as a number', '"created_at":1'],
    ['empty time', '"created_at":""'],
    ['creator as a number', '"created_by":1'],
    ['algorithm as a number', '"algorithm":1'],
  ])('is refused: %s', (_, field) => {
    const stored = `{"bytes":"${KEY.toString('base64')}",${field}}`
    expect(() => decodeStoredKey(stored)).toThrow(StoredKeyError)
  })

  test('is refused: key bytes as the URL-safe alphabet has them', () => {
    const stored = JSON.stringify({ bytes: Buffer.alloc(32, 0xff).toString('base64url') })
    expect(() => decodeStoredKey(stored)).toThrow(StoredKeyError)
  })

  test('is refused without a word of what it holds', () => {
    const secret = KEY.toString('base64')
    const damaged = [
      `{"bytes":"${secret}"`,
      `{"bytes":"${secret}","algorithm":"${secret}"}`,
      `{"bytes":"${secret}","created_at":"${secret}"}`,
      `"${secret}"`,
      secret,
      message({ hmac: KEY }),
      message({ secret: new ProtobufWriter().bytes(1, KEY.subarray(1)).uint(2, 1).finish() }),
    ]
    for (const stored of damaged) {
      const error = errorOf(() => decodeStoredKey(stored))
      expect(error).toBeInstanceOf(StoredKeyError)
      const words = `${error.message} ${String(error.cause)}`
      for (const text of [secret.slice(0, 8), KEY.toString('latin1', 0, 8)]) expect(words).not.toContain(text)
    }
  })

  test('is always refused with that error, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.base64String(), fc.json()), (stored) => {
        expect(errorOf(() => decodeStoredKey(stored))).toBeInstanceOf(StoredKeyError)
      }),
    )
  })
})

describe('a value that KES reads', () => {
  test.each(rows.filter((row) => row.valid))('reads the same here: $why', (row) => {
    for (const stored of [row.stored, Buffer.from(row.stored)]) {
      const key = decodeStoredKey(stored)
      expect(key).toMatchObject({
        algorithm: row.algorithm,
        createdAt: row.created_at,
        createdBy: row.created_by,
      })
      expect(key.secretKey.toString('base64')).toBe(row.key)
      expect(key.hmacKey && probe(key.hmacKey, row.hmac_probe_message)).toBe(row.hmac_probe)
      expect(key.hmacKey !== undefined).toBe(row.has_hmac_key)
    }
  })

  test.each(rows.filter((row) => row.reencoded))('is written again as KES writes it: $why', (row) => {
    expect(encodeStoredKey(decodeStoredKey(row.stored))).toBe(row.reencoded)
  })

  test.each(keys)('$name of the ciphertext vectors is read and written as it is', (key) => {
    const decoded = decodeStoredKey(key.stored_value)
    expect(decoded).toEqual({
      algorithm: key.algorithm,
      secretKey: Buffer.from(key.key, 'base64'),
      hmacKey: Buffer.from(key.hmac_key, 'base64'),
      createdAt: key.created_at,
      createdBy: key.created_by,
    })
    expect(encodeStoredKey(decoded)).toBe(key.stored_value)
  })

  test('may hold unknown fields, known numbers of another kind, and a message in two parts', () => {
    const stored = message({
      secret: new ProtobufWriter().bytes(1, KEY).bytes(2, KEY).finish(),
      more: (w) => w.message(1, new ProtobufWriter().uint(2, 2).finish()).uint(3, 1).double(15, 1),
    })
    expect(decodeStoredKey(stored)).toMatchObject({ algorithm: 'ChaCha20', secretKey: KEY })
  })
})

test('a key without HMAC key cannot be stored', () => {
  const early = decodeStoredKey(`{"bytes":"${KEY.toString('base64')}"}`)
  expect(() => encodeStoredKey(early)).toThrow(StoredKeyError)
})

test.each([{ secretKey: Buffer.alloc(31) }, { hmacKey: Buffer.alloc(33) }, { createdAt: 'yesterday' }])(
  'a key with %j cannot be stored',
  (wrong) => {
    const key: StoredKey = {
      algorithm: 'AES256',
      secretKey: KEY,
      hmacKey: HMAC_KEY,
      createdAt: '2026-11-24T01:42:04Z',
      createdBy: '',
    }
    expect(() => encodeStoredKey({ ...key, ...wrong })).toThrow(StoredKeyError)
  },
)

test('every key that is stored is read back', () => {
  const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))
  const key = fc.record({
    algorithm: fc.constantFrom('AES256' as const, 'ChaCha20' as const),
    secretKey: bytes32,
    hmacKey: bytes32,
    createdAt: fc
      .record({ seconds: fc.bigInt(-62_135_596_800n, 253_402_300_799n), nanos: fc.nat(999_999_999) })
      .map(formatTimestamp),
    createdBy: fc.string({ unit: 'grapheme' }),
  })
  fc.assert(
    fc.property(key, (written) => {
      expect(decodeStoredKey(encodeStoredKey(written))).toEqual(written)
    }),
  )
})

function probe(hmacKey: Buffer, messageBase64: string): string {
  return HmacKey.from(hmacKey).mac(Buffer.from(messageBase64, 'base64')).toString('base64')
}

function errorOf(action: () => unknown): Error {
  try {
    action()
  } catch (error) {
    if (error instanceof Error) return error
  }
  throw new Error('nothing was thrown')
}
