/**
 * Refusals by the server, rebuilt as classes from its replies.
 *
 * A Latchkey server sends `{"message":"…","code":"…"}`; the code decides. A Go KES sends the message alone, and
 * status and message decide together, as they do in its own clients: among the refusals there it can't be told
 * that a key is disabled, or that its name is reserved.
 */
import { KesClientError } from './errors.ts'

const { STATUS_CODES } = process.getBuiltinModule('node:http')
const TEXT_CHARACTERS_MAX = 200

/** The server refused the request. Every refusal is one of the subclasses, or this class for the rare ones. */
export class KesApiError extends KesClientError {
  override readonly name: string = 'KesApiError'
  /** HTTP status of the reply. */
  readonly status: number
  /** Identifies the cause, as listed in `docs/errors.md`; `undefined` if an old server's message tells none. */
  readonly code: string | undefined
  /** When the server asks to be called again, if it says so. */
  readonly retryAfterMs: number | undefined
  constructor(status: number, message: string, code?: string, retryAfterMs?: number) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}

// --- Who calls, and what may they do -------------------------------------------------------------------------

/** 400: the call needs an identity, and the client presented no certificate. */
export class CertificateRequiredError extends KesApiError {
  override readonly name = 'CertificateRequiredError'
}

/** 403: no policy allows this identity the call, or one forbids it. */
export class NotAllowedError extends KesApiError {
  override readonly name: string = 'NotAllowedError'
}

/**
 * 403: the key is disabled. It is a {@link NotAllowedError} because status and message are the same on the wire,
 * and an older server or proxy may have removed the difference.
 */
export class KeyDisabledError extends NotAllowedError {
  override readonly name = 'KeyDisabledError'
}

/** 403: the key waits for its deletion; a {@link NotAllowedError} for the reason of {@link KeyDisabledError}. */
export class KeyPendingDeletionError extends NotAllowedError {
  override readonly name = 'KeyPendingDeletionError'
}

// --- Requests that can't be understood -----------------------------------------------------------------------

/** 404: the server has no such API. A Go KES answers so to enabling, disabling and what else is Latchkey's. */
export class NotFoundError extends KesApiError {
  override readonly name = 'NotFoundError'
}

/** 400: the name of a key or policy, or an identity, is malformed. */
export class InvalidNameError extends KesApiError {
  override readonly name = 'InvalidNameError'
}

/** 400: the argument of a listing is malformed. */
export class InvalidPatternError extends KesApiError {
  override readonly name = 'InvalidPatternError'
}

/** 400: the request's body is malformed, or has over 1 000 000 bytes. */
export class InvalidBodyError extends KesApiError {
  override readonly name = 'InvalidBodyError'
}

// --- Keys ----------------------------------------------------------------------------------------------------

/** 400: a key of this name exists. */
export class KeyExistsError extends KesApiError {
  override readonly name: string = 'KeyExistsError'
}

/** 400: a key of this name was erased, and the name stays reserved. Status and message are those of its parent. */
export class KeyNameReservedError extends KeyExistsError {
  override readonly name = 'KeyNameReservedError'
}

/** 404: no key has this name. */
export class KeyNotFoundError extends KesApiError {
  override readonly name = 'KeyNotFoundError'
}

/** 409: the key's state does not allow this: it is pending deletion, or, for a cancellation, it is not. */
export class WrongStateError extends KesApiError {
  override readonly name = 'WrongStateError'
}

/** 400: the server's configuration asks for a longer waiting period before a key is erased. */
export class WaitingPeriodTooShortError extends KesApiError {
  override readonly name = 'WaitingPeriodTooShortError'
}

/** 400: the ciphertext was not made under this key and context, or was changed since. */
export class NotAuthenticError extends KesApiError {
  override readonly name = 'NotAuthenticError'
}

/** 406: the server knows no such cipher. */
export class UnsupportedAlgorithmError extends KesApiError {
  override readonly name = 'UnsupportedAlgorithmError'
}

/** 406: the imported key has not 32 bytes. */
export class InvalidKeySizeError extends KesApiError {
  override readonly name = 'InvalidKeySizeError'
}

/** 409: the key was made by a version of KES that had no HMAC. */
export class NoHmacError extends KesApiError {
  override readonly name = 'NoHmacError'
}

// --- Policies and identities ---------------------------------------------------------------------------------

/** 404: no policy has this name. */
export class PolicyNotFoundError extends KesApiError {
  override readonly name = 'PolicyNotFoundError'
}

/** 404: no policy names this identity. */
export class IdentityNotFoundError extends KesApiError {
  override readonly name = 'IdentityNotFoundError'
}

// --- The server and its store --------------------------------------------------------------------------------

/** 502: the server's key store failed. */
export class StoreUnavailableError extends KesApiError {
  override readonly name: string = 'StoreUnavailableError'
}

/** 502: the record of this one key is damaged; other keys may work. */
export class RecordDamagedError extends StoreUnavailableError {
  override readonly name = 'RecordDamagedError'
}

/** 504: the server can't reach its key store. */
export class StoreUnreachableError extends KesApiError {
  override readonly name = 'StoreUnreachableError'
}

/**
 * 503, of a delete: the key is gone for every use, but a file of the store may still hold its sealed record. Repeat
 * the call until it succeeds, or answers {@link KeyNotFoundError}, to know that none does.
 */
export class ErasePendingError extends KesApiError {
  override readonly name = 'ErasePendingError'
}

/** 503: the server can't write its audit file, and serves nobody that it can't audit. Disable and delete go on. */
export class AuditUnavailableError extends KesApiError {
  override readonly name = 'AuditUnavailableError'
}

/** 503: the server is going down. */
export class ShuttingDownError extends KesApiError {
  override readonly name = 'ShuttingDownError'
}

// --- From a reply to a class ---------------------------------------------------------------------------------

interface KnownError {
  readonly code: string
  readonly type: typeof KesApiError
  readonly status: number
  /** Absent where the code alone tells: the message belongs to a wider cause. */
  readonly message?: string | RegExp
}

const KNOWN_ERRORS: readonly KnownError[] = [
  known('CertificateRequired', CertificateRequiredError, 400, 'tls: client certificate is required'),
  known('TooManyCertificates', KesApiError, 400, 'tls: received more than one client certificate'),
  known('NotAllowed', NotAllowedError, 403, 'not authorized: insufficient permissions'),
  known('NotAllowed', NotAllowedError, 403, 'prohibited by policy'), // KES before 2023
  known('KeyDisabled', KeyDisabledError, 403),
  known('KeyPendingDeletion', KeyPendingDeletionError, 403),
  known('NotFound', NotFoundError, 404, '404 page not found'),
  known('MethodNotAllowed', KesApiError, 405, /^received method '.*' expected '.*'$/s),
  known(
    'InvalidName',
    InvalidNameError,
    400,
    /^(?:key name|policy name|identity) '.*' is empty, too long or contains invalid characters$/s,
  ),
  known(
    'InvalidPattern',
    InvalidPatternError,
    400,
    /^listing pattern '.*' is empty, too long or is invalid$/s,
  ),
  known('InvalidBody', InvalidBodyError, 400, /^invalid (?:import key )?request body$/),
  known('KeyExists', KeyExistsError, 400, 'key already exists'),
  known('KeyExists', KeyExistsError, 400, 'key does already exist'), // KES before 2023
  known('KeyNameReserved', KeyNameReservedError, 400),
  known('KeyNotFound', KeyNotFoundError, 404, 'key does not exist'),
  known('WrongState', WrongStateError, 409, /^key is (?:not )?pending deletion$/),
  known('WaitingPeriodTooShort', WaitingPeriodTooShortError, 400, /^waiting period is too short: /),
  known('NotAuthentic', NotAuthenticError, 400, 'decryption failed: ciphertext is not authentic'),
  known(
    'UnsupportedAlgorithm',
    UnsupportedAlgorithmError,
    406,
    /^algorithm '.*' (?:is not supported|not supported by FIPS 140-2)$/s,
  ),
  known('InvalidKeySize', InvalidKeySizeError, 406, /^invalid key size for '.*'$/s),
  known('NoHmac', NoHmacError, 409, 'key does not support HMAC'),
  known('PolicyNotFound', PolicyNotFoundError, 404, 'policy does not exist'),
  known('IdentityNotFound', IdentityNotFoundError, 404, 'identity does not exist'),
  known('RecordDamaged', RecordDamagedError, 502),
  known('StoreUnavailable', StoreUnavailableError, 502, /^failed to (?:create|read|delete|change) key$/),
  known('StoreUnavailable', StoreUnavailableError, 502, 'failed to list keys'),
  known('StoreUnavailable', StoreUnavailableError, 502, 'key store is unavailable'),
  known('StoreUnreachable', StoreUnreachableError, 504, 'key store is not reachable'),
  known(
    'ErasePending',
    ErasePendingError,
    503,
    'key is erased, but its record is still being removed from disk',
  ),
  known('AuditUnavailable', AuditUnavailableError, 503, 'audit log is unavailable'),
  known('ShuttingDown', ShuttingDownError, 503, 'server is shutting down'),
  known('InternalError', KesApiError, 500, 'internal server error'),
]

function known(
  code: string,
  type: typeof KesApiError,
  status: number,
  message?: string | RegExp,
): KnownError {
  return message === undefined ? { code, type, status } : { code, type, status, message }
}

function matches(rule: KnownError, status: number, message: string): boolean {
  if (rule.status !== status || rule.message === undefined) return false
  return typeof rule.message === 'string' ? rule.message === message : rule.message.test(message)
}

/** The class for a refusal: by its code if that is known, else by status and message, else {@link KesApiError}. */
export function apiErrorOf(
  status: number,
  message: string,
  code?: string,
  retryAfterMs?: number,
): KesApiError {
  const rule =
    KNOWN_ERRORS.find((each) => each.code === code) ??
    KNOWN_ERRORS.find((each) => matches(each, status, message))
  return new (rule?.type ?? KesApiError)(status, message, code ?? rule?.code, retryAfterMs)
}

/**
 * Reads the reply of a refused request. JSON gives its `error` if there is one, else its `message`, and the
 * `code`; any other body is itself the message, shortened, because a proxy may have sent a whole page.
 */
export function decodeApiError(
  status: number,
  contentType: string | undefined,
  body: Buffer,
  retryAfterMs?: number,
): KesApiError {
  const text = body.toString('utf8').trim()
  const fields = contentType?.startsWith('application/json') ? parseObject(text) : undefined
  const message = textOf(fields?.error) ?? textOf(fields?.message)
  if (message !== undefined) return apiErrorOf(status, message, textOf(fields?.code), retryAfterMs)

  const shown = text.length > TEXT_CHARACTERS_MAX ? `${text.slice(0, TEXT_CHARACTERS_MAX)}…` : text
  return apiErrorOf(
    status,
    shown || (STATUS_CODES[status] ?? `HTTP status ${status}`),
    undefined,
    retryAfterMs,
  )
}

function parseObject(text: string): { error?: unknown; message?: unknown; code?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined // The text itself becomes the message.
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
