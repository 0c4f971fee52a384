/** Key bytes that no log, error or dump shows, and that can be wiped. */
import { timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'

const MASKED = 'SecretKey(***)'

/**
 * The plaintext of a data key. Only `bytes` gives it away: in a template, a log line, JSON, an inspection or a
 * structured clone the key shows nothing of itself.
 *
 *     using dek = (await kms.generateKey({ context })).plaintext
 *     const cipher = createCipheriv('aes-256-gcm', dek.bytes, nonce)
 */
export class SecretKey implements Disposable {
  readonly #bytes: Uint8Array
  #isWiped = false

  /** @param bytes - is taken over, not copied: the caller keeps no use of it. */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** The key itself, not a copy of it. @throws Error if it was wiped. */
  get bytes(): Uint8Array {
    if (this.#isWiped) throw new Error('the secret key was wiped')
    return this.#bytes
  }

  get length(): number {
    return this.#bytes.length
  }

  /** In a time that does not depend on the bytes. */
  equals(other: SecretKey): boolean {
    return this.length === other.length && timingSafeEqual(this.bytes, other.bytes)
  }

  /** Overwrites the bytes with zeros. What was copied from them, such as a KeyObject, stays. */
  [Symbol.dispose](): void {
    this.#isWiped = true
    this.#bytes.fill(0)
  }

  toString(): string {
    return MASKED
  }

  toJSON(): string {
    return MASKED
  }

  [inspect.custom](): string {
    return MASKED
  }
}
