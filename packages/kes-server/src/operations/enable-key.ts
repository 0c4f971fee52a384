/** `PUT /v1/key/enable/<name or pattern>`: resumes a key, or every key of a pattern. */
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import type { Caller } from './caller.ts'

/** Once this has returned, it is so. @throws KeyNotFoundError (404) */
export function enableKey(ring: KeyRing, name: KeyName, caller: Caller): void {
  ring.setState(name, 'enabled', caller)
}

/**
 * All keys whose name starts with `prefix`, in one transaction.
 *
 * @param mayChange - whether the caller's policy allows this for the key of that name.
 * @throws NotAllowedError (403), and nothing has changed, if one name is refused.
 */
export function enableKeys(
  ring: KeyRing,
  prefix: string,
  caller: Caller,
  mayChange: (name: KeyName) => boolean,
) {
  return ring.setStateOfAll(prefix, 'enabled', caller, mayChange)
}
