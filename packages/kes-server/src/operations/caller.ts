/** Who asks, as far as an operation needs to know. */
import { NotAllowedError } from '../errors.ts'

export interface Caller {
  /** Empty where an API may be called without a certificate. */
  readonly identity: string
  readonly isAdmin: boolean
  /** The address that the request came from. */
  readonly ip: string
}

/**
 * For what no policy can grant.
 *
 * @param what - is for the admin alone, in the words of the server's log.
 * @throws {@link NotAllowedError} (403)
 */
export function assertAdmin({ isAdmin }: Caller, what: string): void {
  if (!isAdmin) throw new NotAllowedError({ detail: `${what} is for the admin identity alone` })
}
