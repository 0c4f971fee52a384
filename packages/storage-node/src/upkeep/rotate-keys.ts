/**
 * Moves objects from one external key to another: their object keys are sealed anew, their content stays as it is.
 *
 * It goes by pages, and an object that is under the new key is left alone. So whatever stops it, whoever starts it
 * again goes on where it stopped, and nothing has to be remembered.
 */
import { type Kms, KmsError } from '@latchkey/kms-client/kms'
import { NoSuchKeyError, ObjectChangedError } from '../disk/errors.ts'
import type { ObjectProperties, ObjectRecord, ObjectStore } from '../disk/object-store.ts'
import { EtagSealer } from '../s3/listed-etags.ts'
import type { DataKeyEncryption } from '../sse/data-key.ts'
import { resealUnderExternalKey } from '../sse/encryption.ts'
import { SseError } from '../sse/errors.ts'
import { isEtagSealed, unsealEtag } from '../sse/etag.ts'
import { decodeEncryption, encodeEncryption, type StoredEncryption } from '../sse/metadata.ts'
import type { ObjectKey } from '../sse/object-key.ts'

export interface RotateServices {
  readonly store: ObjectStore
  readonly kms: Kms
}

export interface RotateQuery {
  readonly bucket: string
  readonly prefix: string
  /** Name of the external key that the objects come under. */
  readonly to: string
  /** Only objects that are under this one; default: under any other. */
  readonly from?: string | undefined
  /** Go on behind this key. */
  readonly after?: string | undefined
  /** How many objects are looked at. */
  readonly max: number
}

export interface RotateFailure {
  readonly key: string
  readonly externalKey: string
  readonly problem: string
}

export interface RotatedPage {
  readonly rotated: number
  /** Under the new key already, or under one that was not asked for. */
  readonly left: number
  /** Not encrypted, or with a key of the client's own, which the node does not have. */
  readonly notApplicable: number
  readonly failures: readonly RotateFailure[]
  /** The `after` of the next page; absent on the last one. */
  readonly next?: string
}

/** Each is two calls of the KMS and two syncs of the disk. */
const AT_ONCE = 8
/** Somebody writes the object again and again. */
const ATTEMPTS_MAX = 5

type Outcome = 'rotated' | 'left' | 'notApplicable' | RotateFailure

/**
 * @throws {@link KmsError} if the new key can't be used, or no key server answers; what was done until then stays.
 * @throws {@link NoSuchBucketError}
 */
export async function rotatePage(services: RotateServices, query: RotateQuery): Promise<RotatedPage> {
  const { bucket, prefix, after, max } = query
  const page = services.store.list(bucket, { prefix, max, ...(after !== undefined && { after }) })
  const outcomes: Outcome[] = []
  const keys = page.items.map(({ key }) => key)
  const work = async () => {
    try {
      for (let key = keys.shift(); key !== undefined; key = keys.shift()) {
        outcomes.push(await rotateObject(services, query, key))
      }
    } catch (error) {
      keys.length = 0 // Nothing new is begun, and what was begun ends before this is told.
      throw error
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, work))
  const failed = ended.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
  const count = (wanted: Outcome) => outcomes.filter((outcome) => outcome === wanted).length
  return {
    rotated: count('rotated'),
    left: count('left'),
    notApplicable: count('notApplicable'),
    failures: outcomes.filter((outcome) => typeof outcome === 'object'),
    ...(page.next !== undefined && { next: page.next }),
  }
}

async function rotateObject(services: RotateServices, query: RotateQuery, key: string): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    let externalKey = ''
    try {
      const record = services.store.stat(query.bucket, key)
      const stored = decodeEncryption(record.internal)
      if (!hasDataKey(stored)) return 'notApplicable'
      externalKey = stored.dataKey.externalKey
      const isMeant = externalKey !== query.to && (query.from === undefined || externalKey === query.from)
      if (!isMeant) return 'left'
      await reseal(services, query.to, record, stored)
      return 'rotated'
    } catch (error) {
      if (error instanceof NoSuchKeyError) return 'left' // Deleted meanwhile.
      if (error instanceof ObjectChangedError && attempt < ATTEMPTS_MAX) continue
      if (!isOfThisObject(error, query.to)) throw error
      return { key, externalKey, problem: error.message }
    }
  }
}

/** What the next object may not have: a locked or erased old key, damaged metadata, an eager writer. */
function isOfThisObject(error: unknown, to: string): error is Error {
  if (error instanceof KmsError) return error.reason !== 'unreachable' && error.key !== to
  return error instanceof SseError || error instanceof ObjectChangedError
}

async function reseal(
  services: RotateServices,
  to: string,
  record: ObjectRecord,
  stored: DataKeyEncryption,
): Promise<void> {
  const { store, kms } = services
  const { bucket, key, etag, headers, internal, revision } = record
  const resealed = await resealUnderExternalKey(kms, record, stored, to)
  await store.replaceProperties(bucket, key, revision, {
    etag,
    headers,
    internal: { ...internal, ...encodeEncryption(resealed.stored) },
    listedEtag: await listedEtag(services, to, record, resealed),
  })
}

/** What a listing shows is under the same external key as the object, and comes with it. */
async function listedEtag(
  services: RotateServices,
  to: string,
  { bucket, key, etag }: ObjectRecord,
  { objectKey, stored: { kind } }: { objectKey: ObjectKey; stored: DataKeyEncryption },
): Promise<ObjectProperties['listedEtag']> {
  if (kind !== 'SSE-S3' || !isEtagSealed(etag)) return undefined
  const sealer = await EtagSealer.open(services, bucket, to)
  return sealer?.seal(bucket, key, Buffer.from(unsealEtag(objectKey, etag), 'hex'))
}

function hasDataKey(stored: StoredEncryption | undefined): stored is DataKeyEncryption {
  return stored !== undefined && stored.kind !== 'SSE-C'
}
