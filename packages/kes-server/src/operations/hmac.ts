/** `PUT /v1/key/hmac/<name>`: HMAC-SHA-256 of a message under the HMAC key that belongs to the named EK. */
import { NoHmacError } from '../errors.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'

/** @returns 32 bytes. @throws {@link NoHmacError} (409) for keys of KES's first releases. */
export function hmac(ring: KeyRing, name: KeyName, message: Uint8Array): Buffer {
  const key = ring.use(name)
  if (key.hmac === undefined) throw new NoHmacError()
  return key.hmac.mac(message)
}
