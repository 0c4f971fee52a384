/**
 * The callers behind TLS proxies. A proxy has asked the client for its certificate in a handshake of its own, and
 * forwards it in a header of each request; it is judged by the rules for a certificate that a client shows itself. The
 * header counts from proxies alone, which are known by their own certificates.
 */
import { X509Certificate } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { decodeBase64 } from '../encoding/base64.ts'
import { CertificateRequiredError, KesError, TooManyCertificatesError } from '../errors.ts'
import { clientIdentity } from '../identity/identity.ts'
import { type Identity, normalizeIdentity } from '../names.ts'
import { ClientTrust } from './client-trust.ts'
import type { Peer } from './peer.ts'
import { type ListenerSettings, trustedCas } from './secure-context.ts'

/** A certificate with an RSA key of 4096 bits takes some 2,600 characters. */
const HEADER_MAX = 8_192
/** Callers that are known by their header's text. */
const KNOWN_MAX = 256

const PEM_BEGIN = '-----BEGIN CERTIFICATE-----'
/** Line breaks may have become spaces. */
const PEM = /^\s*-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*$/
/** @see RFC 9440, section 2.1: Base64 of the DER, between colons. */
const STRUCTURED = /^:([A-Za-z0-9+/=]+):$/

interface Known {
  readonly identity: Identity
  /** When the certificate, or that of a CA which vouches for it, ends. */
  readonly endMs: number
}

export class ForwardedCallers {
  readonly #proxies: ReadonlySet<Identity>
  readonly #header: string
  /** Undefined if certificates are not verified. */
  readonly #trust: ClientTrust | undefined
  /** The oldest first. */
  readonly #known = new Map<string, Known>()

  private constructor(identities: readonly string[], header: string, trust: ClientTrust | undefined) {
    this.#proxies = new Set(identities.map(normalizeIdentity))
    this.#header = header.toLowerCase()
    this.#trust = trust
  }

  /** @returns undefined if there are no proxies. */
  static of({ proxies, clientCertificates: mode }: ListenerSettings): ForwardedCallers | undefined {
    if (proxies === undefined) return undefined
    const trust = mode.isVerified ? new ClientTrust(trustedCas(mode)) : undefined
    return new ForwardedCallers(proxies.identities, proxies.header, trust)
  }

  /** @returns `peer` itself if it is no proxy. */
  callerOf(peer: Peer, headers: IncomingHttpHeaders): Peer {
    const { ip, identity: proxy } = peer
    if (proxy === undefined || !this.#proxies.has(proxy)) return peer
    try {
      return { ip, identity: this.#identityIn(headers[this.#header]), problem: undefined, proxy }
    } catch (problem) {
      if (!(problem instanceof KesError)) throw problem
      return { ip, identity: undefined, problem, proxy }
    }
  }

  #identityIn(header: string | string[] | undefined): Identity {
    const detail = (text: string) => ({ detail: `certificate in '${this.#header}' of a TLS proxy: ${text}` })
    if (header === undefined || header === '') throw new CertificateRequiredError(detail('there is none'))
    // Node joins headers of one name by a comma, which has no place in one of them.
    if (typeof header !== 'string' || header.includes(','))
      throw new TooManyCertificatesError(detail('the header came several times'))
    const nowMs = Date.now()
    const known = this.#known.get(header)
    if (known !== undefined && nowMs <= known.endMs) return known.identity
    if (header.length > HEADER_MAX)
      throw new CertificateRequiredError(detail(`more than ${HEADER_MAX} characters`))
    const der = decodeCertificate(header)
    if (der === 'several') throw new TooManyCertificatesError(detail('the header holds several'))
    if (der === undefined)
      throw new CertificateRequiredError(detail('neither escaped PEM nor Base64 between colons'))
    const identity = clientIdentity([der])
    this.#remember(header, { identity, endMs: this.#endOf(der, nowMs, detail) })
    return identity
  }

  #endOf(der: Buffer, nowMs: number, detail: (text: string) => { detail: string }): number {
    if (this.#trust === undefined) return Number.POSITIVE_INFINITY
    const endMs = this.#trust.endOf(parse(der, detail), nowMs)
    if (endMs === undefined) throw new CertificateRequiredError(detail('tls: failed to verify certificate'))
    return endMs
  }

  #remember(header: string, known: Known): void {
    const [oldest] = this.#known.keys()
    if (this.#known.size >= KNOWN_MAX && oldest !== undefined) this.#known.delete(oldest)
    this.#known.set(header, known)
  }
}

/** The DER of the one certificate in a header; undefined if that can't be read. */
function decodeCertificate(header: string): Buffer | 'several' | undefined {
  const structured = STRUCTURED.exec(header)?.[1]
  if (structured !== undefined) return decodeBase64(structured)
  let text: string
  try {
    text = decodeURIComponent(header)
  } catch {
    return undefined // A malformed escape.
  }
  if (text.split(PEM_BEGIN).length > 2) return 'several'
  const base64 = PEM.exec(text)?.[1]
  return base64 === undefined ? undefined : decodeBase64(base64.replace(/\s/g, ''))
}

function parse(der: Buffer, detail: (text: string) => { detail: string }): X509Certificate {
  try {
    return new X509Certificate(der)
  } catch (cause) {
    throw new CertificateRequiredError({ ...detail('it is damaged'), cause })
  }
}
