/** Node's words for an address that can't be had, turned into KES's. */
import { CliError } from './outcome.ts'

/** @param flag - that chooses the address. @returns the error itself if it is not about listening. */
export function explainListening(error: unknown, flag: string): unknown {
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & {
    address?: string
    port?: number
  }
  if (syscall !== 'listen') return error
  const reasons: Record<string, string> = {
    EADDRINUSE: 'bind: address already in use',
    EACCES: 'bind: permission denied',
    EADDRNOTAVAIL: 'bind: cannot assign requested address',
  }
  const host = address?.includes(':') ? `[${address}]` : address
  const hints =
    code === 'EADDRINUSE' ? [`another server listens there; choose another address with ${flag}`] : []
  return new CliError(`listen tcp ${host}:${port}: ${reasons[code ?? ''] ?? String(code)}`, hints)
}
