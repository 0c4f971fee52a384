/** What TLS the server speaks, as whom, and whom it lets in. Apart from the listener: the supervisor has none. */
import { constants } from 'node:crypto'
import { createSecureContext, getCACertificates } from 'node:tls'
import { CredentialsError, type TlsCredentials } from './credentials.ts'

/** TLS 1.3 first; of TLS 1.2 only forward secrecy with an AEAD. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':')

/**
 * OpenSSL keeps what it received last in the clear otherwise, until more comes. Node has no name for it.
 *
 * @see SSL_CTX_set_options(3)
 */
const SSL_OP_CLEANSE_PLAINTEXT = 0x2

export interface ClientCertificateMode {
  /** Close the connection of a client that shows no certificate. */
  readonly isRequired: boolean
  /** Close the connection of a client whose certificate does not chain to a CA, has expired or has another purpose. */
  readonly isVerified: boolean
  /** PEM certificates that are trusted beside the system's, of CAs or of single clients. Used if verified. */
  readonly cas: readonly string[]
}

/** Peers that say in a header of each request who their caller is. */
export interface ProxySettings {
  readonly identities: readonly string[]
  /** With the caller's certificate. */
  readonly header: string
}

/** Who the server is, and whom it lets in. */
export interface ListenerSettings {
  readonly credentials: TlsCredentials
  readonly clientCertificates: ClientCertificateMode
  readonly proxies: ProxySettings | undefined
}

/**
 * Some keys and certificates are well-formed, and OpenSSL refuses them all the same: too short a key, say.
 *
 * @throws {@link CredentialsError} if no listener can be had with these.
 */
export function assertUsable(settings: ListenerSettings): void {
  try {
    createSecureContext(contextOptions(settings))
  } catch (error) {
    throw new CredentialsError(`invalid TLS certificate: ${error instanceof Error ? error.message : error}`)
  }
}

/** PEM certificates of the CAs that vouch for clients. */
export function trustedCas({ cas }: ClientCertificateMode): string[] {
  return [...getCACertificates('system'), ...cas]
}

export function contextOptions(options: ListenerSettings) {
  const { clientCertificates: mode } = options
  return {
    key: options.credentials.keyPem,
    cert: options.credentials.certPem,
    ca: mode.isVerified ? trustedCas(mode) : [],
    // A CA below another one is trusted if it alone was given, and so is a client's certificate itself.
    allowPartialTrustChain: true,
    minVersion: 'TLSv1.2',
    ciphers: CIPHERS,
    honorCipherOrder: true,
    // Who a client is, is asked once a connection, and of every connection: a resumed session would carry over who
    // the client was when it began, and tickets cost a seventh of a handshake.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION | constants.SSL_OP_NO_TICKET | SSL_OP_CLEANSE_PLAINTEXT,
  } as const
}
