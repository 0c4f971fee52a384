/**
 * What is stored of a part until its upload is completed: its ETag, sealed where the upload is encrypted, and the checksum
 * that came with it.
 *
 *     <etag>                       no checksum
 *     <etag>;<base64>              and MinIO's record of one, sealed as the ETag is
 */

import { sealEtag } from '../sse/etag.ts'
import type { ObjectKey } from '../sse/object-key.ts'
import { type ChecksumRecord, encodeChecksum } from './checksum-record.ts'
import type { Checksum } from './checksums.ts'
import { openStoredChecksum, storedChecksum } from './object-view.ts'

export interface PartEtag {
  readonly etag: string
  readonly checksum: string | undefined
}

/** @param md5 - 16 bytes, or as many random ones. */
export function encodePartEtag(
  md5: Buffer,
  checksum: Checksum | undefined,
  objectKey: ObjectKey | undefined,
): string {
  const etag = objectKey === undefined ? md5.toString('hex') : sealEtag(objectKey, md5)
  if (checksum === undefined) return etag
  return `${etag};${storedChecksum(encodeChecksum({ ...checksum, type: 'FULL_OBJECT' }), objectKey)}`
}

export function decodePartEtag(stored: string): PartEtag {
  const at = stored.indexOf(';')
  return at < 0
    ? { etag: stored, checksum: undefined }
    : { etag: stored.slice(0, at), checksum: stored.slice(at + 1) }
}

export function partChecksum(
  { checksum }: PartEtag,
  objectKey: ObjectKey | undefined,
): ChecksumRecord | undefined {
  return checksum === undefined ? undefined : openStoredChecksum(checksum, objectKey)
}
