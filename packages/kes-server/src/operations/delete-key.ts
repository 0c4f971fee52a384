/** `DELETE /v1/key/delete/<name>`: erases a key, and with it all that was encrypted under it. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/** @throws KeyNotFoundError (404) */
export function deleteKey(ring: KeyRing, name: KeyName, caller: Caller): void {
  ring.erase(name, caller.identity)
}
