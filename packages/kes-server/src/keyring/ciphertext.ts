/**
 * The ciphertext of the KES API: what *encrypt* and *generate* give out and *decrypt* takes.
 *
 *     offset  bytes  field
 *          0      n  C, as long as the plaintext
 *          n     16  tag
 *     n + 16     16  iv, random
 *     n + 32     12  nonce, random
 *
 * A key is derived from the secret key for each iv, and seals under the nonce; the context is its associated
 * data.
 *
 *     AES256    HMAC-SHA-256(secret key, iv) → AES-256-GCM
 *     ChaCha20  HChaCha20(secret key, iv)    → ChaCha20-Poly1305 with the 12-byte nonce of RFC 8439
 *
 * (The second one is not XChaCha20-Poly1305, although KES once called it so: iv and nonce are apart.)
 */
import assert from 'node:assert/strict'
import {
  type CipherChaCha20Poly1305,
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type DecipherChaCha20Poly1305,
  type DecipherGCM,
} from 'node:crypto'
import { allocSecret, copySecret } from '../encoding/secret-bytes.ts'
import { NotAuthenticError } from '../errors.ts'
import type { Algorithm } from '../store/algorithm.ts'
import { toRawCiphertext } from './legacy-ciphertext.ts'
import { takeRandom } from './random-pool.ts'

const KEY_BYTES = 32
const TAG_BYTES = 16
const IV_BYTES = 16
const NONCE_BYTES = 12
const OVERHEAD_BYTES = TAG_BYTES + IV_BYTES + NONCE_BYTES
const DATA_KEY_BYTES = 32

/**
 * How many data keys one iv may serve. With fresh random nonces of 96 bits, two of 2^16 messages get the same
 * one with probability 2^-65; NIST SP 800-38D, section 8.3, allows 2^32 messages.
 */
const DATA_KEYS_PER_IV_MAX = 2 ** 16

const CHACHA20_POLY1305 = { authTagLength: TAG_BYTES } as const

export interface DataKey {
  readonly plaintext: Buffer // 32 bytes; whoever sends it wipes it.
  readonly ciphertext: Buffer // 76 bytes; safe to store next to the data.
}

/** The key that an iv leads to. */
interface DerivedKey {
  readonly iv: Buffer // 16 bytes.
  readonly key: Buffer // 32 bytes; whoever drops it wipes it.
}

/**
 * A secret key, ready for use. Its bytes and all that is derived from them are overwritten as soon as they are dropped,
 * which those of a KeyObject are only when the collector comes to it.
 */
export class CipherKey {
  readonly algorithm: Algorithm
  #secretKey: Buffer | undefined
  #generating: { readonly derived: DerivedKey; dataKeys: number } | undefined
  #lastDecrypting: DerivedKey | undefined

  private constructor(algorithm: Algorithm, secretKey: Buffer) {
    this.algorithm = algorithm
    this.#secretKey = secretKey
  }

  /** Copies `secretKey`, 32 bytes; the caller wipes its own copy. */
  static from(algorithm: Algorithm, secretKey: Uint8Array): CipherKey {
    assert.equal(secretKey.length, KEY_BYTES)
    return new CipherKey(algorithm, copySecret(secretKey))
  }

  /**
   * `context` is authenticated, not stored: decrypt must present the same bytes.
   *
   * @returns `plaintext.length + 44` bytes.
   */
  encrypt(plaintext: Uint8Array, context: Uint8Array): Buffer {
    const derived = this.#derive(takeRandom(IV_BYTES))
    try {
      return seal(this.algorithm, derived, takeRandom(NONCE_BYTES), plaintext, context)
    } finally {
      wipe(derived)
    }
  }

  /**
   * A new data key, in plaintext and encrypted. The data keys of one process share an iv and its derived key,
   * which saves half of the work; the nonce is always new.
   */
  generate(context: Uint8Array): DataKey {
    if (this.#generating === undefined || this.#generating.dataKeys === DATA_KEYS_PER_IV_MAX) {
      wipe(this.#generating?.derived)
      this.#generating = { derived: this.#derive(takeRandom(IV_BYTES)), dataKeys: 0 }
    }
    this.#generating.dataKeys += 1
    const plaintext = takeRandom(DATA_KEY_BYTES)
    const nonce = takeRandom(NONCE_BYTES)
    return {
      plaintext,
      ciphertext: seal(this.algorithm, this.#generating.derived, nonce, plaintext, context),
    }
  }

  /**
   * @param ciphertext - raw, or of one of the forms in `legacy-ciphertext.ts`.
   * @throws {@link NotAuthenticError} (400), the same for every cause: another key, algorithm or context, a
   *   changed bit, too few bytes, another format.
   */
  decrypt(ciphertext: Buffer, context: Uint8Array): Buffer {
    const raw = toRawCiphertext(ciphertext)
    if (raw.length < OVERHEAD_BYTES) throw new NotAuthenticError()
    return unseal(this.algorithm, this.#derivedFor(raw), raw, context)
  }

  /** Wipes the secret key and all that was derived from it; none of it can be used afterwards. */
  destroy(): void {
    this.#secretKey?.fill(0)
    wipe(this.#generating?.derived)
    wipe(this.#lastDecrypting)
    this.#secretKey = undefined
    this.#generating = undefined
    this.#lastDecrypting = undefined
  }

  #derive(iv: Buffer): DerivedKey {
    assert(this.#secretKey, 'secret key is used after it was destroyed')
    return derive(this.algorithm, this.#secretKey, iv)
  }

  /** Data keys of one process come with one iv, and are often asked for in a row. */
  #derivedFor(raw: Buffer): DerivedKey {
    const start = raw.length - NONCE_BYTES - IV_BYTES
    const end = raw.length - NONCE_BYTES
    const generating = this.#generating?.derived
    if (generating?.iv.compare(raw, start, end) === 0) return generating
    if (this.#lastDecrypting?.iv.compare(raw, start, end) !== 0) {
      wipe(this.#lastDecrypting)
      this.#lastDecrypting = this.#derive(Buffer.from(raw.subarray(start, end)))
    }
    return this.#lastDecrypting
  }
}

/**
 * Encrypts as {@link CipherKey} does, but with iv and nonce of the caller's choice: only to repeat a recorded
 * encryption. A nonce that is used twice with one key and iv gives away both plaintexts and forges any other.
 *
 * @param iv - 16 bytes.
 * @param nonce - 12 bytes.
 */
export function repeatEncryption(
  algorithm: Algorithm,
  secretKey: Uint8Array,
  iv: Buffer,
  nonce: Buffer,
  plaintext: Uint8Array,
  context: Uint8Array,
): Buffer {
  return seal(algorithm, derive(algorithm, secretKey, iv), nonce, plaintext, context)
}

function derive(algorithm: Algorithm, secretKey: Uint8Array, iv: Buffer): DerivedKey {
  if (algorithm === 'ChaCha20') return { iv, key: hChaCha20(secretKey, iv) }
  const digest = createHmac('sha256', secretKey).update(iv).digest()
  const key = copySecret(digest)
  digest.fill(0)
  return { iv, key }
}

function wipe(derived: DerivedKey | undefined): void {
  derived?.key.fill(0)
}

const CHACHA20_CONSTANTS = Buffer.from('expand 32-byte k')
const CHACHA20_BLOCK_OF_ZEROS = Buffer.alloc(64)

/**
 * HChaCha20, section 2.2 of draft-irtf-cfrg-xchacha-03: words 0–3 and 12–15 of ChaCha20's state after its 20
 * rounds.
 *
 * OpenSSL has no HChaCha20, but its 'chacha20' takes all of words 12–15 (block counter and nonce) as a
 * 16-byte iv, and its first block of keystream is the state after the rounds plus the state before them.
 * Before them, words 0–3 are the constants and words 12–15 the iv: subtracted word by word (modulo 2^32,
 * little-endian) they leave the words that HChaCha20 gives. Encrypting zeros shows the keystream.
 */
function hChaCha20(secretKey: Uint8Array, iv: Buffer): Buffer {
  const block = createCipheriv('chacha20', secretKey, iv).update(CHACHA20_BLOCK_OF_ZEROS)
  const derived = allocSecret(KEY_BYTES)
  for (let at = 0; at < 16; at += 4) {
    derived.writeUInt32LE((block.readUInt32LE(at) - CHACHA20_CONSTANTS.readUInt32LE(at)) >>> 0, at)
    derived.writeUInt32LE((block.readUInt32LE(48 + at) - iv.readUInt32LE(at)) >>> 0, 16 + at)
  }
  block.fill(0)
  return derived
}

function seal(
  algorithm: Algorithm,
  { iv, key }: DerivedKey,
  nonce: Buffer,
  plaintext: Uint8Array,
  context: Uint8Array,
): Buffer {
  const cipher: CipherGCM | CipherChaCha20Poly1305 =
    algorithm === 'AES256'
      ? createCipheriv('aes-256-gcm', key, nonce)
      : createCipheriv('chacha20-poly1305', key, nonce, CHACHA20_POLY1305)
  if (context.length > 0) cipher.setAAD(context)
  const ciphertext = Buffer.allocUnsafe(plaintext.length + OVERHEAD_BYTES)
  ciphertext.set(cipher.update(plaintext))
  cipher.final()
  ciphertext.set(cipher.getAuthTag(), plaintext.length)
  ciphertext.set(iv, plaintext.length + TAG_BYTES)
  ciphertext.set(nonce, plaintext.length + TAG_BYTES + IV_BYTES)
  return ciphertext
}

function unseal(algorithm: Algorithm, { key }: DerivedKey, raw: Buffer, context: Uint8Array): Buffer {
  const tagStart = raw.length - OVERHEAD_BYTES
  const nonce = raw.subarray(raw.length - NONCE_BYTES)
  const decipher: DecipherGCM | DecipherChaCha20Poly1305 =
    algorithm === 'AES256'
      ? createDecipheriv('aes-256-gcm', key, nonce)
      : createDecipheriv('chacha20-poly1305', key, nonce, CHACHA20_POLY1305)
  if (context.length > 0) decipher.setAAD(context)
  decipher.setAuthTag(raw.subarray(tagStart, tagStart + TAG_BYTES))
  const plaintext = decipher.update(raw.subarray(0, tagStart))
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    throw new NotAuthenticError()
  }
  return plaintext
}
