/**
 * Every error that can reach the wire, with its status, message and code.
 *
 * Status and message are KES's contract: its clients compare errors by both. `code` is Latchkey's own and
 * tells apart what KES's messages don't. `docs/errors.md` lists all of them; a test keeps the list complete.
 */

/** An error with a reply of its own. Anything else that is thrown becomes {@link InternalError} on the wire. */
export abstract class KesError extends Error {
  /** HTTP status of the reply. */
  abstract readonly status: number
  /** Stable identifier of the cause, sent beside the message. */
  abstract readonly code: string
  /** What only the server's log says about this refusal: the deciding rule, the state, the store's words. */
  readonly detail: string | undefined

  constructor(message: string, options: { detail?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.detail = options.detail
  }

  /** The message as the logs have it: without what a client has sent in a body. */
  get loggedMessage(): string {
    return this.message
  }
}

type ErrorOptions = { detail?: string; cause?: unknown }

/** The message by which every KES client knows a refusal; the code says which kind it was. */
const NOT_ALLOWED = 'not authorized: insufficient permissions'

// --- Who calls, and what may they do -------------------------------------------------------------------------

export class CertificateRequiredError extends KesError {
  override readonly name = 'CertificateRequiredError'
  readonly status = 400
  readonly code = 'CertificateRequired'
  constructor(options?: ErrorOptions) {
    super('tls: client certificate is required', options)
  }
}

export class TooManyCertificatesError extends KesError {
  override readonly name = 'TooManyCertificatesError'
  readonly status = 400
  readonly code = 'TooManyCertificates'
  constructor(options?: ErrorOptions) {
    super('tls: received more than one client certificate', options)
  }
}

export class NotAllowedError extends KesError {
  override readonly name = 'NotAllowedError'
  readonly status = 403
  readonly code = 'NotAllowed'
  constructor(options?: ErrorOptions) {
    super(NOT_ALLOWED, options)
  }
}

/** The console's sessions are weaker than certificates, so they use no keys and move no secrets. */
export class NotInConsoleError extends KesError {
  override readonly name = 'NotInConsoleError'
  readonly status = 403
  readonly code = 'NotInConsole'
  constructor(options?: ErrorOptions) {
    super('this API is not offered to the console', options)
  }
}

// --- Requests that can't be understood -----------------------------------------------------------------------

export class NotFoundError extends KesError {
  override readonly name = 'NotFoundError'
  readonly status = 404
  readonly code = 'NotFound'
  constructor(options?: ErrorOptions) {
    super('404 page not found', options)
  }
}

export class MethodNotAllowedError extends KesError {
  override readonly name = 'MethodNotAllowedError'
  readonly status = 405
  readonly code = 'MethodNotAllowed'
  /** The method that the route expects: `PUT`, `GET` or `DELETE`. */
  readonly expected: string
  constructor(received: string, expected: string, options?: ErrorOptions) {
    super(`received method '${received}' expected '${expected}'`, options)
    this.expected = expected
  }
}

export class RequestTimeoutError extends KesError {
  override readonly name = 'RequestTimeoutError'
  readonly status = 408
  readonly code = 'RequestTimeout'
  constructor(options?: ErrorOptions) {
    super('request body was not received in time', options)
  }
}

export class InvalidPathError extends KesError {
  override readonly name = 'InvalidPathError'
  readonly status = 400
  readonly code = 'InvalidPath'
  constructor(options?: ErrorOptions) {
    super('malformed request path', options)
  }
}

export class InvalidNameError extends KesError {
  override readonly name = 'InvalidNameError'
  readonly status = 400
  readonly code = 'InvalidName'
  constructor(kind: 'key name' | 'policy name' | 'identity', value: string, options?: ErrorOptions) {
    super(`${kind} '${value}' is empty, too long or contains invalid characters`, options)
  }
}

export class InvalidPatternError extends KesError {
  override readonly name = 'InvalidPatternError'
  readonly status = 400
  readonly code = 'InvalidPattern'
  constructor(value: string, options?: ErrorOptions) {
    super(`listing pattern '${value}' is empty, too long or is invalid`, options)
  }
}

export class InvalidParameterError extends KesError {
  override readonly name = 'InvalidParameterError'
  readonly status = 400
  readonly code = 'InvalidParameter'
  constructor(parameter: string, value: string, expected: string, options?: ErrorOptions) {
    super(`query parameter '${parameter}=${value}' is invalid: expected ${expected}`, options)
  }
}

export class InvalidBodyError extends KesError {
  override readonly name = 'InvalidBodyError'
  readonly status = 400
  readonly code = 'InvalidBody'
  constructor(options?: ErrorOptions & { import?: boolean }) {
    super(options?.import ? 'invalid import key request body' : 'invalid request body', options)
  }
}

// --- Keys ----------------------------------------------------------------------------------------------------

export class KeyExistsError extends KesError {
  override readonly name = 'KeyExistsError'
  readonly status = 400
  readonly code = 'KeyExists'
  constructor(options?: ErrorOptions) {
    super('key already exists', options)
  }
}

/** The name belonged to a key that was erased. Answers as {@link KeyExistsError} does, but for the code. */
export class KeyNameReservedError extends KesError {
  override readonly name = 'KeyNameReservedError'
  readonly status = 400
  readonly code = 'KeyNameReserved'
  constructor(options?: ErrorOptions) {
    super('key already exists', options)
  }
}

export class KeyNotFoundError extends KesError {
  override readonly name = 'KeyNotFoundError'
  readonly status = 404
  readonly code = 'KeyNotFound'
  constructor(options?: ErrorOptions) {
    super('key does not exist', options)
  }
}

/**
 * A use of a disabled key. MinIO maps only this status with this message to a clean permission error, so the
 * real reason stands in the code alone.
 */
export class KeyDisabledError extends KesError {
  override readonly name = 'KeyDisabledError'
  readonly status = 403
  readonly code = 'KeyDisabled'
  constructor(options?: ErrorOptions) {
    super(NOT_ALLOWED, options)
  }
}

/** A use of a key that waits for its deletion. Answers as {@link KeyDisabledError} does, but for the code. */
export class KeyPendingDeletionError extends KesError {
  override readonly name = 'KeyPendingDeletionError'
  readonly status = 403
  readonly code = 'KeyPendingDeletion'
  constructor(options?: ErrorOptions) {
    super(NOT_ALLOWED, options)
  }
}

/** The key's state does not allow this change. */
export class WrongStateError extends KesError {
  override readonly name = 'WrongStateError'
  readonly status = 409
  readonly code = 'WrongState'
  constructor(state: 'pending deletion' | 'not pending deletion', options?: ErrorOptions) {
    super(`key is ${state}`, options)
  }
}

export class WaitingPeriodTooShortError extends KesError {
  override readonly name = 'WaitingPeriodTooShortError'
  readonly status = 400
  readonly code = 'WaitingPeriodTooShort'
  /** @param least - as the config has it: `7d`. */
  constructor(least: string, options?: ErrorOptions) {
    super(`waiting period is too short: it must be ${least} or more`, options)
  }
}

export class NotAuthenticError extends KesError {
  override readonly name = 'NotAuthenticError'
  readonly status = 400
  readonly code = 'NotAuthentic'
  constructor(options?: ErrorOptions) {
    super('decryption failed: ciphertext is not authentic', options)
  }
}

export class UnsupportedAlgorithmError extends KesError {
  override readonly name = 'UnsupportedAlgorithmError'
  readonly status = 406
  readonly code = 'UnsupportedAlgorithm'
  constructor(algorithm: string, options?: ErrorOptions) {
    super(`algorithm '${algorithm}' is not supported`, options)
  }

  /** A client that mixes up the fields of an import sends the key in this one. */
  override get loggedMessage(): string {
    return 'algorithm is not supported'
  }
}

export class InvalidKeySizeError extends KesError {
  override readonly name = 'InvalidKeySizeError'
  readonly status = 406
  readonly code = 'InvalidKeySize'
  constructor(algorithm: string, options?: ErrorOptions) {
    super(`invalid key size for '${algorithm}'`, options)
  }
}

export class NoHmacError extends KesError {
  override readonly name = 'NoHmacError'
  readonly status = 409
  readonly code = 'NoHmac'
  constructor(options?: ErrorOptions) {
    super('key does not support HMAC', options)
  }
}

// --- Policies and identities ---------------------------------------------------------------------------------

export class PolicyNotFoundError extends KesError {
  override readonly name = 'PolicyNotFoundError'
  readonly status = 404
  readonly code = 'PolicyNotFound'
  constructor(options?: ErrorOptions) {
    super('policy does not exist', options)
  }
}

export class IdentityNotFoundError extends KesError {
  override readonly name = 'IdentityNotFoundError'
  readonly status = 404
  readonly code = 'IdentityNotFound'
  constructor(options?: ErrorOptions) {
    super('identity does not exist', options)
  }
}

// --- The store -----------------------------------------------------------------------------------------------

/** What the server was about to do when the store failed; part of KES's message. */
export type StoreAction =
  | 'create key'
  | 'read key'
  | 'delete key'
  | 'list keys'
  | 'change key'
  | 'change seal'
  | 'make backup'

/** The store refused, failed, or holds something under this name that can't be trusted. The log has the cause. */
export class StoreError extends KesError {
  override readonly name: string = 'StoreError'
  readonly status = 502
  readonly code: string = 'StoreUnavailable'
  constructor(action: StoreAction, options?: ErrorOptions) {
    super(`failed to ${action}`, options)
  }
}

/** The record of this one key is damaged or was edited; every other key goes on. */
export class RecordDamagedError extends StoreError {
  override readonly name = 'RecordDamagedError'
  override readonly code = 'RecordDamaged'
}

export class StoreUnreachableError extends KesError {
  override readonly name = 'StoreUnreachableError'
  readonly status = 504
  readonly code = 'StoreUnreachable'
  constructor(options?: ErrorOptions) {
    super('key store is not reachable', options)
  }
}

export class StoreUnavailableError extends KesError {
  override readonly name = 'StoreUnavailableError'
  readonly status = 502
  readonly code = 'StoreUnavailable'
  constructor(options?: ErrorOptions) {
    super('key store is unavailable', options)
  }
}

/**
 * The key is erased for every use, but its sealed record may still stand in a file of the store. The server goes on
 * removing it; the same call tells, again, how that stands.
 */
export class ErasePendingError extends KesError {
  override readonly name = 'ErasePendingError'
  readonly status = 503
  readonly code = 'ErasePending'
  constructor(options?: ErrorOptions) {
    super('key is erased, but its record is still being removed from disk', options)
  }
}

// --- The seal: slots and root key ----------------------------------------------------------------------------

/** A passphrase or key file that opens nothing. */
export class WrongSecretError extends KesError {
  override readonly name = 'WrongSecretError'
  readonly status = 403
  readonly code = 'WrongSecret'
}

/** A passphrase or key file that no slot may have, or that is missing. */
export class InvalidSecretError extends KesError {
  override readonly name = 'InvalidSecretError'
  readonly status = 400
  readonly code = 'InvalidSecret'
}

export class SlotNotFoundError extends KesError {
  override readonly name = 'SlotNotFoundError'
  readonly status = 404
  readonly code = 'SlotNotFound'
  constructor(slotId: number | string, options?: ErrorOptions) {
    super(`slot ${slotId} does not exist`, options)
  }
}

/** What was asked for does not go with the slots that there are, or with what is under way. */
export class SealConflictError extends KesError {
  override readonly name = 'SealConflictError'
  readonly status = 409
  readonly code = 'SealConflict'
}

// --- Backups -------------------------------------------------------------------------------------------------

export class BackupNotFoundError extends KesError {
  override readonly name = 'BackupNotFoundError'
  readonly status = 404
  readonly code = 'BackupNotFound'
  constructor(options?: ErrorOptions) {
    super('backup does not exist, or was not fetched in time', options)
  }
}

/** The store has no backup, or not one more now. */
export class BackupConflictError extends KesError {
  override readonly name = 'BackupConflictError'
  readonly status = 409
  readonly code = 'BackupConflict'
}

/** Room is left on the disk of the store, but not for a backup: changes of keys and the audit file need it. */
export class BackupNoSpaceError extends KesError {
  override readonly name = 'BackupNoSpaceError'
  readonly status = 507
  readonly code = 'BackupNoSpace'
  constructor(options?: ErrorOptions) {
    super('too little space on the disk of the store', options)
  }
}

// --- The server itself ---------------------------------------------------------------------------------------

/** The event of the request can't be written to the audit file, so the request is not served. */
export class AuditUnavailableError extends KesError {
  override readonly name = 'AuditUnavailableError'
  readonly status = 503
  readonly code = 'AuditUnavailable'
  constructor(options?: ErrorOptions) {
    super('audit log is unavailable', options)
  }
}

export class ShuttingDownError extends KesError {
  override readonly name = 'ShuttingDownError'
  readonly status = 503
  readonly code = 'ShuttingDown'
  constructor(options?: ErrorOptions) {
    super('server is shutting down', options)
  }
}

export class InternalError extends KesError {
  override readonly name = 'InternalError'
  readonly status = 500
  readonly code = 'InternalError'
  constructor(options?: ErrorOptions) {
    super('internal server error', options)
  }
}
