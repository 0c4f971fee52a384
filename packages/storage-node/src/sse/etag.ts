/**
 * ETags and checksums of encrypted objects: sealed under keys of the object's key, because an MD5 or a CRC of the
 * plaintext tells those who have the disk what the plaintext is.
 *
 *     stored                              clients see
 *     32 hex digits                       the same: not encrypted, or not sealed
 *     96 hex digits, DARE of 16 bytes     SSE-S3: the 16 bytes, which are the plaintext's MD5
 *                                         SSE-KMS, SSE-C: the last 32 digits, which are the tag
 *     <md5>-<parts>                       the same
 */
import type { KeyObject } from 'node:crypto'
import { decryptBytes } from '../dare/decrypt.ts'
import { encryptBytes } from '../dare/encrypt.ts'
import { DareError } from '../dare/errors.ts'
import { ObjectTamperedError } from './errors.ts'
import type { EncryptionKind, ObjectKey } from './object-key.ts'

const MD5_BYTES = 16
const HEX = /^(?:[0-9a-f]{2})+$/i

export function sealEtag(objectKey: ObjectKey, etag: Uint8Array): string {
  return encryptBytes(etag, objectKey.etagKey()).toString('hex')
}

/** Whether {@link shownEtag} needs the object's key to show what the client expects. */
export function isEtagSealed(etag: string): boolean {
  return HEX.test(etag) && etag.length > 2 * MD5_BYTES
}

/**
 * The MD5 in a sealed ETag; another one as it is.
 *
 * @throws {@link ObjectTamperedError} if the object's key does not open it.
 */
export function unsealEtag(objectKey: ObjectKey, etag: string): string {
  if (!isEtagSealed(etag)) return etag
  return unseal(Buffer.from(etag, 'hex'), objectKey.etagKey()).toString('hex')
}

/** The last digits of a sealed ETag, which change with it and tell nothing; another one as it is. */
export function etagTag(etag: string): string {
  return isEtagSealed(etag) ? etag.slice(-2 * MD5_BYTES) : etag
}

/**
 * What clients see as the ETag.
 *
 * @param objectKey - needed for SSE-S3 alone; without it, the tag form stands for the MD5.
 */
export function shownEtag(kind: EncryptionKind | undefined, etag: string, objectKey?: ObjectKey): string {
  if (kind === undefined) return etag
  return kind === 'SSE-S3' && objectKey ? unsealEtag(objectKey, etag) : etagTag(etag)
}

/** @param checksum - MinIO's record of a checksum. @returns base64. */
export function sealChecksum(objectKey: ObjectKey, checksum: Uint8Array): string {
  return encryptBytes(checksum, objectKey.checksumKey()).toString('base64')
}

/** @throws {@link ObjectTamperedError} if the object's key does not open it. */
export function unsealChecksum(objectKey: ObjectKey, sealed: string): Buffer {
  return unseal(Buffer.from(sealed, 'base64'), objectKey.checksumKey())
}

/** Version 1.0 is what old objects have. */
function unseal(sealed: Uint8Array, key: KeyObject): Buffer {
  try {
    return decryptBytes(sealed, key, '1.0')
  } catch (error) {
    if (error instanceof DareError) throw new ObjectTamperedError({ cause: error })
    throw error
  }
}
