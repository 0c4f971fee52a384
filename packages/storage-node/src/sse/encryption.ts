/** An object's key: made for a write, opened for a read, sealed anew for a rotation. One KMS call each, and no cache. */
import type { Kms } from '@latchkey/kms-client/kms'
import { type CustomerKeyEncryption, sealWithCustomerKey, unsealWithCustomerKey } from './customer-key.ts'
import { type DataKeyEncryption, type ObjectName, sealWithDataKey, unsealWithDataKey } from './data-key.ts'
import { CustomerKeyExpectedError, CustomerKeyNotApplicableError, KmsNotConfiguredError } from './errors.ts'
import { decodeEncryption, type Metadata, type StoredEncryption } from './metadata.ts'
import type { CustomerKey, EncryptionRequest } from './mode.ts'
import type { ObjectKey } from './object-key.ts'

export interface NewEncryption {
  readonly objectKey: ObjectKey
  /** What `encodeEncryption` makes the object's metadata of. */
  readonly stored: StoredEncryption
}

/**
 * A key for a new object, or for an upload in parts.
 *
 * @throws {@link KmsError}, {@link KmsNotConfiguredError}
 */
export async function beginEncryption(
  kms: Kms | undefined,
  name: ObjectName,
  request: EncryptionRequest,
  signal?: AbortSignal,
): Promise<NewEncryption> {
  if (request.kind === 'SSE-C') return sealWithCustomerKey(name, request.customerKey)
  if (!kms) throw new KmsNotConfiguredError()
  return sealWithDataKey(kms, name, request, undefined, signal)
}

/**
 * The key of a stored object; `undefined` if it is not encrypted.
 *
 * @param customerKey - what the request has as the client's key.
 * @throws {@link KmsError}, {@link KmsNotConfiguredError}; {@link SecretKeyMismatchError},
 *   {@link CustomerKeyExpectedError}, {@link CustomerKeyNotApplicableError}; {@link EncryptionMetadataError},
 *   {@link ObjectTamperedError}
 */
export async function openEncryption(
  kms: Kms | undefined,
  name: ObjectName,
  metadata: Metadata,
  customerKey?: CustomerKey,
  signal?: AbortSignal,
): Promise<ObjectKey | undefined> {
  const stored = decodeEncryption(metadata)
  if (stored === undefined) {
    if (customerKey) throw new CustomerKeyNotApplicableError()
    return undefined
  }
  if (stored.kind === 'SSE-C') {
    if (!customerKey) throw new CustomerKeyExpectedError()
    return unsealWithCustomerKey(name, customerKey, stored)
  }
  if (customerKey) throw new CustomerKeyExpectedError()
  if (!kms) throw new KmsNotConfiguredError()
  return unsealWithDataKey(kms, name, stored, signal)
}

/**
 * The same object key under a new data key of another external key: the content stays as it is. The context stays,
 * too.
 *
 * @throws as {@link openEncryption} and {@link beginEncryption}.
 */
export async function resealUnderExternalKey(
  kms: Kms,
  name: ObjectName,
  stored: DataKeyEncryption,
  externalKey: string | undefined,
  signal?: AbortSignal,
): Promise<{ objectKey: ObjectKey; stored: DataKeyEncryption }> {
  const objectKey = await unsealWithDataKey(kms, name, stored, signal)
  const context = stored.kind === 'SSE-KMS' ? stored.context : {}
  return sealWithDataKey(kms, name, { kind: stored.kind, externalKey, context }, objectKey, signal)
}

/** The same object key under the client's next key. As in MinIO, the IV stays. */
export function resealUnderCustomerKey(
  name: ObjectName,
  stored: CustomerKeyEncryption,
  before: CustomerKey,
  after: CustomerKey,
): CustomerKeyEncryption {
  const objectKey = unsealWithCustomerKey(name, before, stored)
  return sealWithCustomerKey(name, after, objectKey, stored.sealedKey.iv).stored
}
