/** DARE 2.0 and 1.0 → content, from any package on, with bounded memory. `format.ts` has the layout. */
import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { DareError } from './errors.ts'
import {
  ASSOCIATED_BYTES,
  CIPHERS,
  type DareCipher,
  FINAL_FLAG,
  HEADER_BYTES,
  NONCE_BYTES,
  opening,
  PACKAGE_BYTES,
  SEALED_PACKAGE_BYTES,
  TAG_BYTES,
  VERSION_1,
  VERSION_2,
} from './format.ts'

export interface DareDecryptOptions {
  /** Streams of lower version are refused. Version 1.0 does not show that its end was cut off. */
  readonly versionMin: '1.0' | '2.0'
  /** The number of the first package that will be given; 0 is the start of the stream. */
  readonly firstPackage?: number
  /** The given packages may end before the stream does, as a range's do. */
  readonly mayEndEarly?: boolean
}

/** What all packages of a stream have in common. */
interface Stream {
  readonly version: number
  readonly cipher: DareCipher
  /** 12 bytes, without the flag of the final package. Version 2.0 alone. */
  readonly nonce: Buffer
  readonly nonceTail: number
}

/** Decrypts one stream: `update` for each piece of it, then `end`. */
export class DareDecryptor {
  readonly #key: KeyObject
  readonly #options: DareDecryptOptions
  readonly #nonce = Buffer.alloc(NONCE_BYTES)
  #stream: Stream | undefined
  #sequence: number
  #isFinalSeen = false
  #isShortSeen = false
  /** The start of a package whose rest has not come yet. */
  #pending: Buffer | undefined
  #pendingBytes = 0

  /** @param key - 32 bytes. */
  constructor(key: KeyObject, options: DareDecryptOptions) {
    this.#key = key
    this.#options = options
    this.#sequence = options.firstPackage ?? 0
  }

  /**
   * Takes a piece of any length of the stream.
   *
   * @returns authenticated content; each buffer is the receiver's own.
   * @throws {@link DareError} at the first package that is not as it was written.
   */
  *update(piece: Uint8Array): Generator<Buffer, void, undefined> {
    let at = 0
    while (at < piece.length) {
      if (this.#pendingBytes === 0) {
        const packageBytes = this.#packageBytes(piece.subarray(at))
        if (packageBytes !== undefined && piece.length - at >= packageBytes) {
          yield this.#open(piece.subarray(at, at + packageBytes))
          at += packageBytes
          continue
        }
      }
      at += this.#keep(piece.subarray(at))
      const pending = this.#pendingPackage()
      if (pending.length === this.#packageBytes(pending)) {
        this.#pendingBytes = 0
        yield this.#open(pending)
      }
    }
  }

  /** @throws {@link DareError} if the stream is not complete. */
  end(): void {
    if (this.#pendingBytes >= HEADER_BYTES) throw new DareError('payload size')
    if (this.#pendingBytes > 0) throw new DareError('early end')
    if (this.#isFinalSeen || this.#options.mayEndEarly) return
    const mayHaveNoFinal =
      this.#stream === undefined ? this.#options.versionMin === '1.0' : this.#stream.version === VERSION_1
    if (!mayHaveNoFinal) throw new DareError('early end')
  }

  /** Keeps as much of `piece` as belongs to the header, or to the package, that has begun. */
  #keep(piece: Uint8Array): number {
    this.#pending ??= Buffer.allocUnsafeSlow(SEALED_PACKAGE_BYTES)
    const wanted = this.#packageBytes(this.#pendingPackage()) ?? HEADER_BYTES
    const bytes = Math.min(wanted - this.#pendingBytes, piece.length)
    this.#pending.set(piece.subarray(0, bytes), this.#pendingBytes)
    this.#pendingBytes += bytes
    return bytes
  }

  #pendingPackage(): Buffer {
    assert(this.#pending)
    return this.#pending.subarray(0, this.#pendingBytes)
  }

  /** Length of the package that starts here, or undefined while its header is not complete. */
  #packageBytes(start: Uint8Array): number | undefined {
    if (this.#isFinalSeen && start.length > 0) throw new DareError('late data')
    if (start.length < HEADER_BYTES) return undefined
    this.#checkHeader(start)
    return HEADER_BYTES + contentBytes(start) + TAG_BYTES
  }

  /** The order of the checks decides which error is reported, and is the one of the original. */
  #checkHeader(header: Uint8Array): void {
    this.#stream ??= readStream(header, this.#options.versionMin)
    const { version, cipher, nonce } = this.#stream
    if (header[0] !== version) throw new DareError('version')
    if (header[1] !== CIPHERS.indexOf(cipher)) throw new DareError('cipher')
    if (version === VERSION_1) {
      if (sequenceOf(header) !== this.#sequence) throw new DareError('sequence')
      // Only the last one may be short, and this one follows.
      if (this.#isShortSeen) throw new DareError('payload size')
      return
    }
    if (!isFinal(header) && contentBytes(header) !== PACKAGE_BYTES) throw new DareError('payload size')
    if (!hasNonce(header, nonce)) throw new DareError('nonce')
  }

  #open(sealed: Uint8Array): Buffer {
    assert(this.#stream)
    const { version, cipher, nonceTail } = this.#stream
    const contentEnd = sealed.length - TAG_BYTES
    this.#nonce.set(sealed.subarray(ASSOCIATED_BYTES, HEADER_BYTES))
    if (version === VERSION_2) {
      this.#nonce.writeUInt32LE((nonceTail ^ this.#sequence) >>> 0, NONCE_BYTES - 4)
    }
    const aead = opening(cipher, this.#key, this.#nonce)
    aead.setAAD(sealed.subarray(0, ASSOCIATED_BYTES))
    aead.setAuthTag(sealed.subarray(contentEnd))
    const content = aead.update(sealed.subarray(HEADER_BYTES, contentEnd))
    try {
      aead.final()
    } catch {
      content.fill(0)
      throw new DareError('authentication')
    }
    this.#sequence += 1
    this.#isFinalSeen = version === VERSION_2 && isFinal(sealed)
    this.#isShortSeen = content.length < PACKAGE_BYTES
    return content
  }
}

function readStream(header: Uint8Array, versionMin: '1.0' | '2.0'): Stream {
  const version = header[0]
  if (version !== VERSION_2 && (version !== VERSION_1 || versionMin === '2.0')) {
    throw new DareError('version')
  }
  const cipher = CIPHERS[header[1] ?? CIPHERS.length]
  if (cipher === undefined) throw new DareError('cipher')
  const nonce = Buffer.from(header.subarray(ASSOCIATED_BYTES, HEADER_BYTES))
  nonce[0] = (nonce[0] ?? 0) & ~FINAL_FLAG
  return { version, cipher, nonce, nonceTail: nonce.readUInt32LE(NONCE_BYTES - 4) }
}

function contentBytes(header: Uint8Array): number {
  return ((header[2] ?? 0) | ((header[3] ?? 0) << 8)) + 1
}

function isFinal(header: Uint8Array): boolean {
  return ((header[ASSOCIATED_BYTES] ?? 0) & FINAL_FLAG) !== 0
}

function sequenceOf(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset).getUint32(ASSOCIATED_BYTES, true)
}

function hasNonce(header: Uint8Array, nonce: Uint8Array): boolean {
  if (((header[ASSOCIATED_BYTES] ?? 0) & ~FINAL_FLAG) !== nonce[0]) return false
  for (let at = 1; at < NONCE_BYTES; at++) {
    if (header[ASSOCIATED_BYTES + at] !== nonce[at]) return false
  }
  return true
}

/** The content of `sealed`. Each yielded buffer is the receiver's own. */
export async function* decryptStream(
  sealed: AsyncIterable<Uint8Array>,
  key: KeyObject,
  options: DareDecryptOptions,
): AsyncGenerator<Buffer, void, undefined> {
  const decryptor = new DareDecryptor(key, options)
  for await (const piece of sealed) yield* decryptor.update(piece)
  decryptor.end()
}

/** A short value: a sealed key, an ETag. @throws {@link DareError} */
export function decryptBytes(sealed: Uint8Array, key: KeyObject, versionMin: '1.0' | '2.0'): Buffer {
  const decryptor = new DareDecryptor(key, { versionMin })
  const content = [...decryptor.update(sealed)]
  decryptor.end()
  return content.length === 1 && content[0] ? content[0] : Buffer.concat(content)
}
