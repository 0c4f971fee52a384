/** The key behind the HMAC API: HMAC-SHA-256 with a key of its own, stored beside the secret key. */
import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { copySecret } from '../encoding/secret-bytes.ts'

const KEY_BYTES = 32

export class HmacKey {
  #key: Buffer | undefined

  private constructor(key: Buffer) {
    this.#key = key
  }

  /** Copies `bytes`, 32 of them; the caller wipes its own copy. */
  static from(bytes: Uint8Array): HmacKey {
    assert.equal(bytes.length, KEY_BYTES)
    return new HmacKey(copySecret(bytes))
  }

  /** @returns 32 bytes. */
  mac(message: Uint8Array): Buffer {
    assert(this.#key, 'HMAC key is used after it was destroyed')
    return createHmac('sha256', this.#key).update(message).digest()
  }

  /** Wipes the key; it can't be used afterwards. */
  destroy(): void {
    this.#key?.fill(0)
    this.#key = undefined
  }
}
