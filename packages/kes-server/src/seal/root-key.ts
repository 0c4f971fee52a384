/**
 * The root key of a store: 32 random bytes from which every key of the seal is derived, never used itself.
 *
 * One subkey a purpose, by HKDF-SHA-256 (RFC 5869) without salt: the root key is uniformly random already.
 */
import assert from 'node:assert/strict'
import { createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { randomSecret } from '../encoding/secret-bytes.ts'

export const ROOT_KEY_BYTES = 32
const SUBKEY_BYTES = 32

/** The info string of a subkey's derivation. A new use gets a new one; none is ever reused for another. */
export type Purpose =
  | 'latchkey/seal/v1'
  | 'latchkey/file-record/v1'
  | 'latchkey/row-mac/v1'
  | 'latchkey/store-check/v1'
  | 'latchkey/journal-key/v1'
  | 'latchkey/old-root/v1'

export class RootKey {
  readonly #bytes: Buffer
  #isDestroyed = false

  private constructor(bytes: Buffer) {
    assert.equal(bytes.length, ROOT_KEY_BYTES)
    this.#bytes = bytes
  }

  static generate(): RootKey {
    return new RootKey(randomSecret(ROOT_KEY_BYTES))
  }

  /** @param bytes - 32 bytes, owned by the root key from now on. */
  static from(bytes: Buffer): RootKey {
    return new RootKey(bytes)
  }

  subkey(purpose: Purpose): KeyObject {
    return this.lend((rootKey) => deriveKey(rootKey, '', purpose))
  }

  /** Shows the bytes to `use`, which must not keep them; for wrapping the root key in a slot. */
  lend<T>(use: (rootKey: Uint8Array) => T): T {
    assert(!this.#isDestroyed, 'the root key is used after it was destroyed')
    return use(this.#bytes)
  }

  /** Wipes the bytes; the root key can't be used afterwards. Subkeys made before live on. */
  destroy(): void {
    this.#bytes.fill(0)
    this.#isDestroyed = true
  }
}

/** HKDF-SHA-256 to a 32-byte key that leaves JavaScript's memory at once. */
export function deriveKey(secret: Uint8Array, salt: Uint8Array | string, info: string): KeyObject {
  const bytes = Buffer.from(hkdfSync('sha256', secret, salt, info, SUBKEY_BYTES))
  try {
    return createSecretKey(bytes)
  } finally {
    bytes.fill(0)
  }
}
