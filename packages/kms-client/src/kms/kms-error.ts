/**
 * What can go wrong with a KMS, sorted by what a storage server must do about it.
 *
 *     reason             the caller may                                        a Go KES tells it
 *     locked             wait: nothing is lost, an operator can enable the key no: "not-allowed"
 *     erased             give the data up: the key does not exist              yes
 *     not-allowed        have its policy changed                               yes
 *     wrong-ciphertext   look for damage, or for the right context             yes
 *     unreachable        try again later                                       yes
 *     exists             use the key, or take another name                     yes
 *     unsupported        nothing: this KMS can't do that                       yes
 *     failed             look at `cause`                                       yes
 */
import {
  KesApiError,
  KeyExistsError,
  KeyNotFoundError,
  NotAllowedError,
  NotAuthenticError,
} from '../api-error.ts'
import { KesClientError, KesConnectionError, KesTimeoutError } from '../errors.ts'

export type KmsErrorReason =
  | 'locked'
  | 'erased'
  | 'not-allowed'
  | 'wrong-ciphertext'
  | 'unreachable'
  | 'exists'
  | 'unsupported'
  | 'failed'

export type KmsOperation =
  | 'generate'
  | 'decrypt'
  | 'mac'
  | 'create'
  | 'list'
  | 'describe'
  | 'watch'
  | 'watch'
  | 'version'
  | 'apis'

/** What MinIO's server answers its own clients for such an error. */
export interface MinioError {
  /** HTTP status. */
  readonly status: number
  readonly code: string
  readonly message: string
}

/** Every error of a {@link Kms}, but for an aborted call, which throws the reason of its signal. */
export class KmsError extends KesClientError {
  override readonly name = 'KmsError'
  readonly reason: KmsErrorReason
  readonly operation: KmsOperation
  /** Absent where the operation has none. */
  readonly key: string | undefined
  constructor(
    reason: KmsErrorReason,
    operation: KmsOperation,
    key: string | undefined,
    options: { readonly cause?: unknown } = {},
  ) {
    super(messageOf(reason, operation, key, options.cause), options)
    this.reason = reason
    this.operation = operation
    this.key = key
  }

  get minio(): MinioError {
    const known = MINIO_ERRORS[this.reason]
    if (known !== undefined) return known
    const code = `kms:${FAILURES[this.operation].code}`
    return { status: 500, code, message: FAILURES[this.operation].message }
  }
}

const MINIO_ERRORS: Readonly<Partial<Record<KmsErrorReason, MinioError>>> = {
  // MinIO can't tell a locked key: the server answers both alike, but for the code that MinIO does not read.
  locked: {
    status: 403,
    code: 'kms:NotAuthorized',
    message: 'insufficient permissions to perform KMS operation',
  },
  'not-allowed': {
    status: 403,
    code: 'kms:NotAuthorized',
    message: 'insufficient permissions to perform KMS operation',
  },
  erased: { status: 404, code: 'kms:KeyNotFound', message: 'key with given key ID does not exist' },
  'wrong-ciphertext': {
    status: 400,
    code: 'kms:InvalidCiphertextException',
    message: 'failed to decrypt ciphertext',
  },
  // The word is MinIO's.
  exists: { status: 409, code: 'kms:KeyAlreadyExists', message: 'key with given key ID already exits' },
  unsupported: { status: 501, code: 'kms:NotSupported', message: 'requested functionality is not supported' },
}

const FAILURES: Readonly<Record<KmsOperation, { readonly code: string; readonly message: string }>> = {
  generate: { code: 'KeyGenerationFailed', message: 'failed to generate data key with KMS key' },
  decrypt: { code: 'DecryptionFailed', message: 'failed to decrypt ciphertext with KMS key' },
  mac: { code: 'MACFailed', message: 'failed to compute a MAC with KMS key' },
  create: { code: 'KeyCreationFailed', message: 'failed to create KMS key' },
  list: { code: 'KeyListingFailed', message: 'failed to list KMS keys' },
  describe: { code: 'KeyDescriptionFailed', message: 'failed to describe KMS key' },
  watch: { code: 'KeyWatchFailed', message: 'failed to watch KMS keys' },
  version: { code: 'VersionFailed', message: 'failed to query the KMS version' },
  apis: { code: 'APIListingFailed', message: 'failed to list KMS APIs' },
}

function messageOf(
  reason: KmsErrorReason,
  operation: KmsOperation,
  key: string | undefined,
  cause: unknown,
): string {
  switch (reason) {
    case 'locked':
      return `key '${key}' is locked: it is disabled, or waits to be deleted`
    case 'erased':
      return `key '${key}' does not exist: it was erased, or never made`
    case 'not-allowed':
      return `the key server does not allow this client to ${deed(operation, key)}`
    case 'wrong-ciphertext':
      return `the ciphertext was not made under key '${key}' and this context, or was changed since`
    case 'exists':
      return `key '${key}' exists, or its name is reserved`
    case 'unsupported':
      return `this KMS can not ${deed(operation, key)}`
    default:
      return `${FAILURES[operation].message}${cause instanceof Error ? `: ${cause.message}` : ''}`
  }
}

const DEEDS: Readonly<Record<KmsOperation, string>> = {
  generate: 'generate a data key under',
  decrypt: 'decrypt with',
  mac: 'compute a MAC with',
  create: 'create',
  list: 'list keys',
  describe: 'describe',
  watch: 'watch keys',
  version: 'ask for its version',
  apis: 'list its APIs',
}

function deed(operation: KmsOperation, key: string | undefined): string {
  return key === undefined ? DEEDS[operation] : `${DEEDS[operation]} key '${key}'`
}

/** Of an error that a {@link KesClient} threw; what is none of its errors, such as an abort, is returned as it is. */
export function kmsErrorOf(error: unknown, operation: KmsOperation, key?: string): unknown {
  if (!(error instanceof KesClientError) || error instanceof KmsError) return error
  return new KmsError(reasonOf(error, operation), operation, key, { cause: error })
}

function reasonOf(error: KesClientError, operation: KmsOperation): KmsErrorReason {
  if (error instanceof KesConnectionError || error instanceof KesTimeoutError) return 'unreachable'
  if (!(error instanceof KesApiError)) return 'failed'
  if (error instanceof NotAllowedError) return isLock(error) ? 'locked' : 'not-allowed'
  if (error instanceof KeyNotFoundError && USES.includes(operation)) return 'erased'
  if (error instanceof NotAuthenticError && operation === 'decrypt') return 'wrong-ciphertext'
  if (error instanceof KeyExistsError && operation === 'create') return 'exists'
  return isOutage(error) ? 'unreachable' : 'failed'
}

const USES: readonly KmsOperation[] = ['generate', 'decrypt', 'mac']
const LOCKS: readonly (string | undefined)[] = ['KeyDisabled', 'KeyPendingDeletion']
const OUTAGES: readonly number[] = [429, 503, 504]

function isLock({ code }: KesApiError): boolean {
  return LOCKS.includes(code)
}

/** The server, or what stands before it, can't serve at the moment; whatever the key. */
function isOutage({ status, code }: KesApiError): boolean {
  return OUTAGES.includes(status) || code === 'StoreUnavailable' || (status === 502 && code === undefined)
}
