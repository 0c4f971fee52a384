/**
 * Whether short operations are quick enough to be done at once. Most find the page cache, and take a tenth of what it
 * costs to hand them to a thread; but a disk that is asleep, busy or far away must not hold up everybody.
 */

/** More than any flash memory takes, and less than a disk that has to turn. */
const QUICK_MS = 5
/** How long a slow operation counts. */
const WARY_MS = 1000

export class Pace {
  readonly #now: () => number
  #waryUntilMs = Number.NEGATIVE_INFINITY

  /** @param now - milliseconds of a clock that is never set. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  /** False for a while after one that was not. */
  get isQuick(): boolean {
    return this.#now() >= this.#waryUntilMs
  }

  /** Does it at once, and notes how long it took. */
  time<Result>(operation: () => Result): Result {
    const startedMs = this.#now()
    try {
      return operation()
    } finally {
      const endedMs = this.#now()
      if (endedMs - startedMs > QUICK_MS) this.#waryUntilMs = endedMs + WARY_MS
    }
  }
}
