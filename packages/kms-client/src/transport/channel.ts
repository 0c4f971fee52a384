/** What the two versions of HTTP have in common for the transport. */
import type { EventEmitter } from 'node:events'
import type { Readable } from 'node:stream'

export interface HttpRequest {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  /** Path and query, escaped. */
  readonly path: string
  /** JSON text; `undefined` sends no body. */
  readonly body?: string | undefined
  /**
   * Of a reply without an end, which may say nothing for hours: how long the server may give no sign of life before its
   * connection counts as dead. Over HTTP/1.1 there is no way to ask for one.
   */
  readonly silenceMsMax?: number | undefined
}

export interface HttpReply {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** To be read to its end, or destroyed. */
  readonly body: Readable
  /** Whether the body, read to its end, is all that the server had to say: its end may be that of a connection. */
  readonly isComplete: () => boolean
}

/** Carries requests over one connection, or over several that it opens as needed. */
export interface HttpChannel {
  /** False once no further request can be sent: the next one needs a new channel. */
  readonly isOpen: boolean
  /**
   * Resolves when the reply's headers are here.
   *
   * @param signal - ends the exchange, its body included.
   * @throws {@link UnsentError} if the server can't have acted on the request; else the error of the connection.
   */
  exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpReply>
  /** Puts no further request on the present connections, which may be dead, and lets those under way end. */
  abandon(): void
}

/**
 * The request was not processed: it met a connection that was just closing, or could get none. `cause` says why there
 * is none; without it, a new connection may do.
 */
export class UnsentError extends Error {
  override readonly name = 'UnsentError'
}

export function brokenConnection(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
}

/** Calls `abort` once the signal says so, unless the stream has closed. Node's own option `signal` costs several times this. */
export function abortWith(stream: EventEmitter, signal: AbortSignal, abort: () => void): void {
  signal.addEventListener('abort', abort)
  stream.once('close', () => signal.removeEventListener('abort', abort))
}
