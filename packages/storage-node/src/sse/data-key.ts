/**
 * SSE-S3 and SSE-KMS: a data key of the KMS for each object. For SSE-S3 it is always the default external key's, and
 * the context is the object's place alone; for SSE-KMS the client may choose both.
 */
import { type Kms, KmsError, objectContext, objectPath } from '@latchkey/kms-client/kms'
import { SecretKeyMismatchError } from './errors.ts'
import type { StoredEncryption, UserContext } from './metadata.ts'
import { KEY_BYTES, ObjectKey } from './object-key.ts'

export interface ObjectName {
  readonly bucket: string
  readonly key: string
}

export type DataKeyKind = 'SSE-S3' | 'SSE-KMS'
export type DataKeyEncryption = Extract<StoredEncryption, { kind: DataKeyKind }>

export interface DataKeyRequest {
  readonly kind: DataKeyKind
  /** `undefined`: the KMS's default key. */
  readonly externalKey?: string | undefined
  readonly context?: UserContext
}

/**
 * Seals an object's key, a new one unless given, under a new data key.
 *
 * @throws {@link KmsError}
 */
export async function sealWithDataKey(
  kms: Kms,
  name: ObjectName,
  { kind, externalKey, context = {} }: DataKeyRequest,
  objectKey?: ObjectKey,
  signal?: AbortSignal,
): Promise<{ objectKey: ObjectKey; stored: DataKeyEncryption }> {
  const made = await kms.generateKey({
    key: externalKey,
    context: objectContext(name.bucket, name.key, context),
    signal,
  })
  using dek = made.plaintext
  const key = objectKey ?? ObjectKey.generate(dek.bytes)
  const sealedKey = key.seal(dek.bytes, { kind, path: objectPath(name.bucket, name.key) })
  const dataKey = { externalKey: made.key, ciphertext: made.ciphertext }
  return {
    objectKey: key,
    stored: kind === 'SSE-S3' ? { kind, sealedKey, dataKey } : { kind, sealedKey, dataKey, context },
  }
}

/**
 * @throws {@link KmsError}
 * @throws {@link SecretKeyMismatchError} if the data key is not the one under which the object's was sealed.
 */
export async function unsealWithDataKey(
  kms: Kms,
  name: ObjectName,
  stored: DataKeyEncryption,
  signal?: AbortSignal,
): Promise<ObjectKey> {
  using dek = await decryptDataKey(kms, name, stored, signal)
  // A key server that answers with no key has not refused; to MinIO's clients this is a wrong key.
  if (dek.length !== KEY_BYTES) throw new SecretKeyMismatchError()
  const place = { kind: stored.kind, path: objectPath(name.bucket, name.key) }
  return ObjectKey.unseal(dek.bytes, place, stored.sealedKey)
}

/**
 * MinIO keeps the context of a copy's source beside a data key that was made without it, and can then never read
 * the copy. So a context that is refused is left out once.
 */
async function decryptDataKey(kms: Kms, name: ObjectName, stored: DataKeyEncryption, signal?: AbortSignal) {
  const { externalKey: key, ciphertext } = stored.dataKey
  const userContext = stored.kind === 'SSE-KMS' ? stored.context : {}
  const decrypt = (context: UserContext) =>
    kms.decrypt({ key, ciphertext, context: objectContext(name.bucket, name.key, context), signal })
  try {
    return await decrypt(userContext)
  } catch (error) {
    const isOtherContext = error instanceof KmsError && error.reason === 'wrong-ciphertext'
    if (!isOtherContext || Object.keys(userContext).length === 0) throw error
    return decrypt({})
  }
}
