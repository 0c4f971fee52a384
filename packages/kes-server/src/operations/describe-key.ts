/** `GET /v1/key/describe/<name>`: what may be known of a key. Answers whatever the key's state. */
import type { DamagedKey, KeyDescription, KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'

export function describeKey(ring: KeyRing, name: KeyName) {
  return keyDocument(ring.describe(name))
}

/** KES's fields in KES's order, then ours; `created_by` is omitted where nobody is known. */
export function keyDocument(key: KeyDescription | DamagedKey) {
  if (key.state === 'damaged') return { name: key.name, state: key.state }
  return {
    name: key.name,
    algorithm: key.algorithm,
    created_at: key.createdAt,
    ...(key.createdBy === '' ? {} : { created_by: key.createdBy }),
    state: key.state,
    revision: key.revision,
    changed_at: key.changedAt,
    ...(key.changedBy === '' ? {} : { changed_by: key.changedBy }),
    ...(key.deletionAt === undefined ? {} : { deletion_at: key.deletionAt }),
    ...(key.lastUsedAt === undefined ? {} : { last_used_at: key.lastUsedAt }),
  }
}
