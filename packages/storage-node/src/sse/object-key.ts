/**
 * The object key (OEK): what one object's content is encrypted with. It is stored sealed under a key (KEK) that is
 * derived anew for each use and stored nowhere.
 *
 *     OEK       = HMAC(external key, "object-encryption-key generation" ‖ 32 random bytes)
 *     KEK       = HMAC(external key, IV ‖ domain ‖ "DAREv2-HMAC-SHA256" ‖ path)
 *     sealed    = DARE 2.0 of the OEK under the KEK, 64 bytes
 *     part key  = HMAC(OEK, part number as 4 bytes, little-endian)
 *     ETag key  = HMAC(OEK, "SSE-etag"), checksum key = HMAC(OEK, "object-checksum")
 *
 * HMAC is HMAC-SHA-256. The external key is the data key (DEK) of the KMS, or the client's own key. The path binds a
 * sealed key to its object: it opens nothing at another place.
 */
import assert from 'node:assert/strict'
import { createHash, createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { decryptBytes } from '../dare/decrypt.ts'
import { encryptBytes } from '../dare/encrypt.ts'
import { DareError } from '../dare/errors.ts'
import { SecretKeyMismatchError } from './errors.ts'

export const KEY_BYTES = 32
export const IV_BYTES = 32
export const SEALED_KEY_BYTES = 64
export const SEAL_ALGORITHM = 'DAREv2-HMAC-SHA256'
/** Of objects that MinIO wrote long ago. Nothing in it depends on the object's place. */
export const LEGACY_SEAL_ALGORITHM = 'DARE-SHA256'

export type EncryptionKind = 'SSE-S3' | 'SSE-KMS' | 'SSE-C'
export type SealAlgorithm = typeof SEAL_ALGORITHM | typeof LEGACY_SEAL_ALGORITHM

export interface SealedObjectKey {
  readonly algorithm: SealAlgorithm
  /** 32 bytes. */
  readonly iv: Uint8Array
  /** 64 bytes. */
  readonly sealed: Uint8Array
}

/** To what an object key is sealed. */
export interface SealingPlace {
  /** Kinds of encryption don't open each other's keys. */
  readonly kind: EncryptionKind
  /** `bucket/object`, cleaned as `objectPath` of the KMS client does. */
  readonly path: string
}

/** One object's key. Like the data key it came from, it must not outlive the request. */
export class ObjectKey {
  /** Encrypts the content of an object that is not in parts. */
  readonly contentKey: KeyObject

  private constructor(bytes: Uint8Array) {
    this.contentKey = secretKey(bytes)
  }

  /** A new one. @param externalKey - 32 bytes. */
  static generate(externalKey: Uint8Array): ObjectKey {
    return ObjectKey.repeat(externalKey, randomBytes(KEY_BYTES))
  }

  /** A new one whose random bytes are the caller's choice: only to repeat a recorded one. */
  static repeat(externalKey: Uint8Array, random: Uint8Array): ObjectKey {
    return new ObjectKey(hmac(externalKey, 'object-encryption-key generation', random))
  }

  /** @throws {@link SecretKeyMismatchError}, the same for every cause. */
  static unseal(externalKey: Uint8Array, place: SealingPlace, sealed: SealedObjectKey): ObjectKey {
    try {
      const kek = keyEncryptionKey(externalKey, place, sealed)
      const versionMin = sealed.algorithm === LEGACY_SEAL_ALGORITHM ? '1.0' : '2.0'
      const bytes = decryptBytes(sealed.sealed, kek, versionMin)
      if (bytes.length === KEY_BYTES) return new ObjectKey(bytes)
    } catch (error) {
      if (!(error instanceof DareError)) throw error
    }
    throw new SecretKeyMismatchError()
  }

  /** @param iv - 32 random bytes; given only where MinIO keeps it too, when a client changes its key. */
  seal(
    externalKey: Uint8Array,
    place: SealingPlace,
    iv: Uint8Array = randomBytes(IV_BYTES),
  ): SealedObjectKey {
    const kek = keyEncryptionKey(externalKey, place, { algorithm: SEAL_ALGORITHM, iv })
    const bytes = this.contentKey.export()
    const sealed = encryptBytes(bytes, kek)
    bytes.fill(0)
    return { algorithm: SEAL_ALGORITHM, iv, sealed }
  }

  /** @param number - the client's number of the part. */
  partKey(number: number): KeyObject {
    const encoded = Buffer.alloc(4)
    encoded.writeUInt32LE(number)
    return secretKey(hmac(this.contentKey, encoded))
  }

  etagKey(): KeyObject {
    return secretKey(hmac(this.contentKey, 'SSE-etag'))
  }

  checksumKey(): KeyObject {
    return secretKey(hmac(this.contentKey, 'object-checksum'))
  }
}

function keyEncryptionKey(
  externalKey: Uint8Array,
  { kind, path }: SealingPlace,
  { algorithm, iv }: Pick<SealedObjectKey, 'algorithm' | 'iv'>,
): KeyObject {
  assert.equal(externalKey.length, KEY_BYTES)
  assert.equal(iv.length, IV_BYTES)
  return secretKey(
    algorithm === LEGACY_SEAL_ALGORITHM
      ? createHash('sha256').update(externalKey).update(iv).digest()
      : hmac(externalKey, iv, kind, SEAL_ALGORITHM, path),
  )
}

function hmac(key: Uint8Array | KeyObject, ...parts: readonly (Uint8Array | string)[]): Buffer {
  const mac = createHmac('sha256', key)
  for (const part of parts) mac.update(part)
  return mac.digest()
}

/** Takes the bytes over: they are wiped. */
function secretKey(bytes: Uint8Array): KeyObject {
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}
