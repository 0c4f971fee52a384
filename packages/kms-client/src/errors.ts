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
 * There was no connection to the server, or it broke before the answer was complete: whether the server acted
 * on the request is then unknown. The message says what to look at; `cause` is the error of the network or TLS.
 */
export class KesConnectionError extends KesClientError {
  override readonly name = 'KesConnectionError'
  /** `https://host:port` */
  readonly endpoint: string
  constructor(endpoint: string, problem: string, options?: { cause?: unknown }) {
    super(`${endpoint}: ${problem}`, options)
    this.endpoint = endpoint
  }
}

/** The server gave no complete answer in time. It may still act, or have acted, on the request. */
export class KesTimeoutError extends KesClientError {
  override readonly name = 'KesTimeoutError'
  /** `https://host:port` */
  readonly endpoint: string
  readonly timeoutMs: number
  constructor(endpoint: string, timeoutMs: number) {
    super(`${endpoint}: no answer within ${timeoutMs} ms`)
    this.endpoint = endpoint
    this.timeoutMs = timeoutMs
  }
}

/** The server's answer can't be understood: perhaps something else than a key server listens there. */
export class KesProtocolError extends KesClientError {
  override readonly name = 'KesProtocolError'
}
