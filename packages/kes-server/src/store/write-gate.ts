/**
 * Tells when a write of the store would not be waited for: its disk takes writes, and no other program is writing. SQLite
 * waits for both inside of a call, where the whole process stands still; here they are waited for beside the event loop,
 * and those who wait are let through in the order in which they came, a turn each.
 *
 * The disk is asked by a byte that is written to a file beside the store, and synced. The file has no name: it ends with
 * the process, however that dies.
 */
import { closeSync, fdatasync, openSync, rmSync, unlinkSync, write } from 'node:fs'
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'

/** A disk that has taken a write so lately is not asked again. */
const FRESH_MS = 50
/** Less than any API has to answer. */
const DISK_TIMEOUT_MS = 8_000
const LOCK_RETRY_MS = 10

const writeTo = promisify(write)
const sync = promisify(fdatasync)

export interface WriteGateOptions {
  /** Whether another program is writing, without waiting for it. */
  readonly isLocked: () => boolean
  /** How long another program is waited for. */
  readonly lockTimeoutMs: number
}

interface Waiter {
  readonly sinceMs: number
  readonly timer: NodeJS.Timeout
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class WriteGate {
  readonly #options: WriteGateOptions
  readonly #file: number
  /** In the order in which they came. */
  readonly #waiters = new Set<Waiter>()
  #takenMs = Number.NEGATIVE_INFINITY
  #isRunning = false
  #isAsking = false
  #isClosed = false

  /** @param path - of the store; the file stands beside it while it is made. @throws what `node:fs` does. */
  constructor(path: string, options: WriteGateOptions) {
    this.#options = options
    const made = `${path}.probe`
    rmSync(made, { force: true })
    this.#file = openSync(made, 'wx', 0o600)
    unlinkSync(made)
  }

  /** The disk has just taken a write. */
  noteWritten(): void {
    this.#takenMs = performance.now()
  }

  /**
   * @returns undefined if the gate is open now; otherwise a promise that is fulfilled when it is.
   * @throws Error, as its rejection, with a sentence that says what was waited for in vain.
   */
  pass(): Promise<void> | undefined {
    if (this.#isClosed) return undefined // The write itself will tell.
    if (this.#waiters.size === 0 && this.#isFresh() && !this.#options.isLocked()) return undefined
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#giveUp(waiter), DISK_TIMEOUT_MS)
      const waiter: Waiter = { sinceMs: performance.now(), timer, resolve, reject }
      this.#waiters.add(waiter)
      if (!this.#isRunning) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    let lockedMs = Number.POSITIVE_INFINITY
    for (;;) {
      if (!this.#isFresh()) await this.#ask()
      const [first] = this.#waiters
      if (first === undefined) break
      if (this.#isClosed || !this.#options.isLocked()) {
        lockedMs = Number.POSITIVE_INFINITY
        this.#remove(first)
        first.resolve()
        await nextTurn() // The first one writes before that; then others have their turn.
        continue
      }
      const nowMs = performance.now()
      lockedMs = Math.min(lockedMs, nowMs)
      if (nowMs - Math.max(lockedMs, first.sinceMs) > this.#options.lockTimeoutMs) {
        this.#remove(first)
        first.reject(new Error('another process does not end writing to the store'))
      } else await delay(LOCK_RETRY_MS)
    }
    this.#isRunning = false
  }

  async #ask(): Promise<void> {
    if (this.#isClosed) return
    this.#isAsking = true
    try {
      await writeTo(this.#file, Buffer.alloc(1), 0, 1, 0)
      await sync(this.#file)
    } catch {
      // A disk that refuses has answered. What is wrong with it the write itself will tell.
    }
    this.#isAsking = false
    this.noteWritten()
    if (this.#isClosed) closeSync(this.#file)
  }

  /** One that has waited for others all the time, on a disk that takes writes, goes on to wait. */
  #giveUp(waiter: Waiter): void {
    if (!this.#isAsking) {
      waiter.timer.refresh()
      return
    }
    this.#remove(waiter)
    waiter.reject(new Error(`the disk of the store has taken no write for ${DISK_TIMEOUT_MS / 1000} s`))
  }

  #remove(waiter: Waiter): void {
    clearTimeout(waiter.timer)
    this.#waiters.delete(waiter)
  }

  #isFresh(): boolean {
    return performance.now() - this.#takenMs < FRESH_MS
  }

  /** A write that is under way has its file until it ends: its number must not become another's. */
  close(): void {
    this.#isClosed = true
    if (!this.#isAsking) closeSync(this.#file)
  }
}
