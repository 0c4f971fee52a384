/**
 * An end for connections that nobody uses. One timer looks at all of them: Node's own timeout of an HTTP/2 session holds
 * on to the session, with all its buffers, long after it has closed.
 */
const SWEEP_MS = 1_000

export interface ConnectionEnds<Connection> {
  /** From its beginning to its first request. */
  readonly silentMs: number
  /** From one request to the next. */
  readonly idleMs: number
  readonly endSilent: (connection: Connection) => void
  readonly endIdle: (connection: Connection) => void
}

interface Use {
  lastMs: number
  isSilent: boolean
}

export class UnusedConnections<Connection extends object> {
  readonly #ends: ConnectionEnds<Connection>
  readonly #open = new Map<Connection, Use>()
  readonly #timer = setInterval(() => this.#sweep(), SWEEP_MS).unref()

  constructor(ends: ConnectionEnds<Connection>) {
    this.#ends = ends
  }

  /** @returns what is to be called when a request has come. */
  add(connection: Connection): () => void {
    const use: Use = { lastMs: performance.now(), isSilent: true }
    this.#open.set(connection, use)
    return () => {
      use.lastMs = performance.now()
      use.isSilent = false
    }
  }

  remove(connection: Connection): void {
    this.#open.delete(connection)
  }

  /** Those that are open. */
  [Symbol.iterator](): Iterator<Connection> {
    return this.#open.keys()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  #sweep(): void {
    const nowMs = performance.now()
    for (const [connection, { lastMs, isSilent }] of this.#open) {
      const unusedMs = nowMs - lastMs
      if (isSilent && unusedMs > this.#ends.silentMs) this.#ends.endSilent(connection)
      else if (unusedMs > this.#ends.idleMs) this.#ends.endIdle(connection)
    }
  }
}
