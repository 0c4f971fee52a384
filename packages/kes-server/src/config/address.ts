/** Where the server listens: `ip:port`, `[ipv6]:port` or `:port`. */
import { isIP } from 'node:net'

export interface Address {
  /** An IP literal; empty means every interface, IPv4 and IPv6. */
  readonly host: string
  /** 0 lets the system choose. */
  readonly port: number
}

export const DEFAULT_ADDRESS: Address = { host: '0.0.0.0', port: 7373 }

/** A text that is no address; the message is KES's. */
export class AddressError extends Error {
  override readonly name = 'AddressError'
  /** KES finds a bad port only when it listens, after its banner. */
  readonly isPort: boolean
  constructor(message: string, isPort = false) {
    super(message)
    this.isPort = isPort
  }
}

/** @throws {@link AddressError} */
export function parseAddress(text: string): Address {
  const colon = text.lastIndexOf(':')
  const bracket = text.lastIndexOf(']')
  if (colon < bracket || colon < 0) throw new AddressError(`address ${text}: missing port in address`)

  let host = text.slice(0, colon)
  if (host.startsWith('[')) {
    if (bracket < 0) throw new AddressError(`address ${text}: missing ']' in address`)
    host = host.slice(1, -1)
  } else if (host.includes(':')) {
    throw new AddressError(`address ${text}: too many colons in address`)
  }
  if (host !== '' && isIP(host) === 0) throw new AddressError(`'${host}' is not a valid IP address`)
  return { host, port: parsePort(text.slice(colon + 1)) }
}

export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d*$/.test(text) || port > 65_535) {
    throw new AddressError(`listen tcp: address ${text}: invalid port`, true)
  }
  return port
}
