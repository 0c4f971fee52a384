/** `PUT /v1/key/import/<name>`: an external key (EK) from bytes that the caller has. */
import { InvalidKeySizeError, UnsupportedAlgorithmError } from '../errors.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'
import { parseAlgorithm } from '../store/algorithm.ts'
import type { Caller } from './caller.ts'

const KEY_BYTES = 32

/**
 * @param secretKey - 32 bytes; wiped before this returns.
 * @throws {@link UnsupportedAlgorithmError} (406), {@link InvalidKeySizeError} (406)
 */
export function importKey(
  ring: KeyRing,
  name: KeyName,
  caller: Caller,
  cipher: string,
  secretKey: Buffer,
): void {
  try {
    const algorithm = parseAlgorithm(cipher)
    if (algorithm === undefined) throw new UnsupportedAlgorithmError(cipher)
    if (secretKey.length !== KEY_BYTES) throw new InvalidKeySizeError(cipher)
    ring.create(name, caller, {}, { algorithm, secretKey })
  } finally {
    secretKey.fill(0)
  }
}
