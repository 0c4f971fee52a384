import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type ChecksumType, decodeChecksum, encodeChecksum } from './checksum-record.ts'
import { CHECKSUM_ALGORITHMS, DIGEST_BYTES } from './checksums.ts'

test('a trailing CRC32 is 09 and its 4 bytes, as MinIO keeps it', () => {
  const digest = Buffer.from('01020304', 'hex')
  const record = encodeChecksum({ algorithm: 'CRC32', type: 'FULL_OBJECT', digest }, { isTrailing: true })
  expect(record.toString('hex')).toBe('0901020304')
})

test('what was encoded is decoded, for every kind', () => {
  const kinds = fc.record({
    algorithm: fc.constantFrom(...CHECKSUM_ALGORITHMS),
    isTrailing: fc.boolean(),
    isMultipart: fc.boolean(),
    isComposite: fc.boolean(),
  })
  fc.assert(
    fc.property(kinds, fc.uint8Array({ minLength: 32, maxLength: 32 }), (kind, bytes) => {
      const type: ChecksumType = kind.isMultipart && kind.isComposite ? 'COMPOSITE' : 'FULL_OBJECT'
      const digest = Buffer.from(bytes.subarray(0, DIGEST_BYTES[kind.algorithm]))
      const record = encodeChecksum({ algorithm: kind.algorithm, type, digest }, kind)
      expect(decodeChecksum(record)).toEqual({ algorithm: kind.algorithm, type, digest })
    }),
  )
})

test('any other bytes are none, and nothing is thrown', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const record = decodeChecksum(Buffer.from(bytes))
      expect(record === undefined || record.digest.length === DIGEST_BYTES[record.algorithm]).toBe(true)
    }),
  )
})
