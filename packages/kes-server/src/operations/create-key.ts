/** `PUT /v1/key/create/<name>`: a new external key (EK) of random bytes. */
import { NotAllowedError } from '../errors.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/**
 * @param reuse - `?reuse=true`: take the name of an erased key again; the admin's right alone. The new key opens
 *   nothing that was encrypted under the old one.
 */
export function createKey(ring: KeyRing, name: KeyName, caller: Caller, reuse: boolean): void {
  if (reuse && !caller.isAdmin) {
    throw new NotAllowedError({ detail: 'only the admin may reuse the name of an erased key' })
  }
  ring.create(name, caller, { reuse })
}
