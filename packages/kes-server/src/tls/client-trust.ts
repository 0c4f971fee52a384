/**
 * Whether CAs vouch for a client's certificate that did not come by a TLS handshake: OpenSSL verifies those, and Node
 * has no way to ask it about others.
 *
 * A chain consists of the certificate and of CAs that were given; its end is one that has signed itself. Each is valid
 * today, and none is for other uses than client authentication. Limits of names and of the length of the path, which
 * OpenSSL knows besides, do not count here.
 */
import { X509Certificate } from 'node:crypto'

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const CHAIN_MAX = 8

export class ClientTrust {
  readonly #pems: readonly string[]
  #bySubject: ReadonlyMap<string, readonly X509Certificate[]> | undefined

  /** @param pems - of CAs. Parsed at the first question. */
  constructor(pems: readonly string[]) {
    this.#pems = pems
  }

  /**
   * Until when the certificate can be trusted, in ms since 1970, as far as time alone is concerned; undefined if it
   * can't be now.
   */
  endOf(certificate: X509Certificate, nowMs: number, length = 1): number | undefined {
    const { issuer, validFromDate, validToDate, keyUsage } = certificate
    const endMs = validToDate.getTime()
    if (nowMs < validFromDate.getTime() || nowMs > endMs) return undefined
    if (keyUsage !== undefined && !keyUsage.includes(CLIENT_AUTH)) return undefined
    if (length > CHAIN_MAX) return undefined
    for (const authority of this.#authorities().get(issuer) ?? []) {
      if (!isIssuedBy(certificate, authority)) continue
      if (authority.raw.equals(certificate.raw)) return endMs // It has signed itself, and is trusted by name.
      if (!authority.ca || !certificate.checkIssued(authority)) continue
      const issuerEndMs = this.endOf(authority, nowMs, length + 1)
      if (issuerEndMs !== undefined) return Math.min(endMs, issuerEndMs)
    }
    return undefined
  }

  #authorities(): ReadonlyMap<string, readonly X509Certificate[]> {
    this.#bySubject ??= Map.groupBy(
      this.#pems.map((pem) => new X509Certificate(pem)),
      ({ subject }) => subject,
    )
    return this.#bySubject
  }
}

export function isIssuedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  try {
    return certificate.issuer === authority.subject && certificate.verify(authority.publicKey)
  } catch {
    return false // A key of another type than the signature's.
  }
}
