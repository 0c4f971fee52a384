/** SSE-C: the client's own key in place of a data key. The node keeps nothing of it. */
import { objectPath } from '@latchkey/kms-client/kms'
import type { ObjectName } from './data-key.ts'
import type { StoredEncryption } from './metadata.ts'
import type { CustomerKey } from './mode.ts'
import { ObjectKey } from './object-key.ts'

export type CustomerKeyEncryption = Extract<StoredEncryption, { kind: 'SSE-C' }>

/** Seals an object's key, a new one unless given. @param iv - of the seal that this one replaces. */
export function sealWithCustomerKey(
  name: ObjectName,
  customerKey: CustomerKey,
  objectKey = ObjectKey.generate(customerKey.key),
  iv?: Uint8Array,
): { objectKey: ObjectKey; stored: CustomerKeyEncryption } {
  const sealedKey = objectKey.seal(customerKey.key, placeOf(name), iv)
  return { objectKey, stored: { kind: 'SSE-C', sealedKey } }
}

/** @throws {@link SecretKeyMismatchError} if it is another key. */
export function unsealWithCustomerKey(
  name: ObjectName,
  customerKey: CustomerKey,
  { sealedKey }: CustomerKeyEncryption,
): ObjectKey {
  return ObjectKey.unseal(customerKey.key, placeOf(name), sealedKey)
}

function placeOf({ bucket, key }: ObjectName) {
  return { kind: 'SSE-C', path: objectPath(bucket, key) } as const
}
