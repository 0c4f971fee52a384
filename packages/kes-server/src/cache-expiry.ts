import { isDeepStrictEqual } from 'node:util'
import type { Config } from './config/config.ts'
import type { KeyRing } from './keyring/key-ring.ts'

/** Plaintext keys leave memory as the config's cache section says. */
export class CacheExpiry {
  readonly #ring: KeyRing
  #cache: Config['cache'] | undefined
  #timers: NodeJS.Timeout[] = []

  constructor(ring: KeyRing, cache: Config['cache']) {
    this.#ring = ring
    this.replace(cache)
  }

  /** Times that stay the same run on: reloads, however many, keep no key in memory for longer. */
  replace(cache: Config['cache']): void {
    if (isDeepStrictEqual(cache, this.#cache)) return
    this.stop()
    this.#cache = cache
    const { anyMs, unusedMs } = cache
    if (anyMs > 0) this.#timers.push(setInterval(() => this.#ring.forgetAll(), anyMs).unref())
    if (unusedMs > 0) {
      const forget = () => this.#ring.forgetUnused()
      this.#timers.push(setInterval(forget, Math.max(1, unusedMs / 2)).unref())
    }
  }

  stop(): void {
    for (const timer of this.#timers.splice(0)) clearInterval(timer)
  }
}
