/** A stored object as one request may see it: its key opened, its ETag, its checksum, its headers. */

import { KmsError } from '@latchkey/kms-client/kms'
import type { ObjectRecord } from '../disk/object-store.ts'
import { openEncryption } from '../sse/encryption.ts'
import { isEtagSealed, sealChecksum, shownEtag, unsealChecksum } from '../sse/etag.ts'
import { CHECKSUM_NAME, encryptionKind } from '../sse/metadata.ts'
import type { CustomerKey } from '../sse/mode.ts'
import type { ObjectKey } from '../sse/object-key.ts'
import type { ReplyHeaders } from './call.ts'
import { type ChecksumRecord, decodeChecksum } from './checksum-record.ts'
import { checksumHeader } from './checksums.ts'
import type { NodeServices } from './node-services.ts'
import { storedEncryptionHeaders } from './object-encryption.ts'
import { httpDate, quotedEtag } from './object-headers.ts'

export interface ObjectView {
  readonly record: ObjectRecord
  /** Undefined if the object is not encrypted, or if this view does not need its key. */
  readonly objectKey: ObjectKey | undefined
  /** As the client sees it. */
  readonly etag: string
  readonly customerKey: CustomerKey | undefined
}

/** With the object's key, which content needs. One call of the KMS. @throws KmsError, SseError */
export async function viewForContent(
  { kms }: NodeServices,
  record: ObjectRecord,
  customerKey: CustomerKey | undefined,
): Promise<ObjectView> {
  const objectKey = await openEncryption(kms, record, record.internal, customerKey)
  const etag = shownEtag(encryptionKind(record.internal), record.etag, objectKey)
  return { record, objectKey, etag, customerKey }
}

/**
 * Without content: an object in SSE-KMS needs no call of the KMS, and one in SSE-S3 only for its ETag. If the KMS can't
 * open that, its sealed form is shown, as MinIO does: a HEAD goes on whatever becomes of the key.
 *
 * @param wantsChecksum - which needs the object's key.
 * @throws SseError for a wrong or missing key of the client.
 */
export async function viewForHead(
  services: NodeServices,
  record: ObjectRecord,
  customerKey: CustomerKey | undefined,
  wantsChecksum: boolean,
): Promise<ObjectView> {
  const kind = encryptionKind(record.internal)
  const hasChecksum = wantsChecksum && record.internal[CHECKSUM_NAME] !== undefined
  const needsKey = hasChecksum || (kind === 'SSE-S3' && isEtagSealed(record.etag))
  const isClientsBusiness = kind === 'SSE-C' || customerKey !== undefined
  if (!needsKey && !isClientsBusiness) {
    return { record, objectKey: undefined, etag: shownEtag(kind, record.etag), customerKey }
  }
  try {
    return await viewForContent(services, record, customerKey)
  } catch (error) {
    if (!(error instanceof KmsError)) throw error
    const etag = kind === 'SSE-S3' ? record.etag : shownEtag(kind, record.etag)
    return { record, objectKey: undefined, etag, customerKey }
  }
}

/** Undefined if there is none, or none that can be read. */
export function checksumOf({ record, objectKey }: ObjectView): ChecksumRecord | undefined {
  const stored = record.internal[CHECKSUM_NAME]
  if (stored === undefined) return undefined
  const isSealed = encryptionKind(record.internal) !== undefined
  return isSealed && objectKey === undefined ? undefined : openStoredChecksum(stored, objectKey)
}

/** @param objectKey - undefined if the object is not encrypted. @returns base64 */
export function storedChecksum(record: Buffer, objectKey: ObjectKey | undefined): string {
  return objectKey === undefined ? record.toString('base64') : sealChecksum(objectKey, record)
}

export function openStoredChecksum(
  stored: string,
  objectKey: ObjectKey | undefined,
): ChecksumRecord | undefined {
  return decodeChecksum(
    objectKey === undefined ? Buffer.from(stored, 'base64') : unsealChecksum(objectKey, stored),
  )
}

export function checksumHeaders(checksum: ChecksumRecord | undefined, parts = 1): ReplyHeaders {
  if (checksum === undefined) return {}
  return {
    [checksumHeader(checksum.algorithm)]: checksumText(checksum, parts),
    'x-amz-checksum-type': checksum.type,
  }
}

/** In base64; a composite one tells of how many parts it was made. */
export function checksumText({ type, digest }: ChecksumRecord, parts: number): string {
  return type === 'COMPOSITE' ? `${digest.toString('base64')}-${parts}` : digest.toString('base64')
}

/** The headers that tell of the object, without those about its length. */
export function describeHeaders(view: ObjectView, kept: ReplyHeaders): ReplyHeaders {
  const { record, etag, customerKey } = view
  return {
    ...kept,
    etag: quotedEtag(etag),
    'last-modified': httpDate(record.modifiedAt),
    ...storedEncryptionHeaders(record.internal, customerKey),
  }
}
