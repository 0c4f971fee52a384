/** The requests that a harness's server was sent, to be asserted on. Bodies are not recorded: they hold secrets. */
import { onAnswered } from './answer.ts'
import type { FaultKind } from './fault-options.ts'
import type { Exchange } from './key-server.ts'
import { matcherOf, pathOf, type RequestFilter } from './matching.ts'

/** Plain JSON: it crosses processes. */
export interface RecordedRequest {
  readonly method: string
  /** As sent, without the query. */
  readonly path: string
  /** `reuse=true`, or empty. */
  readonly query: string
  readonly protocol: 'h2' | 'http/1.1'
  /** Of the client; null if it has none. */
  readonly identity: string | null
  /** Null while there is no answer, and if there never was one. */
  readonly status: number | null
  /** In milliseconds since 1970. */
  readonly startedAt: number
  /** Until the server had its answer complete, with all delays before that; null while it has not. */
  readonly durationMs: number | null
  /** The fault that decided about it, or null. A latency that was added counts if there was no other. */
  readonly fault: FaultKind | null
}

/** The oldest are forgotten beyond so many: a sandbox may run for days. */
const RECORDED_MAX = 10_000

class Entry {
  readonly method: string
  readonly path: string
  fault: FaultKind | null = null
  readonly #query: string
  readonly #protocol: Exchange['protocol']
  readonly #identity: string | null
  readonly #startedAt = Date.now()
  readonly #startedMs = performance.now()
  #durationMs: number | null = null
  #status: number | null = null
  #response: Exchange['response'] | undefined

  constructor(exchange: Exchange) {
    this.method = exchange.method
    this.path = pathOf(exchange.target)
    this.#query = exchange.target.slice(this.path.length + 1)
    this.#protocol = exchange.protocol
    this.#identity = exchange.identity ?? null
    this.#response = exchange.response
    onAnswered(exchange, () => {
      this.#durationMs = performance.now() - this.#startedMs
    })
    exchange.answer.once('close', () => {
      this.#status = this.#statusNow()
      this.#response = undefined // A closed exchange is large.
    })
  }

  toJSON(): RecordedRequest {
    return {
      method: this.method,
      path: this.path,
      query: this.#query,
      protocol: this.#protocol,
      identity: this.#identity,
      status: this.#statusNow(),
      startedAt: this.#startedAt,
      durationMs: this.#durationMs,
      fault: this.fault,
    }
  }

  #statusNow(): number | null {
    if (this.#response === undefined) return this.#status
    return this.#response.headersSent ? this.#response.statusCode : null
  }
}

export class RequestLog {
  #entries: Entry[] = []

  begin(exchange: Exchange): Pick<Entry, 'method' | 'path' | 'fault'> {
    const entry = new Entry(exchange)
    this.#entries.push(entry)
    if (this.#entries.length > 2 * RECORDED_MAX) this.#entries = this.#entries.slice(-RECORDED_MAX)
    return entry
  }

  /** In the order in which they came. */
  list(filter: RequestFilter): RecordedRequest[] {
    const isMatch = matcherOf(filter)
    return this.#entries
      .slice(-RECORDED_MAX)
      .filter(({ method, path }) => isMatch(method, path))
      .map((entry) => entry.toJSON())
  }

  clear(): void {
    this.#entries = []
  }
}
