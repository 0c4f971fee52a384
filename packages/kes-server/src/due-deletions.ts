/** Erases the keys whose waiting period is over, in the process that writes. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { DeletionClock } from './keyring/deletion-clock.ts'
import type { KeyRing } from './keyring/key-ring.ts'
import type { ErrorLog } from './log/error-log.ts'
import { reasonOf } from './reason.ts'

const CHECK_INTERVAL_MS = 1000
/** A server that is killed has so much of its running time forgotten. */
const SAVE_INTERVAL_MS = 60_000

export interface DueDeletionsOptions {
  readonly ring: KeyRing
  readonly clock: DeletionClock
  /** See {@link KeyStore.whenWritable}. */
  readonly whenWritable: () => Promise<void> | undefined
  readonly errorLog: ErrorLog
  /** Called after keys were erased: to remove what is left of them in the store's files, and to tell others. */
  readonly onErased: () => Promise<void>
}

export class DueDeletions {
  readonly #options: DueDeletionsOptions
  readonly #timers: NodeJS.Timeout[] = []
  #isCounting = false
  #isStopped = false
  #running: Promise<void> | undefined
  #problem: string | undefined

  /** Begins to count the running time: before the server answers its first request. */
  constructor(options: DueDeletionsOptions) {
    this.#options = options
    this.#resume()
  }

  start(): void {
    this.#timers.push(
      setInterval(() => this.check(), CHECK_INTERVAL_MS),
      setInterval(() => void this.#saveLater(), SAVE_INTERVAL_MS),
    )
    for (const timer of this.#timers) timer.unref()
    void this.check()
  }

  /** Erases what is due now. */
  check(): Promise<void> {
    this.#running ??= this.#eraseDue().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  /** Before the store is closed. */
  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers) clearInterval(timer)
    this.#save()
  }

  async #eraseDue(): Promise<void> {
    if (!this.#isCounting && (await this.#isWritable())) this.#resume()
    let erased = 0
    while (this.#hasDue() && (await this.#isWritable())) {
      const count = this.#attempt(() => this.#eraseSome())
      if (count === 0) break
      erased += count
      await nextTurn() // Others have their turn.
    }
    if (erased === 0 || this.#isStopped) return
    await this.#options.onErased()
  }

  /** On a full disk it fails. Nothing is due until it has not: the stored time may be that of an earlier server. */
  #resume(): void {
    this.#attempt(() => {
      this.#options.clock.resume()
      this.#isCounting = true
      return 0
    })
  }

  async #saveLater(): Promise<void> {
    if (this.#hasNews() && (await this.#isWritable())) this.#save()
  }

  #save(): void {
    this.#attempt(() => {
      if (this.#isCounting) this.#options.clock.save()
      return 0
    })
  }

  #hasDue(): boolean {
    return this.#ask(() => this.#options.ring.hasDue())
  }

  #hasNews(): boolean {
    return this.#ask(() => this.#options.clock.hasNews)
  }

  #ask(question: () => boolean): boolean {
    if (this.#isStopped || !this.#isCounting) return false
    try {
      return question()
    } catch (error) {
      this.#complain(error)
      return false
    }
  }

  /** Fulfilled when the store can be written. @returns false if it can't, or this has been stopped meanwhile */
  async #isWritable(): Promise<boolean> {
    try {
      await this.#options.whenWritable()
      return !this.#isStopped
    } catch (error) {
      this.#complain(error)
      return false
    }
  }

  /** @returns how many. */
  #eraseSome(): number {
    const { ring, errorLog } = this.#options
    const erased = ring.eraseDue((name) =>
      errorLog.error(
        `the deletion of secret key '${name}' is due, but its record was changed by hand: delete it, or cancel its deletion`,
      ),
    )
    for (const { name, scheduledBy } of erased) {
      const by = scheduledBy === '' ? '' : `, as ${scheduledBy} has wanted`
      errorLog.info(`secret key '${name}' deleted: its waiting period is over${by}`)
    }
    return erased.length
  }

  /** A store that fails is asked again at the next check, and complained of once. @returns 0 if it failed */
  #attempt(body: () => number): number {
    try {
      const result = body()
      this.#problem = undefined
      return result
    } catch (error) {
      this.#complain(error)
      return 0
    }
  }

  #complain(error: unknown): void {
    const problem = reasonOf(error)
    if (problem !== this.#problem)
      this.#options.errorLog.error(`scheduled deletions do not go on: ${problem}`)
    this.#problem = problem
  }
}
