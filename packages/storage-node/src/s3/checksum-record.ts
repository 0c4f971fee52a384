/**
 * A checksum as MinIO keeps it with an object: its kind, and its bytes.
 *
 *     uvarint  bits: 1 sent as a trailer, 2 SHA-256, 4 SHA-1, 8 CRC-32, 16 CRC-32C, 64 of an object in parts,
 *              128 the parts' checksums follow, 256 CRC-64/NVME, 512 of the whole object though it came in parts
 *     n bytes  digest
 *
 * @see docs/key-hierarchy.md
 */
import { CHECKSUM_ALGORITHMS, type ChecksumAlgorithm, DIGEST_BYTES } from './checksums.ts'

const BITS: Readonly<Record<ChecksumAlgorithm, number>> = {
  SHA256: 2,
  SHA1: 4,
  CRC32: 8,
  CRC32C: 16,
  CRC64NVME: 256,
}
const TRAILING = 1
const MULTIPART = 64
const FULL_OBJECT = 512

export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE'

export interface ChecksumRecord {
  readonly algorithm: ChecksumAlgorithm
  readonly type: ChecksumType
  readonly digest: Buffer
}

/** @param isMultipart - whether the object came in parts. */
export function encodeChecksum(
  { algorithm, type, digest }: ChecksumRecord,
  { isTrailing = false, isMultipart = false } = {},
): Buffer {
  const bits =
    BITS[algorithm] |
    (isTrailing ? TRAILING : 0) |
    (isMultipart ? MULTIPART : 0) |
    (isMultipart && type === 'FULL_OBJECT' ? FULL_OBJECT : 0)
  return Buffer.concat([encodeUvarint(bits), digest])
}

/** @returns undefined for a kind that this node does not know. */
export function decodeChecksum(record: Buffer): ChecksumRecord | undefined {
  let bits = 0
  let at = 0
  for (; ; at += 1) {
    const byte = record[at]
    if (byte === undefined || at > 3) return undefined
    bits |= (byte & 0x7f) << (7 * at)
    if (byte < 0x80) break
  }
  const algorithm = CHECKSUM_ALGORITHMS.find((each) => (bits & BITS[each]) !== 0)
  if (algorithm === undefined) return undefined
  const digest = record.subarray(at + 1, at + 1 + DIGEST_BYTES[algorithm])
  if (digest.length !== DIGEST_BYTES[algorithm]) return undefined
  const isComposite = (bits & MULTIPART) !== 0 && (bits & FULL_OBJECT) === 0
  return { algorithm, type: isComposite ? 'COMPOSITE' : 'FULL_OBJECT', digest }
}

function encodeUvarint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest >= 0x80) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  bytes.push(rest)
  return Buffer.from(bytes)
}
