/** What the commands work with: built once by `node.ts`. */
import type { Kms } from '@latchkey/kms-client/kms'
import type { ObjectStore } from '../disk/object-store.ts'
import type { BucketSettings } from './bucket-settings.ts'
import type { ReadGuards } from './read-guards.ts'

export interface NodeServices {
  readonly store: ObjectStore
  /** Undefined if the node has none: encryption with the client's own keys works all the same. */
  readonly kms: Kms | undefined
  readonly settings: BucketSettings
  /** Says during a read that its key has been locked. */
  readonly reads: ReadGuards
  /** `MINIO_KMS_AUTO_ENCRYPTION` */
  readonly isAutoEncrypting: boolean
}
