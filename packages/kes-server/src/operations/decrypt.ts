/** `PUT /v1/key/decrypt/<name>`: opens a ciphertext, or the ciphertext of a data key, with the named EK. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'

/** @throws NotAuthenticError (400), whatever is wrong with the ciphertext or the context. */
export function decrypt(ring: KeyRing, name: KeyName, ciphertext: Buffer, context: Uint8Array): Buffer {
  return ring.use(name).cipher.decrypt(ciphertext, context)
}
