/**
 * Nonces of logins: random, for one origin's login, once, for a minute.
 *
 *     offset  bytes  field
 *          0      8  when it ends, milliseconds of this process's clock, big-endian
 *          8      8  random
 *         16     16  HMAC-SHA-256 of the bytes before, under a key of this process; the first 16 bytes
 *
 * So nothing is kept for nonces that were asked for, and nobody can use them up for others: only those of logins that
 * succeeded are remembered until they end.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export const NONCE_SECONDS = 60

const BYTES = 32
const SIGNED_BYTES = 16
/** Logins that succeed within a minute. */
const USED_MAX = 10_000

export class Nonces {
  readonly #key = randomBytes(32)
  readonly #now: () => number
  /** When each is forgotten, in the order in which they were used. */
  readonly #used = new Map<string, number>()

  /** @param now - milliseconds that never go back. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Base64url of 32 bytes. */
  issue(): string {
    const nonce = Buffer.alloc(BYTES)
    nonce.writeBigUInt64BE(BigInt(Math.round(this.#now()) + NONCE_SECONDS * 1000))
    randomBytes(SIGNED_BYTES - 8).copy(nonce, 8)
    this.#tag(nonce).copy(nonce, SIGNED_BYTES)
    return nonce.toString('base64url')
  }

  /** Whether the nonce was issued here, has not ended and was not used. */
  isOpen(text: string): boolean {
    const nonce = Buffer.from(text, 'base64url')
    // There is one text for each nonce: otherwise one could be used again in another spelling.
    if (nonce.length !== BYTES || nonce.toString('base64url') !== text) return false
    if (!timingSafeEqual(this.#tag(nonce), nonce.subarray(SIGNED_BYTES))) return false
    return Number(nonce.readBigUInt64BE()) > this.#now() && !this.#used.has(text)
  }

  /**
   * Uses up an open nonce.
   *
   * @returns false if there are too many of this minute to remember another one.
   */
  use(text: string): boolean {
    const now = this.#now()
    for (const [used, endsMs] of this.#used) {
      if (endsMs > now) break
      this.#used.delete(used)
    }
    if (this.#used.size >= USED_MAX) return false
    this.#used.set(text, now + NONCE_SECONDS * 1000)
    return true
  }

  #tag(nonce: Buffer): Buffer {
    return createHmac('sha256', this.#key)
      .update(nonce.subarray(0, SIGNED_BYTES))
      .digest()
      .subarray(0, BYTES - SIGNED_BYTES)
  }
}
