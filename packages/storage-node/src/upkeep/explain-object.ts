/** Goes down the chain of one object's keys and says how far it opens. No secret is in what it says. */
import { encodeContext, type Kms, KmsError, objectContext, objectPath } from '@latchkey/kms-client/kms'
import { CIPHERS, HEADER_BYTES } from '../dare/format.ts'
import { StorageError } from '../disk/errors.ts'
import type { ObjectRecord, ObjectStore, OpenObject, StoredPart } from '../disk/object-store.ts'
import { readContent } from '../sse/content.ts'
import { openEncryption } from '../sse/encryption.ts'
import { SecretKeyMismatchError, SseError } from '../sse/errors.ts'
import { isEtagSealed, unsealChecksum, unsealEtag } from '../sse/etag.ts'
import { CHECKSUM_NAME, decodeEncryption, isMultipart, type StoredEncryption } from '../sse/metadata.ts'
import type { CustomerKey } from '../sse/mode.ts'
import type { EncryptionKind, ObjectKey } from '../sse/object-key.ts'

export type StageName = 'metadata' | 'data key' | 'object key' | 'ETag' | 'checksum' | 'content'

export interface Stage {
  readonly name: StageName
  readonly outcome: 'opens' | 'fails' | 'not tried'
  /** Why it fails, or was not tried. */
  readonly reason?: string
  /** Of the external key, where that is why it fails. */
  readonly keyState?: 'locked' | 'erased'
}

export interface ExplainedPart {
  readonly number: number
  readonly size: number
  readonly storedBytes: number
  /** Of its first package; absent if it has none, or is not encrypted. */
  readonly dare?: { readonly version: '1.0' | '2.0' | 'unknown'; readonly cipher: string }
}

export interface ExplainedObject {
  readonly bucket: string
  readonly key: string
  readonly size: number
  readonly storedBytes: number
  /** RFC 3339. */
  readonly modifiedAt: string
  readonly kind: EncryptionKind | 'none' | 'unknown'
  /** To what the object key is sealed. */
  readonly path: string
  readonly externalKey?: string
  /** Canonical JSON, as the key server gets it. */
  readonly context?: string
  readonly dataKeyBytes?: number
  readonly sealAlgorithm?: string
  /** Base64. */
  readonly iv?: string
  readonly sealedKeyBytes?: number
  readonly keys: 'one' | 'one a part' | 'none'
  readonly parts: readonly ExplainedPart[]
  readonly stages: readonly Stage[]
}

export interface ExplainServices {
  readonly store: ObjectStore
  readonly kms: Kms | undefined
}

/** @throws {@link NoSuchBucketError}, {@link NoSuchKeyError} */
export async function explainObject(
  { store, kms }: ExplainServices,
  bucket: string,
  key: string,
  customerKey?: CustomerKey,
): Promise<ExplainedObject> {
  const record = store.stat(bucket, key)
  const stages: Stage[] = []
  const stored = tryDecode(record, stages)
  const objectKey = await tryOpen(kms, record, customerKey, stored, stages)
  const parts = await explainContent(store, record, stored, objectKey, stages)
  return {
    bucket,
    key,
    size: record.size,
    storedBytes: record.parts.reduce((sum, part) => sum + part.storedBytes, 0),
    modifiedAt: new Date(record.modifiedAt).toISOString(),
    kind: stored === 'damaged' ? 'unknown' : (stored?.kind ?? 'none'),
    path: objectPath(bucket, key),
    ...(typeof stored === 'object' && describeSeal(record, stored)),
    keys: stored === undefined ? 'none' : isMultipart(record.internal) ? 'one a part' : 'one',
    parts,
    stages,
  }
}

function describeSeal({ bucket, key }: ObjectRecord, stored: StoredEncryption) {
  const seal = {
    sealAlgorithm: stored.sealedKey.algorithm,
    iv: Buffer.from(stored.sealedKey.iv).toString('base64'),
    sealedKeyBytes: stored.sealedKey.sealed.length,
  }
  if (stored.kind === 'SSE-C') return seal
  const context = stored.kind === 'SSE-KMS' ? stored.context : {}
  return {
    externalKey: stored.dataKey.externalKey,
    context: encodeContext(objectContext(bucket, key, context)).toString(),
    dataKeyBytes: stored.dataKey.ciphertext.length,
    ...seal,
  }
}

type Decoded = StoredEncryption | 'damaged' | undefined

function tryDecode({ internal }: ObjectRecord, stages: Stage[]): Decoded {
  try {
    const stored = decodeEncryption(internal)
    stages.push(
      stored ? { name: 'metadata', outcome: 'opens' } : notTried('metadata', 'the object is not encrypted'),
    )
    return stored
  } catch (error) {
    stages.push(failed('metadata', error))
    return 'damaged'
  }
}

/** Says of both keys. */
async function tryOpen(
  kms: Kms | undefined,
  record: ObjectRecord,
  customerKey: CustomerKey | undefined,
  stored: Decoded,
  stages: Stage[],
): Promise<ObjectKey | undefined> {
  if (stored === undefined || stored === 'damaged') return undefined
  const hasDataKey = stored.kind !== 'SSE-C'
  try {
    const objectKey = await openEncryption(kms, record, record.internal, customerKey)
    if (hasDataKey) stages.push({ name: 'data key', outcome: 'opens' })
    stages.push({ name: 'object key', outcome: 'opens' })
    return objectKey
  } catch (error) {
    if (error instanceof SecretKeyMismatchError) {
      if (hasDataKey) stages.push({ name: 'data key', outcome: 'opens' })
      stages.push(failed('object key', error))
    } else if (hasDataKey) {
      stages.push(failed('data key', error), notTried('object key', 'the data key did not open'))
    } else {
      stages.push(notTried('object key', "it needs the client's key"))
      if (!(error instanceof SseError)) throw error
    }
    return undefined
  }
}

async function explainContent(
  store: ObjectStore,
  record: ObjectRecord,
  stored: Decoded,
  objectKey: ObjectKey | undefined,
  stages: Stage[],
): Promise<ExplainedPart[]> {
  const isClosed = stored !== undefined && objectKey === undefined
  const closed = (name: StageName) => notTried(name, 'the object key did not open')
  if (stored !== undefined && isEtagSealed(record.etag)) {
    stages.push(objectKey ? attempt('ETag', () => unsealEtag(objectKey, record.etag)) : closed('ETag'))
  }
  const checksum = record.internal[CHECKSUM_NAME]
  if (stored !== undefined && checksum !== undefined) {
    stages.push(
      objectKey ? attempt('checksum', () => unsealChecksum(objectKey, checksum)) : closed('checksum'),
    )
  }
  try {
    await using object = await store.open(record.bucket, record.key)
    const parts: ExplainedPart[] = []
    for (const [index, part] of object.record.parts.entries()) {
      parts.push(await explainPart(object, index, part, stored !== undefined))
    }
    stages.push(isClosed ? closed('content') : await tryContent(object, objectKey))
    return parts
  } catch (error) {
    stages.push(failed('content', error))
    return record.parts.map(({ number, size, storedBytes }) => ({ number, size, storedBytes }))
  }
}

async function explainPart(
  object: OpenObject,
  index: number,
  { number, size, storedBytes }: StoredPart,
  isEncrypted: boolean,
): Promise<ExplainedPart> {
  const part = { number, size, storedBytes }
  if (!isEncrypted || storedBytes < HEADER_BYTES) return part
  for await (const header of object.read(index, 0, HEADER_BYTES)) {
    const version = header[0] === 0x20 ? '2.0' : header[0] === 0x10 ? '1.0' : 'unknown'
    return { ...part, dare: { version, cipher: CIPHERS[header[1] ?? CIPHERS.length] ?? 'unknown' } }
  }
  return part
}

/** The first and the last package of each part: all would take as long as reading the object. */
async function tryContent(object: OpenObject, objectKey: ObjectKey | undefined): Promise<Stage> {
  try {
    let start = 0
    for (const { size } of object.record.parts) {
      for (const offset of size === 0 ? [] : [start, start + size - 1]) {
        for await (const _ of readContent(object, objectKey, { offset, length: 1 }));
      }
      start += size
    }
    return { name: 'content', outcome: 'opens' }
  } catch (error) {
    return failed('content', error)
  }
}

function attempt(name: StageName, open: () => unknown): Stage {
  try {
    open()
    return { name, outcome: 'opens' }
  } catch (error) {
    return failed(name, error)
  }
}

function notTried(name: StageName, reason: string): Stage {
  return { name, outcome: 'not tried', reason }
}

/** What is no error of the chain is a defect, and not explained away. */
function failed(name: StageName, error: unknown): Stage {
  if (error instanceof KmsError || error instanceof SseError || error instanceof StorageError) {
    const cause = error.cause instanceof Error ? ` (${error.cause.message})` : ''
    return {
      name,
      outcome: 'fails',
      reason: `${error.message}${error instanceof SseError ? cause : ''}`,
      ...(error instanceof KmsError &&
        (error.reason === 'locked' || error.reason === 'erased') && { keyState: error.reason }),
    }
  }
  throw error
}
