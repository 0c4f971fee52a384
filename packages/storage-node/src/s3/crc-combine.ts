/**
 * The CRC of data in parts, from the CRCs of the parts: over polynomials modulo 2, appending n bytes multiplies by x^8n.
 * All of it is bit-reversed, as these CRCs are.
 */
import type { ChecksumAlgorithm } from './checksums.ts'

interface Field {
  readonly width: bigint
  /** Reversed, without its highest term. */
  readonly polynomial: bigint
}

export type CrcAlgorithm = Extract<ChecksumAlgorithm, `CRC${string}`>

const FIELDS: Readonly<Record<CrcAlgorithm, Field>> = {
  CRC32: { width: 32n, polynomial: 0xedb88320n },
  CRC32C: { width: 32n, polynomial: 0x82f63b78n },
  CRC64NVME: { width: 64n, polynomial: 0x9a6c9329ac4bc9b5n },
}

export interface CrcPart {
  readonly digest: Buffer
  /** Bytes of the data. */
  readonly size: number
}

export function isCrc(algorithm: ChecksumAlgorithm): algorithm is CrcAlgorithm {
  return algorithm in FIELDS
}

/** @returns 4 or 8 bytes, big-endian, as the digests. */
export function combineCrcs(algorithm: CrcAlgorithm, parts: readonly CrcPart[]): Buffer {
  const field = FIELDS[algorithm]
  let crc = 0n
  for (const { digest, size } of parts) {
    crc = multiply(field, powerOfX(field, 8n * BigInt(size)), crc) ^ BigInt(`0x${digest.toString('hex')}`)
  }
  return Buffer.from(crc.toString(16).padStart(Number(field.width) / 4, '0'), 'hex')
}

function multiply({ width, polynomial }: Field, a: bigint, b: bigint): bigint {
  let product = 0n
  let factor = b
  for (let bit = 1n << (width - 1n); bit !== 0n; bit >>= 1n) {
    if ((a & bit) !== 0n) product ^= factor
    factor = (factor & 1n) === 0n ? factor >> 1n : (factor >> 1n) ^ polynomial
  }
  return product
}

function powerOfX(field: Field, exponent: bigint): bigint {
  let result = 1n << (field.width - 1n)
  let square = 1n << (field.width - 2n)
  for (let rest = exponent; rest !== 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) result = multiply(field, result, square)
    square = multiply(field, square, square)
  }
  return result
}
