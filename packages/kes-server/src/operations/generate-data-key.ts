/** `PUT /v1/key/generate/<name>`: a new data key (DEK), in plaintext and encrypted with the named EK. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'

export interface DataKey {
  /** 32 bytes; the caller keeps it in memory only. */
  readonly plaintext: Buffer
  /** 76 bytes, safe to store next to the data. */
  readonly ciphertext: Buffer
}

/** `context` is authenticated, not stored: decrypt must present the same bytes. */
export function generateDataKey(ring: KeyRing, name: KeyName, context: Uint8Array): DataKey {
  return ring.use(name).cipher.generate(context)
}
