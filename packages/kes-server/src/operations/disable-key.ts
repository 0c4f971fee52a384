/** `PUT /v1/key/disable/<name or pattern>`: locks a key, or every key of a pattern. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/** Once this has returned, it is so. @throws KeyNotFoundError (404) */
export function disableKey(ring: KeyRing, name: KeyName, caller: Caller): void {
  ring.setState(name, 'disabled', caller)
}

/**
 * All keys whose name starts with `prefix`, in one transaction.
 *
 * @param mayChange - whether the caller's policy allows this for the key of that name.
 * @throws NotAllowedError (403), and nothing has changed, if one name is refused.
 */
export function disableKeys(
  ring: KeyRing,
  prefix: string,
  caller: Caller,
  mayChange: (name: KeyName) => boolean,
) {
  return ring.setStateOfAll(prefix, 'disabled', caller, mayChange)
}
