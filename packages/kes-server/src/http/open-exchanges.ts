/**
 * The requests that are under way: how many, and which of them have run out of time. One timer looks at all of
 * them once a second, so that a request may live up to a second longer than it was given.
 */
const SWEEP_MS = 1000

/** How long running requests get at a stop. */
export const STOP_TIMEOUT_MS = 10_000

export interface Expiring {
  /** Milliseconds of `performance.now()`; Infinity for a request that may last. */
  expiresMs: number
}

export class OpenExchanges<Exchange extends Expiring> {
  readonly #open = new Set<Exchange>()
  readonly #timer: NodeJS.Timeout

  /** @param onExpired - called once for each exchange that is open beyond its time. */
  constructor(onExpired: (exchange: Exchange) => void) {
    this.#timer = setInterval(() => {
      const now = performance.now()
      for (const exchange of this.#open) {
        if (exchange.expiresMs > now) continue
        exchange.expiresMs = Number.POSITIVE_INFINITY
        onExpired(exchange)
      }
    }, SWEEP_MS)
    this.#timer.unref()
  }

  get count(): number {
    return this.#open.size
  }

  add(exchange: Exchange): void {
    this.#open.add(exchange)
  }

  remove(exchange: Exchange): void {
    this.#open.delete(exchange)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#open.clear()
  }
}
