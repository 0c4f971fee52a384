/**
 * What went wrong with a call: KES's words, as scripts know them, and what a person may want to do about it.
 *
 * KES's texts for failed connections are those of Go's `net/http`, such as `Get "https://…": dial tcp …: connect:
 * connection refused`.
 */
import {
  AuditUnavailableError,
  ErasePendingError,
  IdentityNotFoundError,
  KesApiError,
  KesConnectionError,
  KesTimeoutError,
  KeyDisabledError,
  KeyNameReservedError,
  KeyPendingDeletionError,
  NotAllowedError,
  NotFoundError,
  WrongStateError,
} from '@latchkey/kms-client'
import { messageOf } from '../message-of.ts'
import { CliError } from './outcome.ts'

/** A call as the server sees it. */
export interface ApiCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Without the query. */
  readonly path: string
  /** What stands in front of the reason, such as `failed to create key "x"`. */
  readonly failure?: string
}

const VERIFY = 'tls: failed to verify certificate: x509:'
const UNKNOWN_AUTHORITY = `${VERIFY} certificate signed by unknown authority`
const NOT_VALID_NOW = `${VERIFY} certificate has expired or is not yet valid`

const TLS_TEXTS: Readonly<Record<string, string>> = {
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  CERT_SIGNATURE_FAILURE: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: NOT_VALID_NOW,
  CERT_NOT_YET_VALID: NOT_VALID_NOW,
  ERR_TLS_CERT_ALTNAME_INVALID: `${VERIFY} certificate is not valid for this name or address`,
}

const NETWORK_TEXTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connect: connection refused',
  EHOSTUNREACH: 'connect: no route to host',
  ENETUNREACH: 'connect: network is unreachable',
  ETIMEDOUT: 'i/o timeout',
}

/** Who called, and what is known of why he was refused. */
export interface Refused {
  readonly identity: string
  readonly decision?: string | undefined
}

export function explainError(error: unknown, call: ApiCall, refused: Refused): CliError {
  const { text, hints } = describe(error, call, refused)
  return new CliError(call.failure === undefined ? text : `${call.failure}: ${text}`, hints)
}

interface Explanation {
  readonly text: string
  readonly hints: readonly string[]
}

function describe(error: unknown, call: ApiCall, refused: Refused): Explanation {
  if (error instanceof KesApiError) return { text: error.message, hints: hintsFor(error, call, refused) }
  if (error instanceof KesTimeoutError) {
    const text = `${goRequest(error.endpoint, call)}: context deadline exceeded`
    return { text: `kes: connection error: ${text}`, hints: [error.message] }
  }
  if (error instanceof KesConnectionError) return describeConnection(error, call)
  return { text: messageOf(error), hints: [] }
}

const LOOK_CLOSER = "'kes doctor' looks at each step on the way to the server."

function describeConnection(error: KesConnectionError, call: ApiCall): Explanation {
  const cause = rootCause(error.cause)
  const request = goRequest(error.endpoint, call)
  const tls = TLS_TEXTS[cause.code]
  if (tls === UNKNOWN_AUTHORITY) {
    const advice =
      "name its CA with '--ca FILE' or KES_CA_PATH; '-k' skips the check, which is for development only"
    return {
      text: `${request}: ${tls}`,
      hints: [`The server's certificate is signed by an unknown authority: ${advice}.`, LOOK_CLOSER],
    }
  }
  if (tls !== undefined) return { text: `${request}: ${tls}`, hints: [`${error.message}.`, LOOK_CLOSER] }

  const network = NETWORK_TEXTS[cause.code]
  const reason =
    cause.code === 'ENOTFOUND' || cause.code === 'EAI_AGAIN'
      ? `dial tcp: lookup ${new URL(error.endpoint).hostname}: no such host`
      : network === undefined
        ? withoutEndpoint(error)
        : `dial tcp ${cause.address}: ${network}`
  const advice =
    cause.code === 'ECONNREFUSED'
      ? `No server answers at ${error.endpoint}. Start one with 'kes server --dev', or name another one with KES_SERVER.`
      : `${error.message}.`
  return { text: `kes: connection error: ${request}: ${reason}`, hints: [advice, LOOK_CLOSER] }
}

/** Whatever a policy says. */
const FOR_THE_ADMIN = /^\/v1\/(?:seal|backup)\//

function hintsFor(error: KesApiError, { path }: ApiCall, { identity, decision }: Refused): string[] {
  const name = path.slice(path.lastIndexOf('/') + 1)
  if (error instanceof KeyDisabledError) {
    return [`The key "${name}" is disabled. To enable it: kes key enable ${name}`]
  }
  if (error instanceof KeyPendingDeletionError) {
    return [`The key "${name}" is pending deletion. To keep it: kes key cancel-deletion ${name}`]
  }
  if (error instanceof WrongStateError && !path.startsWith('/v1/key/cancel-deletion/')) {
    return [
      `To see when the key "${name}" will be deleted: kes key info ${name}. To keep it: kes key cancel-deletion ${name}`,
    ]
  }
  if (error instanceof NotAllowedError && FOR_THE_ADMIN.test(path)) {
    return [`The identity ${identity} was refused ${path}: that is for the admin identity alone.`]
  }
  if (error instanceof NotAllowedError) {
    const reason = decision ?? 'no policy allows it, or one denies it'
    return [`The identity ${identity} was refused ${path}: ${reason}.`]
  }
  if (error instanceof KeyNameReservedError) {
    if (path.startsWith('/v1/key/import/')) {
      return [`A key "${name}" was erased, and its name stays reserved: import the key under another name.`]
    }
    const reuse = `the admin can make a new key of this name, which opens nothing old: kes key create --reuse ${name}`
    return [`A key "${name}" was erased, and its name stays reserved; ${reuse}`]
  }
  if (error instanceof ErasePendingError) {
    return [
      `The key "${name}" can not be used any more. To learn when it is off the disk: kes key rm ${name}`,
    ]
  }
  if (error instanceof AuditUnavailableError) {
    return [
      "The server's audit file can not be written, or its disk is nearly full: its log has the reason. " +
        'Keys can still be disabled and deleted.',
    ]
  }
  if (error instanceof IdentityNotFoundError && path === '/v1/identity/self/describe') {
    return [`The server knows your identity ${identity} neither as admin nor from a policy.`]
  }
  if (error instanceof NotFoundError)
    return [`The server has no API ${path}: it is not Latchkey, or an older one.`]
  return []
}

/** Such as `Get "https://127.0.0.1:7373/v1/status"`. */
function goRequest(endpoint: string, { method, path }: ApiCall): string {
  return `${method[0]}${method.slice(1).toLowerCase()} "${endpoint}${path}"`
}

/** The error of the network; of several, where a name has several addresses, the first. */
function rootCause(cause: unknown): { code: string; address: string } {
  const first = cause instanceof AggregateError && cause.errors.length > 0 ? cause.errors[0] : cause
  const { code, address, port } =
    first instanceof Error ? (first as NodeJS.ErrnoException & AddressFields) : {}
  const host = address?.includes(':') ? `[${address}]` : address
  return { code: code ?? '', address: host === undefined ? '' : `${host}:${port}` }
}

interface AddressFields {
  readonly address?: string
  readonly port?: number
}

function withoutEndpoint({ message, endpoint }: KesConnectionError): string {
  return message.startsWith(`${endpoint}: `) ? message.slice(endpoint.length + 2) : message
}
