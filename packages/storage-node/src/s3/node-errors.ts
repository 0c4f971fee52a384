/** What the store, the encryption and the KMS throw → what an S3 client is answered. */
import { KesProtocolError } from '@latchkey/kms-client'
import { KmsError } from '@latchkey/kms-client/kms'
import {
  BucketExistsError,
  BucketNotEmptyError,
  DataDamagedError,
  DiskFullError,
  InvalidPartError,
  NoSuchBucketError,
  NoSuchKeyError,
  NoSuchUploadError,
  ObjectChangedError,
} from '../disk/errors.ts'
import {
  CustomerKeyExpectedError,
  CustomerKeyNotApplicableError,
  EncryptionMetadataError,
  IncompatibleEncryptionError,
  KmsNotConfiguredError,
  ObjectTamperedError,
  SecretKeyMismatchError,
} from '../sse/errors.ts'
import { S3Error } from './errors.ts'
import { KeyLockedError } from './read-guards.ts'

export const KMS_NOT_CONFIGURED = 'Server side encryption specified but KMS is not configured'

/** Anything that is not foreseen becomes InternalError, with the cause for the log. */
export function asNodeError(thrown: unknown): S3Error {
  if (thrown instanceof S3Error) return thrown
  if (thrown instanceof KmsError) return fromKms(thrown)
  if (thrown instanceof KeyLockedError) {
    const message = 'insufficient permissions to perform KMS operation'
    return S3Error.kms(403, 'kms:NotAuthorized', message, { detail: thrown.message, cause: thrown })
  }
  const code = simpleCode(thrown)
  if (code !== undefined) return S3Error.of(code, { cause: thrown })
  if (thrown instanceof KmsNotConfiguredError) {
    return S3Error.of('NotImplemented', {
      message: `${KMS_NOT_CONFIGURED} (${thrown.message})`,
      cause: thrown,
    })
  }
  if (thrown instanceof IncompatibleEncryptionError) {
    return S3Error.of('InvalidArgument', { message: thrown.message, cause: thrown })
  }
  if (thrown instanceof CustomerKeyExpectedError || thrown instanceof CustomerKeyNotApplicableError) {
    return S3Error.of('InvalidRequest', { message: thrown.message, cause: thrown })
  }
  if (thrown instanceof EncryptionMetadataError) {
    return S3Error.of('XMinioEncryptionError', { message: thrown.message, cause: thrown })
  }
  return S3Error.of('InternalError', { cause: thrown })
}

function simpleCode(thrown: unknown) {
  if (thrown instanceof NoSuchBucketError) return 'NoSuchBucket'
  if (thrown instanceof NoSuchKeyError) return 'NoSuchKey'
  if (thrown instanceof NoSuchUploadError) return 'NoSuchUpload'
  if (thrown instanceof InvalidPartError) return 'InvalidPart'
  if (thrown instanceof BucketExistsError) return 'BucketAlreadyOwnedByYou'
  if (thrown instanceof BucketNotEmptyError) return 'BucketNotEmpty'
  if (thrown instanceof ObjectChangedError) return 'OperationAborted'
  if (thrown instanceof DiskFullError) return 'XMinioStorageFull'
  if (thrown instanceof SecretKeyMismatchError) return 'AccessDenied'
  if (thrown instanceof ObjectTamperedError || thrown instanceof DataDamagedError)
    return 'XMinioObjectTampered'
  return undefined
}

/** The state of a key that keeps an object from being read or written, for clients that know this node. */
export const KEY_STATE_HEADER = 'x-latchkey-key-state'

function fromKms(error: KmsError): S3Error {
  // A key server whose answer is none: as MinIO sees it, a wrong key on a read, and its own problem on a write.
  if (error.cause instanceof KesProtocolError) {
    return S3Error.of(error.operation === 'decrypt' ? 'AccessDenied' : 'InternalError', { cause: error })
  }
  const { status, code, message } = error.minio
  const state = error.reason === 'locked' || error.reason === 'erased' ? error.reason : undefined
  return S3Error.kms(status, code as `kms:${string}`, message, {
    cause: error,
    ...(error.reason === 'locked' ? { detail: error.message } : {}),
    ...(state === undefined ? {} : { headers: { [KEY_STATE_HEADER]: state } }),
  })
}
