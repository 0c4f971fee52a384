/**
 * Whether CAs vouch for a client's certificate that did not come by a TLS handshake: OpenSSL verifies those, and Node
 * has no way to ask it about others.
 *
 * A certificate is trusted that was given itself, or that a CA which was given has issued, whoever has issued that CA.
 * Both are valid today, and neither is for other uses than client authentication. Limits of names and of the length of
 * the path, which OpenSSL knows besides, do not count here.
 */
import { X509Certificate } from 'node:crypto'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'

export class ClientTrust {
  readonly #pems: readonly string[]
  #bySubject: ReadonlyMap<string, readonly X509Certificate[]> | undefined

  /** @param pems - of CAs, or of single clients. Parsed at the first question. */
  constructor(pems: readonly string[]) {
    this.#pems = pems
  }

  /**
   * Until when the certificate can be trusted, in ms since 1970, as far as time alone is concerned; undefined if it
   * can't be now.
   */
  endOf(certificate: X509Certificate, nowMs: number): number | undefined {
    if (!isUsable(certificate, nowMs)) return undefined
    const endMs = certificate.validToDate.getTime()
    const isGiven = (this.#given().get(certificate.subject) ?? []).some(({ raw }) =>
      raw.equals(certificate.raw),
    )
    if (isGiven) return endMs
    const issuers = (this.#given().get(certificate.issuer) ?? []).filter(
      (issuer) =>
        issuer.ca &&
        isUsable(issuer, nowMs) &&
        certificate.checkIssued(issuer) &&
        isIssuedBy(certificate, issuer),
    )
    if (issuers.length === 0) return undefined
    return Math.min(endMs, Math.max(...issuers.map(({ validToDate }) => validToDate.getTime())))
  }

  #given(): ReadonlyMap<string, readonly X509Certificate[]> {
    this.#bySubject ??= Map.groupBy(
      this.#pems.map((pem) => new X509Certificate(pem)),
      ({ subject }) => subject,
    )
    return this.#bySubject
  }
}

function isUsable({ validFromDate, validToDate, keyUsage }: X509Certificate, nowMs: number): boolean {
  if (nowMs < validFromDate.getTime() || nowMs > validToDate.getTime()) return false
  return keyUsage === undefined || keyUsage.includes(CLIENT_AUTH)
}

export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  try {
    return certificate.issuer === authority.subject && certificate.verify(authority.publicKey)
  } catch {
    return false // A key of another type than the signature's.
  }
}
