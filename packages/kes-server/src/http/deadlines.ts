/**
 * Deadlines for many requests at the cost of one timer: a request is looked at once a second, so that it may
 * live up to a second longer than it was given.
 */
const SWEEP_MS = 1000

export interface Deadline {
  /** Milliseconds of {@link performance.now}. */
  readonly atMs: number
  readonly onExpired: () => void
}

export class Deadlines {
  readonly #pending = new Set<Deadline>()
  readonly #timer: NodeJS.Timeout

  constructor() {
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS)
    this.#timer.unref()
  }

  add(timeoutMs: number, onExpired: () => void): Deadline {
    const deadline = { atMs: performance.now() + timeoutMs, onExpired }
    this.#pending.add(deadline)
    return deadline
  }

  remove(deadline: Deadline): void {
    this.#pending.delete(deadline)
  }

  get size(): number {
    return this.#pending.size
  }

  close(): void {
    clearInterval(this.#timer)
    this.#pending.clear()
  }

  #sweep(): void {
    const now = performance.now()
    for (const deadline of this.#pending) {
      if (deadline.atMs > now) continue
      this.#pending.delete(deadline)
      deadline.onExpired()
    }
  }
}
