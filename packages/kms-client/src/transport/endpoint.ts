/** Where a key server listens. */
import { isIP } from 'node:net'

export interface Endpoint {
  /** `https://host:port`, without the port if it is 443. */
  readonly origin: string
  /** For the connection: a DNS name, or an IP address without brackets. */
  readonly host: string
  readonly port: number
}

/**
 * @param text - `https://host:port` or `host:port`; without a port it is 443. An IPv6 address stands in brackets.
 * @throws TypeError if it is anything else, or has a path, a query or credentials.
 */
export function parseEndpoint(text: string): Endpoint {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`)
  if (url === null || url.host === '') {
    throw new TypeError(`endpoint '${text}' is not of the form https://host:port`)
  }
  if (url.protocol !== 'https:') throw new TypeError(`endpoint '${text}': key servers speak https only`)
  if (
    url.pathname !== '/' ||
    url.search !== '' ||
    url.hash !== '' ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new TypeError(`endpoint '${text}' must have nothing but a host and a port`)
  }
  return { origin: url.origin, host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 443) }
}

/** The name for TLS server name indication, which has none for IP addresses (RFC 6066, section 3). */
export function serverNameOf(endpoint: Endpoint): string | undefined {
  return isIP(endpoint.host) === 0 ? endpoint.host : undefined
}
