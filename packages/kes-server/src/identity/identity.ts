/**
 * From the certificates that a client presents to its identity: the lower-case hex SHA-256 of the public
 * key's SubjectPublicKeyInfo, 64 characters. Neither subject nor validity nor signature matters, so a renewed
 * certificate of the same key keeps its identity.
 */
import { createHash } from 'node:crypto'
import { CertificateRequiredError, TooManyCertificatesError } from '../errors.ts'
import { type Identity, parseIdentity } from '../names.ts'
import { type CertificateFacts, CertificateSyntaxError, readCertificate } from './certificate.ts'

/** @param spkiDer - SubjectPublicKeyInfo exactly as the certificate has it: encoded anew it may differ. */
export function identityOfSpki(spkiDer: Uint8Array): Identity {
  return parseIdentity(createHash('sha256').update(spkiDer).digest('hex'))
}

/** @throws {@link CertificateRequiredError} (400) if `der` is not a certificate. */
export function identityOfCertificate(der: Uint8Array): Identity {
  return identityOfSpki(factsOf(der).spki)
}

/** @throws {@link CertificateRequiredError} (400) if `der` is not a certificate. */
export function isCaCertificate(der: Uint8Array): boolean {
  return factsOf(der).isCa
}

/**
 * The identity of a client that presented `chain`, in DER, in the order of the TLS handshake.
 *
 * It is that of the first certificate and no other, as the handshake proves possession of that key alone. KES
 * takes the one certificate that is not a CA's wherever it stands: to it, whoever sends a CA certificate of
 * his own and behind it somebody's certificate, which is no secret, is that somebody.
 *
 * @throws {@link CertificateRequiredError} (400) if there is no certificate, the first one is a CA's, or any
 *   is damaged.
 * @throws {@link TooManyCertificatesError} (400) if a further one is not a CA's.
 */
export function clientIdentity(chain: readonly Uint8Array[]): Identity {
  const [first, ...others] = chain.map(factsOf)
  if (first === undefined) throw new CertificateRequiredError({ detail: 'client sent no certificate' })
  if (first.isCa) throw new CertificateRequiredError({ detail: "client's certificate is a CA certificate" })
  if (others.some((certificate) => !certificate.isCa)) throw new TooManyCertificatesError()
  return identityOfSpki(first.spki)
}

function factsOf(der: Uint8Array): CertificateFacts {
  try {
    return readCertificate(der)
  } catch (cause) {
    if (!(cause instanceof CertificateSyntaxError)) throw cause
    throw new CertificateRequiredError({ detail: `client certificate is damaged: ${cause.message}`, cause })
  }
}
