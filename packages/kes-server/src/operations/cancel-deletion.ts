/** `PUT /v1/key/cancel-deletion/<name>`: takes a scheduled deletion back. The key is disabled then. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/** @throws KeyNotFoundError (404), WrongStateError (409) if no deletion is scheduled */
export function cancelDeletion(ring: KeyRing, name: KeyName, caller: Caller): void {
  ring.cancelDeletion(name, caller)
}
