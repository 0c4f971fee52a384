/** `host:port` of an option: `:9000` for every interface, `[::1]:9000` for IPv6. */
import type { Address } from '../s3/listener.ts'
import { CliError } from './outcome.ts'

/** @throws CliError */
export function parseAddress(text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text)
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    throw new CliError(`'${text}' is no address: expected HOST:PORT, such as 127.0.0.1:9000 or :9000`)
  }
  return { host: match[1] ?? match[2] ?? '', port }
}
