/** Who asks, as far as an operation needs to know. */
export interface Caller {
  /** Empty where an API may be called without a certificate. */
  readonly identity: string
  readonly isAdmin: boolean
  /** The address that the request came from. */
  readonly ip: string
}
