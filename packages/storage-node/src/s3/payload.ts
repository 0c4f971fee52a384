/**
 * The body of an upload: taken out of its chunks, and compared with everything that the client has said of it, its
 * length, signatures, MD5 and checksums.
 */
import { createHash } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { giveBack } from '../memory/give-back.ts'
import { AwsChunkedDecoder } from './aws-chunked.ts'
import {
  algorithmOfHeader,
  CHECKSUM_ALGORITHMS,
  type Checksum,
  type ChecksumAlgorithm,
  checksumHeader,
  createChecksum,
  parseChecksum,
} from './checksums.ts'
import { S3Error } from './errors.ts'
import { UNSIGNED_PAYLOAD, type Verified } from './signature-v4.ts'

/** Of one PUT, and of one part. */
const UPLOAD_BYTES_MAX = 5 * 1024 ** 3

export interface PayloadOptions {
  /** Compute the MD5 even if the client sent none. */
  readonly needsMd5: boolean
}

type Framing = { readonly isChunked: boolean; readonly isSigned: boolean; readonly hasTrailer: boolean }

const STREAMING: Readonly<Record<string, Framing>> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { isChunked: true, isSigned: true, hasTrailer: false },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { isChunked: true, isSigned: true, hasTrailer: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { isChunked: true, isSigned: false, hasTrailer: true },
}
const WHOLE: Framing = { isChunked: false, isSigned: false, hasTrailer: false }

export class Payload {
  /** Bytes of data; undefined if the client has not said. */
  readonly size: number | undefined
  /** The checksum that the client has promised, by a header or for the trailer. */
  readonly checksumAlgorithm: ChecksumAlgorithm | undefined
  /** Whether it comes behind the data. */
  readonly isChecksumTrailing: boolean
  /** Whether the client sent a Content-MD5: MinIO then makes it the ETag of every kind of object. */
  readonly hasContentMd5: boolean
  readonly #framing: Framing
  readonly #signed: Verified
  readonly #contentMd5: Buffer | undefined
  readonly #promised: Checksum | undefined
  #md5: Buffer | undefined
  #checksum: Checksum | undefined

  /** @throws S3Error 400 if what the headers say of the body is missing, malformed or contradictory. */
  constructor(headers: IncomingHttpHeaders, signed: Verified) {
    this.#signed = signed
    this.#framing = framingOf(signed.payload)
    this.size = sizeOf(headers, this.#framing)
    this.#contentMd5 = contentMd5Of(headers)
    this.hasContentMd5 = this.#contentMd5 !== undefined
    this.#promised = promisedChecksum(headers)
    const trailing = this.#promised === undefined ? trailingAlgorithm(headers, this.#framing) : undefined
    this.checksumAlgorithm = this.#promised?.algorithm ?? trailing
    this.isChecksumTrailing = trailing !== undefined
  }

  /**
   * The data, slice by slice; a slice holds its bytes until the next one is asked for. Nothing of it is good before the
   * end: a caller keeps what it has made of the data to itself until then.
   *
   * @throws S3Error 400 or 403, at the latest at the end, if the data is not what was promised.
   */
  async *read(body: AsyncIterable<Buffer>, { needsMd5 }: PayloadOptions): AsyncGenerator<Buffer> {
    const { payload, chunkSigner } = this.#signed
    const { isChunked, isSigned, hasTrailer } = this.#framing
    const decoder = isChunked
      ? new AwsChunkedDecoder({ signer: isSigned ? chunkSigner : undefined, hasTrailer })
      : undefined
    const sha256 = isChunked || payload === UNSIGNED_PAYLOAD ? undefined : createHash('sha256')
    const md5 = needsMd5 || this.hasContentMd5 ? createHash('md5') : undefined
    const checksum = this.checksumAlgorithm && (await createChecksum(this.checksumAlgorithm))
    let size = 0
    for await (const bytes of body) {
      for (const slice of decoder?.push(bytes) ?? [bytes]) {
        size += slice.length
        if (size > (this.size ?? UPLOAD_BYTES_MAX)) throw S3Error.of('IncompleteBody')
        sha256?.update(slice)
        md5?.update(slice)
        checksum?.update(slice)
        yield slice
      }
      giveBack(bytes)
    }
    const trailers = decoder?.end()
    if (this.size !== undefined && size !== this.size) throw S3Error.of('IncompleteBody')
    if (sha256 !== undefined && sha256.digest('hex') !== payload)
      throw S3Error.of('XAmzContentSHA256Mismatch')
    this.#md5 = md5?.digest()
    if (this.#contentMd5 !== undefined && this.#md5?.equals(this.#contentMd5) !== true) {
      throw S3Error.of('BadDigest')
    }
    if (this.checksumAlgorithm !== undefined && checksum !== undefined) {
      this.#checksum = this.#compare(this.checksumAlgorithm, checksum.digest(), trailers)
    }
  }

  /** @throws S3Error 411 if the client has not said it. */
  requireSize(): number {
    if (this.size === undefined) throw S3Error.of('MissingContentLength')
    return this.size
  }

  /** 16 bytes, after the end, if it was needed or promised. */
  get md5(): Buffer | undefined {
    return this.#md5
  }

  /** After the end: the checksum that the client promised, found right. */
  get checksum(): Checksum | undefined {
    return this.#checksum
  }

  #compare(
    algorithm: ChecksumAlgorithm,
    digest: Buffer,
    trailers: ReadonlyMap<string, string> | undefined,
  ): Checksum {
    const trailer = trailers?.get(checksumHeader(algorithm))
    const promised = this.#promised ?? (trailer === undefined ? undefined : parseChecksum(algorithm, trailer))
    if (promised === undefined) {
      throw S3Error.of('InvalidRequest', {
        message: 'The trailer that X-Amz-Trailer announces did not come.',
      })
    }
    if (promised.digest.equals(digest)) return promised
    throw S3Error.of('BadDigest', {
      message: `The ${algorithm} you specified did not match the calculated checksum.`,
    })
  }
}

function framingOf(payload: string): Framing {
  const framing = STREAMING[payload]
  if (framing !== undefined) return framing
  if (payload === UNSIGNED_PAYLOAD || /^[0-9a-f]{64}$/.test(payload)) return WHOLE
  throw S3Error.of('InvalidArgument', {
    message:
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 value.',
  })
}

function sizeOf(headers: IncomingHttpHeaders, { isChunked }: Framing): number | undefined {
  const text = isChunked ? headers['x-amz-decoded-content-length'] : headers['content-length']
  if (typeof text !== 'string') return undefined
  if (!/^\d{1,15}$/.test(text)) throw S3Error.of('InvalidArgument')
  const size = Number(text)
  if (size > UPLOAD_BYTES_MAX) throw S3Error.of('EntityTooLarge')
  return size
}

function contentMd5Of(headers: IncomingHttpHeaders): Buffer | undefined {
  const text = headers['content-md5']
  if (text === undefined) return undefined
  const md5 = Buffer.from(String(text), 'base64')
  if (md5.length !== 16) throw S3Error.of('InvalidDigest')
  return md5
}

function promisedChecksum(headers: IncomingHttpHeaders): Checksum | undefined {
  const present = CHECKSUM_ALGORITHMS.filter((algorithm) => headers[checksumHeader(algorithm)] !== undefined)
  const [algorithm] = present
  if (algorithm === undefined) return undefined
  if (present.length > 1) {
    throw S3Error.of('InvalidRequest', {
      message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    })
  }
  return parseChecksum(algorithm, String(headers[checksumHeader(algorithm)]))
}

function trailingAlgorithm(headers: IncomingHttpHeaders, framing: Framing): ChecksumAlgorithm | undefined {
  const name = headers['x-amz-trailer']
  if (name === undefined || !framing.hasTrailer) return undefined
  const algorithm = algorithmOfHeader(String(name).trim().toLowerCase())
  if (algorithm !== undefined) return algorithm
  throw S3Error.of('InvalidRequest', {
    message: 'The value specified in the x-amz-trailer header is not supported',
  })
}
