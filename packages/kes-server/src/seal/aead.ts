/**
 * AES-256-GCM (NIST SP 800-38D) with a random nonce, the one cipher that seals anything for the store.
 *
 *     offset  bytes  field
 *          0     12  nonce, random for each seal
 *         12      n  ciphertext
 *     12 + n     16  tag
 *
 * Random nonces are safe for 2^32 seals under one key (section 8.3); a store seals once a key it makes.
 */
import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'

const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
export const AEAD_OVERHEAD_BYTES = NONCE_BYTES + TAG_BYTES

/** @returns `plaintext.length + 28` bytes. */
export function aeadSeal(key: KeyObject, associatedData: Uint8Array, plaintext: Uint8Array): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(associatedData)
  return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

/** @returns the plaintext, which the caller wipes; undefined if the key or a bit of anything differs. */
export function aeadOpen(key: KeyObject, associatedData: Uint8Array, box: Uint8Array): Buffer | undefined {
  if (box.length < AEAD_OVERHEAD_BYTES) return undefined
  const decipher = createDecipheriv(CIPHER, key, box.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(associatedData)
  decipher.setAuthTag(box.subarray(-TAG_BYTES))
  const plaintext = decipher.update(box.subarray(NONCE_BYTES, -TAG_BYTES))
  try {
    decipher.final() // GCM gives no bytes here; it throws if the tag is wrong.
    return plaintext
  } catch {
    plaintext.fill(0)
    return undefined
  }
}
