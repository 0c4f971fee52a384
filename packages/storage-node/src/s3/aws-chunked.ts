/**
 * The body of an upload that its client cut into chunks, each with a signature of its own or none, and with a
 * trailer for the checksum that is known only at the end.
 *
 *     10000;chunk-signature=<64 hex digits>\r\n      the size in hex; no extension where chunks are not signed
 *     <65,536 bytes>\r\n
 *     0;chunk-signature=<64 hex digits>\r\n
 *     x-amz-checksum-crc32:<base64>\r\n              only with a trailer
 *     x-amz-trailer-signature:<64 hex digits>\r\n    only if signed
 *     \r\n
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
import { createHash, type Hash } from 'node:crypto'
import { S3Error } from './errors.ts'
import type { ChunkSigner } from './signature-v4.ts'

/** A line longer than this is none of the format. */
const LINE_BYTES_MAX = 4096
const TRAILER_LINES_MAX = 16
const CHUNK_BYTES_MAX = 5 * 1024 ** 3

export interface AwsChunkedOptions {
  /** Undefined for chunks without signatures. */
  readonly signer: ChunkSigner | undefined
  readonly hasTrailer: boolean
}

type Step = 'size' | 'data' | 'data end' | 'trailer' | 'done'

/**
 * Takes the body as it comes, gives back slices of the data in it (views, not copies), and throws at the first byte
 * that is wrong. Data that was given back is only good once {@link AwsChunkedDecoder.end} has returned.
 */
export class AwsChunkedDecoder {
  readonly #signer: ChunkSigner | undefined
  readonly #hasTrailer: boolean
  readonly #trailers = new Map<string, string>()
  #step: Step = 'size'
  #line = Buffer.alloc(0)
  #left = 0
  #signature = ''
  #hash: Hash | undefined

  constructor({ signer, hasTrailer }: AwsChunkedOptions) {
    this.#signer = signer
    this.#hasTrailer = hasTrailer
  }

  /** @throws S3Error 400 for a broken format, 403 for a wrong signature. */
  *push(bytes: Buffer): Generator<Buffer> {
    let at = 0
    while (at < bytes.length) {
      if (this.#step === 'data') {
        const slice = bytes.subarray(at, at + this.#left)
        at += slice.length
        this.#left -= slice.length
        this.#hash?.update(slice)
        if (this.#left === 0) this.#step = 'data end'
        yield slice
        continue
      }
      const lineEnd = bytes.indexOf(0x0a, at)
      const end = lineEnd < 0 ? bytes.length : lineEnd + 1
      this.#line = Buffer.concat([this.#line, bytes.subarray(at, end)])
      at = end
      if (this.#line.length > LINE_BYTES_MAX) throw malformed()
      if (lineEnd >= 0) this.#takeLine()
    }
  }

  /**
   * Call after the last bytes.
   *
   * @returns the trailer's fields, by lower-case name.
   * @throws S3Error 400 if the body has ended too early.
   */
  end(): ReadonlyMap<string, string> {
    if (this.#step !== 'done') throw S3Error.of('IncompleteBody')
    return this.#trailers
  }

  #takeLine(): void {
    const text = this.#line.toString('latin1')
    this.#line = Buffer.alloc(0)
    const line = text.replace(/\r?\n$/, '')
    switch (this.#step) {
      case 'done':
        if (line !== '') throw malformed() // Some clients end with one blank line more.
        break
      case 'size':
        this.#beginChunk(line)
        break
      case 'data end':
        if (line !== '') throw malformed()
        this.#endChunk()
        this.#step = 'size'
        break
      case 'trailer':
        this.#takeTrailerLine(line)
        break
    }
  }

  #beginChunk(line: string): void {
    const [size = '', ...extensions] = line.split(';')
    if (!/^[0-9a-fA-F]{1,16}$/.test(size)) throw malformed()
    this.#left = Number.parseInt(size, 16)
    if (this.#left > CHUNK_BYTES_MAX) throw malformed()
    if (this.#signer !== undefined) {
      const signature = extensions.map((each) => /^chunk-signature=([0-9a-f]{64})$/.exec(each.trim())?.[1])
      this.#signature = signature.find((each) => each !== undefined) ?? ''
      this.#hash = createHash('sha256')
    }
    if (this.#left > 0) {
      this.#step = 'data'
      return
    }
    this.#endChunk()
    this.#step = 'trailer'
  }

  #endChunk(): void {
    if (this.#hash !== undefined) this.#signer?.verifyChunk(this.#signature, this.#hash.digest('hex'))
    this.#hash = undefined
  }

  #takeTrailerLine(line: string): void {
    if (line !== '') {
      const at = line.indexOf(':')
      if (!this.#hasTrailer || at <= 0 || this.#trailers.size >= TRAILER_LINES_MAX) throw malformed()
      this.#trailers.set(line.slice(0, at).trim().toLowerCase(), line.slice(at + 1).trim())
      return
    }
    if (this.#hasTrailer && this.#signer !== undefined) this.#verifyTrailer(this.#signer)
    this.#step = 'done'
  }

  #verifyTrailer(signer: ChunkSigner): void {
    const signature = this.#trailers.get('x-amz-trailer-signature') ?? ''
    this.#trailers.delete('x-amz-trailer-signature')
    const lines = [...this.#trailers].map(([name, value]) => `${name}:${value}\n`).join('')
    signer.verifyTrailer(signature, createHash('sha256').update(lines).digest('hex'))
  }
}

function malformed(): S3Error {
  return S3Error.of('InvalidRequest', {
    message: 'The body is not in the format aws-chunked that x-amz-content-sha256 announces.',
  })
}
