/** `PUT /v1/key/encrypt/<name>`: encrypts the caller's bytes with the named EK. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'

/** @returns 44 bytes more than the plaintext. */
export function encrypt(ring: KeyRing, name: KeyName, plaintext: Uint8Array, context: Uint8Array): Buffer {
  return ring.use(name).cipher.encrypt(plaintext, context)
}
