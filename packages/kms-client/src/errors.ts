/**
 * Every error that the client throws.
 *
 *     KesClientError
 *     ├─ KesApiError          the server answered, and refused; its subclasses are in api-error.ts
 *     ├─ KesConnectionError   no connection, or it broke
 *     ├─ KesTimeoutError      no complete answer in time
 *     └─ KesProtocolError     an answer that no key server gives
 *
 * Two more say that an argument is malformed: InvalidApiKeyError and InvalidBase64Error, beside what they check.
 */

/** What all errors of the client have in common. An aborted call throws the signal's own reason instead. */
export abstract class KesClientError extends Error {}

/**
 * There was no connection to the server, or it broke before the answer was complete. The message says what to look at;
 * `cause` is the error of the network or TLS, or an AggregateError if several servers were tried.
 */
export class KesConnectionError extends KesClientError {
  override readonly name = 'KesConnectionError'
  /** `https://host:port`; of several, the last that was tried. */
  readonly endpoint: string
  /** The message without the endpoint. */
  readonly problem: string
  /** The server has not seen the request. False if it may have acted on it, or not. */
  readonly isUnsent: boolean
  constructor(
    endpoint: string,
    problem: string,
    options: { readonly cause?: unknown; readonly isUnsent?: boolean } = {},
  ) {
    super(`${endpoint}: ${problem}`, options.cause === undefined ? undefined : { cause: options.cause })
    this.endpoint = endpoint
    this.problem = problem
    this.isUnsent = options.isUnsent ?? false
  }
}

/**
 * No server gave a complete answer in time. It may still act, or have acted, on the request. `cause` is an
 * AggregateError if several attempts were made.
 */
export class KesTimeoutError extends KesClientError {
  override readonly name = 'KesTimeoutError'
  /** `https://host:port`; of several, the last that was tried. */
  readonly endpoint: string
  readonly timeoutMs: number
  constructor(endpoint: string, timeoutMs: number, options?: { readonly cause?: unknown }) {
    super(`${endpoint}: no answer within ${timeoutMs} ms`, options)
    this.endpoint = endpoint
    this.timeoutMs = timeoutMs
  }
}

/** The server's answer can't be understood: perhaps something else than a key server listens there. */
export class KesProtocolError extends KesClientError {
  override readonly name = 'KesProtocolError'
}
