/** Says in a sentence what a failed connection means and what to look at; OpenSSL's own texts don't. */
import { UnsentError } from './channel.ts'

const CERTIFICATE_REQUIRED =
  'the server requires a client certificate: give an API key, or a certificate with its key'
const CERTIFICATE_REFUSED =
  "the server refused the client's certificate: it verifies certificates, and trusts neither this one nor its issuer"
const NO_COMMON_TLS = 'the server and the client have no TLS version or cipher in common'
const UNKNOWN_AUTHORITY =
  "the server's certificate is signed by an unknown authority: give the CA's certificate as `ca`"
const NO_SUCH_HOST = 'the host name is unknown: check its spelling and the DNS'
const UNREACHABLE = 'the host is unreachable: check the address, the network and firewalls'
const BROKEN = 'the connection broke before the answer was complete'
const BROKEN_WITHOUT_CERTIFICATE = `${BROKEN}; perhaps the server requires a client certificate`

const PROBLEMS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused: no server is listening there, or a firewall forbids it',
  ENOTFOUND: NO_SUCH_HOST,
  EAI_AGAIN: NO_SUCH_HOST,
  EHOSTUNREACH: UNREACHABLE,
  ENETUNREACH: UNREACHABLE,
  ETIMEDOUT: UNREACHABLE,
  ECONNRESET: BROKEN,
  EPIPE: BROKEN,
  ERR_STREAM_PREMATURE_CLOSE: BROKEN,
  ERR_HTTP2_STREAM_ERROR: BROKEN,
  ERR_HTTP2_SESSION_ERROR: BROKEN,
  ERR_HTTP2_STREAM_CANCEL: BROKEN,

  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: "the server's certificate has expired: renew it",
  CERT_NOT_YET_VALID: "the server's certificate is not valid yet: check the clocks",
  CERT_SIGNATURE_FAILURE: "the server's certificate is not signed by the given CA",
  ERR_TLS_CERT_ALTNAME_INVALID:
    "the server's certificate is for another name: connect by a name or address that it lists",

  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: CERTIFICATE_REQUIRED,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: CERTIFICATE_REFUSED,
  ERR_SSL_TLSV1_ALERT_CERTIFICATE_UNKNOWN: CERTIFICATE_REFUSED,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: CERTIFICATE_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: CERTIFICATE_REFUSED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: "the client's certificate has expired: renew it",
  ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    "the client's certificate is not made for client authentication",
  ERR_SSL_WRONG_VERSION_NUMBER: 'something else than TLS answers there, perhaps plain HTTP',
  ERR_SSL_PACKET_LENGTH_TOO_LONG: 'something else than TLS answers there, perhaps plain HTTP',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: NO_COMMON_TLS,
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
    'the server speaks none of the HTTP versions that were offered',
}

/** Alerts by which a server that wants a certificate turns away a client that has none. */
const HANDSHAKE_FAILURES: readonly string[] = [
  'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
  'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
]

/** Of the network, and so perhaps gone at the next attempt; what TLS refuses it will refuse again. */
const PASSING: readonly string[] = [
  'ECONNREFUSED',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'ECONNRESET',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_HTTP2_STREAM_ERROR',
  'ERR_HTTP2_SESSION_ERROR',
  'ERR_HTTP2_STREAM_CANCEL',
]

/** Whether another attempt on the same server may end better. */
export function isPassingProblem(error: unknown): boolean {
  return PASSING.includes(codeOf(error)) || error instanceof UnsentError
}

export function describeConnectionProblem(error: unknown, hasClientCertificate: boolean): string {
  if (!(error instanceof Error)) return 'the connection failed'
  const code = codeOf(error)
  if (HANDSHAKE_FAILURES.includes(code)) return hasClientCertificate ? NO_COMMON_TLS : CERTIFICATE_REQUIRED
  const problem = PROBLEMS[code]
  if (problem === BROKEN && !hasClientCertificate) return BROKEN_WITHOUT_CERTIFICATE
  return problem ?? `the connection failed: ${error.message}`
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
