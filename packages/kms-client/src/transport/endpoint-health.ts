/** Whether an endpoint is worth a request, from what became of the ones before. */

const SHELVED_MS = 1_000
const SHELVED_MAX_MS = 5_000

export class EndpointHealth {
  readonly #random: () => number
  #failures = 0
  #shelvedUntilMs = 0

  /** @param random - from 0 to 1, so that many clients don't come back at once. */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Out of use, until {@link succeeded} is called: there are others, or a look at it, to find out. */
  get isShelved(): boolean {
    return this.#failures > 0
  }

  /** Whether it is time to look whether a shelved endpoint is back. */
  isDue(nowMs: number): boolean {
    return this.isShelved && nowMs >= this.#shelvedUntilMs
  }

  succeeded(): void {
    this.#failures = 0
  }

  /** Shelves the endpoint for about a second, and for twice as long each time that it is still out, up to 5 s. */
  failed(nowMs: number): void {
    if (this.isShelved && nowMs < this.#shelvedUntilMs) return // Of the same outage: requests fail in bunches.
    const ms = Math.min(SHELVED_MAX_MS, SHELVED_MS * 2 ** this.#failures)
    this.#failures++
    this.#shelvedUntilMs = nowMs + ms * (0.5 + this.#random() / 2)
  }
}
