import type { KesError } from '../errors.ts'
import type { Identity } from '../names.ts'

/** Who asks: at the other end of a connection or, if a TLS proxy stands there, behind it. */
export interface Peer {
  /** Of the other end of the connection. */
  readonly ip: string
  readonly identity: Identity | undefined
  /** Why there is no identity. */
  readonly problem: KesError | undefined
  /** The TLS proxy that has named the caller, or failed to. */
  readonly proxy: Identity | undefined
}
