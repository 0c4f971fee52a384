/**
 * Moves objects from one external key to another: their object keys are sealed anew, their content stays as it is.
 *
 * It goes by pages, and an object that is under the new key is left alone. So whatever stops it, whoever starts it
 * again goes on where it stopped, and nothing has to be remembered.
 *
 * Uploads in progress are moved as well, and before the objects: one that is completed meanwhile is either under the new
 * key, or an object that is still to come.
 */
import { type Kms, KmsError } from '@latchkey/kms-client/kms'
import { NoSuchKeyError, NoSuchUploadError, ObjectChangedError } from '../disk/errors.ts'
import type {
  ListPage,
  ListQuery,
  ObjectProperties,
  ObjectRecord,
  ObjectStore,
  Upload,
} from '../disk/object-store.ts'
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
  /** Go on behind this key, or the place of this upload. */
  readonly after?: string | undefined
  /** How many objects or uploads are looked at. */
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
  const page = services.store.list(query.bucket, listQuery(query))
  return rotateAll(page, ({ key }) => rotateOne(query, key, objectStep(services, query, key)))
}

/** As {@link rotatePage}, for uploads in progress. To be done first. */
export async function rotateUploadsPage(services: RotateServices, query: RotateQuery): Promise<RotatedPage> {
  const page = services.store.uploads(query.bucket, listQuery(query))
  return rotateAll(page, ({ key, id }) => rotateOne(query, key, uploadStep(services, query, key, id)))
}

function listQuery({ prefix, max, after }: RotateQuery): ListQuery {
  return { prefix, max, ...(after !== undefined && { after }) }
}

async function rotateAll<Item>(
  { items, next }: ListPage<Item>,
  rotate: (item: Item) => Promise<Outcome>,
): Promise<RotatedPage> {
  const outcomes: Outcome[] = []
  const waiting = [...items]
  const work = async () => {
    try {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) {
        outcomes.push(await rotate(item))
      }
    } catch (error) {
      waiting.length = 0 // Nothing new is begun, and what was begun ends before this is told.
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
    ...(next !== undefined && { next }),
  }
}

/** Looks at what is there now, and how it is sealed anew. */
type Step = () => {
  readonly internal: Readonly<Record<string, string>>
  readonly reseal: (stored: DataKeyEncryption) => Promise<void>
}

async function rotateOne(query: RotateQuery, key: string, look: Step): Promise<Outcome> {
  for (let attempt = 1; ; attempt++) {
    let externalKey = ''
    try {
      const { internal, reseal } = look()
      const stored = decodeEncryption(internal)
      if (!hasDataKey(stored)) return 'notApplicable'
      externalKey = stored.dataKey.externalKey
      const isMeant = externalKey !== query.to && (query.from === undefined || externalKey === query.from)
      if (!isMeant) return 'left'
      await reseal(stored)
      return 'rotated'
    } catch (error) {
      // Deleted, completed or aborted meanwhile.
      if (error instanceof NoSuchKeyError || error instanceof NoSuchUploadError) return 'left'
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

function objectStep(services: RotateServices, { bucket, to }: RotateQuery, key: string): Step {
  return () => {
    const record = services.store.stat(bucket, key)
    return { internal: record.internal, reseal: (stored) => resealObject(services, to, record, stored) }
  }
}

function uploadStep(services: RotateServices, { bucket, to }: RotateQuery, key: string, id: string): Step {
  return () => {
    const upload = services.store.upload(bucket, key, id)
    return { internal: upload.internal, reseal: (stored) => resealUpload(services, to, upload, stored) }
  }
}

async function resealUpload(
  { store, kms }: RotateServices,
  to: string,
  upload: Upload,
  stored: DataKeyEncryption,
): Promise<void> {
  const resealed = await resealUnderExternalKey(kms, upload, stored, to)
  await store.replaceUpload(upload, { ...upload.internal, ...encodeEncryption(resealed.stored) })
}

async function resealObject(
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
