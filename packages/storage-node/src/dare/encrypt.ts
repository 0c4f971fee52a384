/** Content → DARE 2.0, with bounded memory whatever the length. `format.ts` has the layout. */
import assert from 'node:assert/strict'
import { type KeyObject, randomBytes } from 'node:crypto'
import { giveBack } from '../memory/give-back.ts'
import {
  ASSOCIATED_BYTES,
  CIPHERS,
  type DareCipher,
  FINAL_FLAG,
  HEADER_BYTES,
  NONCE_BYTES,
  PACKAGE_BYTES,
  SEALED_PACKAGE_BYTES,
  sealedSize,
  sealing,
  TAG_BYTES,
  VERSION_2,
} from './format.ts'

/** Packages that are handed on together: one write to a file costs about as much as the encryption of a package. */
const PACKAGES_PER_BLOCK = 4
/** Most objects are small, and a buffer for a whole package costs more than their encryption. */
const SMALL_BYTES = 8 * 1024
const NOTHING = new Uint8Array()

export interface DareEncryptOptions {
  /** AES-256-GCM unless given: the faster one on every processor with AES instructions. */
  readonly cipher?: DareCipher
  /**
   * 12 bytes, random unless given. Only to repeat a recorded encryption: two streams under one key and nonce give
   * away each other's content. Its top bit is the format's.
   */
  readonly nonce?: Uint8Array
}

/** Encrypts one stream: `update` for each piece of content, then `end`. */
export class DareEncryptor {
  readonly #key: KeyObject
  readonly #cipher: DareCipher
  /** The header of the next package; its nonce is the stream's. */
  readonly #header: Buffer
  /** The nonce of the next package. */
  readonly #nonce: Buffer
  readonly #nonceTail: number
  #sequence = 0
  /** Content that waits until it is known whether more follows: the last package looks different. */
  #pending: Buffer | undefined
  #pendingBytes = 0
  #block: Buffer | undefined
  #blockBytes = 0

  /** @param key - 32 bytes. */
  constructor(key: KeyObject, options: DareEncryptOptions = {}) {
    const nonce = options.nonce ?? randomBytes(NONCE_BYTES)
    assert.equal(nonce.length, NONCE_BYTES)
    this.#key = key
    this.#cipher = options.cipher ?? 'AES-256-GCM'
    this.#header = Buffer.alloc(HEADER_BYTES)
    this.#header[0] = VERSION_2
    this.#header[1] = CIPHERS.indexOf(this.#cipher)
    this.#header.set(nonce, ASSOCIATED_BYTES)
    this.#header[ASSOCIATED_BYTES] = (nonce[0] ?? 0) & ~FINAL_FLAG
    this.#nonce = Buffer.from(this.#header.subarray(ASSOCIATED_BYTES))
    this.#nonceTail = this.#nonce.readUInt32LE(NONCE_BYTES - 4)
  }

  /**
   * Takes content of any length; keeps no reference to it once the generator has ended, which it must.
   *
   * @returns what can be stored so far. **A yielded buffer holds its bytes until the next one is asked for.**
   */
  *update(content: Uint8Array): Generator<Buffer, void, undefined> {
    let at = 0
    if (this.#pendingBytes > 0) {
      at = Math.min(PACKAGE_BYTES - this.#pendingBytes, content.length)
      this.#keep(content.subarray(0, at))
      if (at === content.length) return
      this.#seal(this.#pendingContent(), false)
      this.#pendingBytes = 0
      if (this.#isBlockFull()) yield this.#takeBlock()
    }
    while (content.length - at > PACKAGE_BYTES) {
      this.#seal(content.subarray(at, at + PACKAGE_BYTES), false)
      at += PACKAGE_BYTES
      if (this.#isBlockFull()) yield this.#takeBlock()
    }
    this.#keep(content.subarray(at))
  }

  /** The end of the content, with the last piece of it. Nothing may follow. @see {@link update} */
  *end(last: Uint8Array = NOTHING): Generator<Buffer, void, undefined> {
    if (this.#pendingBytes === 0 && last.length > 0 && last.length <= PACKAGE_BYTES) {
      this.#seal(last, true) // All there is, most often: nothing has to wait.
    } else {
      yield* this.update(last)
      if (this.#pendingBytes > 0) this.#seal(this.#pendingContent(), true)
    }
    this.#pendingBytes = 0
    this.#pending = undefined
    if (this.#blockBytes > 0) yield this.#takeBlock()
  }

  #keep(content: Uint8Array): void {
    if (content.length === 0) return
    const bytes = this.#pendingBytes + content.length
    if (this.#pending === undefined || this.#pending.length < bytes) {
      const larger = Buffer.allocUnsafeSlow(bytes <= SMALL_BYTES ? SMALL_BYTES : PACKAGE_BYTES)
      if (this.#pending) larger.set(this.#pending)
      this.#pending = larger
    }
    this.#pending.set(content, this.#pendingBytes)
    this.#pendingBytes = bytes
  }

  #pendingContent(): Uint8Array {
    assert(this.#pending)
    return this.#pending.subarray(0, this.#pendingBytes)
  }

  #seal(content: Uint8Array, isFinal: boolean): void {
    const block = this.#blockFor(content.length, isFinal)
    const start = this.#blockBytes
    this.#header.writeUInt16LE(content.length - 1, 2)
    if (isFinal) {
      this.#header[ASSOCIATED_BYTES] = (this.#header[ASSOCIATED_BYTES] ?? 0) | FINAL_FLAG
      this.#nonce[0] = (this.#nonce[0] ?? 0) | FINAL_FLAG
    }
    this.#nonce.writeUInt32LE((this.#nonceTail ^ this.#sequence) >>> 0, NONCE_BYTES - 4)
    this.#sequence += 1

    const aead = sealing(this.#cipher, this.#key, this.#nonce)
    aead.setAAD(this.#header.subarray(0, ASSOCIATED_BYTES))
    block.set(this.#header, start)
    const ciphertext = aead.update(content)
    block.set(ciphertext, start + HEADER_BYTES)
    giveBack(ciphertext)
    aead.final()
    const end = start + HEADER_BYTES + content.length
    block.set(aead.getAuthTag(), end)
    this.#blockBytes = end + TAG_BYTES
  }

  /** A stream of one package, as most are, needs no block of several. */
  #blockFor(contentBytes: number, isFinal: boolean): Buffer {
    this.#block ??= Buffer.allocUnsafeSlow(
      isFinal ? sealedSize(contentBytes) : PACKAGES_PER_BLOCK * SEALED_PACKAGE_BYTES,
    )
    return this.#block
  }

  #isBlockFull(): boolean {
    return this.#blockBytes === PACKAGES_PER_BLOCK * SEALED_PACKAGE_BYTES
  }

  #takeBlock(): Buffer {
    assert(this.#block)
    const block = this.#block.subarray(0, this.#blockBytes)
    this.#blockBytes = 0
    return block
  }
}

/** The stream of `content`. A yielded buffer holds its bytes until the next one is asked for. */
export async function* encryptStream(
  content: AsyncIterable<Uint8Array>,
  key: KeyObject,
  options: DareEncryptOptions = {},
): AsyncGenerator<Buffer, void, undefined> {
  const encryptor = new DareEncryptor(key, options)
  for await (const piece of content) yield* encryptor.update(piece)
  yield* encryptor.end()
}

/** A short value as one stream: a sealed key, an ETag. */
export function encryptBytes(
  plaintext: Uint8Array,
  key: KeyObject,
  options: DareEncryptOptions = {},
): Buffer {
  const encryptor = new DareEncryptor(key, options)
  // Copied at once, because a yielded buffer is good until the next.
  return Buffer.concat([...copies(encryptor.end(plaintext))])
}

function* copies(buffers: Iterable<Buffer>): Generator<Buffer> {
  for (const buffer of buffers) yield Buffer.from(buffer)
}
