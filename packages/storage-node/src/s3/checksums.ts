/**
 * The checksums that S3 clients send beside the data: computed while the data passes, compared at its end.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity-upload.html
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { createCRC32, createCRC64, type IHasher } from 'hash-wasm'
import { S3Error } from './errors.ts'

export const CHECKSUM_ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const
export type ChecksumAlgorithm = (typeof CHECKSUM_ALGORITHMS)[number]

export const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
}

/** A digest that is made from data as it passes. */
export interface RunningDigest {
  update(bytes: Uint8Array): void
  /** Called once. */
  digest(): Buffer
}

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm
  readonly digest: Buffer
}

/** Castagnoli's polynomial (RFC 3720, appendix B.4), and NVM Express's (NVM Command Set 1.0, 5.2.1.3.4); reversed. */
const CRC32C_POLYNOMIAL = 0x82f63b78
const CRC64NVME_POLYNOMIAL = '9a6c9329ac4bc9b5'

export async function createChecksum(algorithm: ChecksumAlgorithm): Promise<RunningDigest> {
  switch (algorithm) {
    case 'CRC32':
      return new RunningCrc32()
    case 'CRC32C':
      return new RunningWasm(await createCRC32(CRC32C_POLYNOMIAL))
    case 'CRC64NVME':
      return new RunningWasm(await createCRC64(CRC64NVME_POLYNOMIAL))
    case 'SHA1':
    case 'SHA256':
      return createHash(algorithm.toLowerCase())
  }
}

/** Node's own, which is faster than any other. */
class RunningCrc32 implements RunningDigest {
  #value = 0

  update(bytes: Uint8Array): void {
    this.#value = crc32(bytes, this.#value)
  }

  digest(): Buffer {
    const digest = Buffer.alloc(4)
    digest.writeUInt32BE(this.#value)
    return digest
  }
}

class RunningWasm implements RunningDigest {
  readonly #hasher: IHasher

  constructor(hasher: IHasher) {
    this.#hasher = hasher
  }

  update(bytes: Uint8Array): void {
    this.#hasher.update(bytes)
  }

  digest(): Buffer {
    return Buffer.from(this.#hasher.digest('binary'))
  }
}

/** `x-amz-checksum-crc32` for `CRC32`. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`
}

/** @returns the algorithm whose header this is. */
export function algorithmOfHeader(name: string): ChecksumAlgorithm | undefined {
  return CHECKSUM_ALGORITHMS.find((algorithm) => checksumHeader(algorithm) === name)
}

/** @throws S3Error 400 */
export function parseAlgorithm(text: string): ChecksumAlgorithm {
  const algorithm = CHECKSUM_ALGORITHMS.find((each) => each === text.toUpperCase())
  if (algorithm !== undefined) return algorithm
  throw S3Error.of('InvalidRequest', {
    message: `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${CHECKSUM_ALGORITHMS.join(', ')}]`,
  })
}

/**
 * @param value - base64, as in the header.
 * @throws S3Error 400 if it is no digest of this algorithm.
 */
export function parseChecksum(algorithm: ChecksumAlgorithm, value: string): Checksum {
  const digest = Buffer.from(value, 'base64')
  if (digest.length !== DIGEST_BYTES[algorithm] || digest.toString('base64') !== value) {
    throw S3Error.of('InvalidRequest', {
      message: `Value for ${checksumHeader(algorithm)} header is invalid.`,
    })
  }
  return { algorithm, digest }
}
