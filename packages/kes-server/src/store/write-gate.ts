/**
 * Tells when a write of the store would not be waited for: its disk takes writes, and no other program is writing. SQLite
 * waits for both inside of a call, where the whole process stands still; here they are waited for beside the event loop.
 *
 * The disk is asked by a byte that is written to a file beside the store, and synced. The file has no name: it ends with
 * the process, however that dies.
 */
import { closeSync, fdatasync, openSync, rmSync, unlinkSync, write } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { StoreUnavailableError, StoreUnreachableError } from '../errors.ts'

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
  /** How long the disk is waited for. Default: 8 s. */
  readonly diskTimeoutMs?: number | undefined
}

export class WriteGate {
  readonly #options: WriteGateOptions
  readonly #file: number
  #takenMs = Number.NEGATIVE_INFINITY
  #asking: Promise<void> | undefined

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
   * @throws as its rejection, StoreUnreachableError (504) if the disk has taken no write in time, StoreUnavailableError
   *   (502) if another program has not ended its own.
   */
  pass(): Promise<void> | undefined {
    if (this.#isFresh() && !this.#options.isLocked()) return undefined
    return this.#wait()
  }

  async #wait(): Promise<void> {
    if (!this.#isFresh()) await this.#takenInTime()
    const latestMs = performance.now() + this.#options.lockTimeoutMs
    while (this.#options.isLocked()) {
      if (performance.now() > latestMs)
        throw new StoreUnavailableError({ detail: 'another process does not end writing to the store' })
      await delay(LOCK_RETRY_MS)
    }
  }

  async #takenInTime(): Promise<void> {
    const { diskTimeoutMs = DISK_TIMEOUT_MS } = this.#options
    const timer = new AbortController()
    const giveUp = async () => {
      await delay(diskTimeoutMs, undefined, { signal: timer.signal })
      throw new StoreUnreachableError({
        detail: `the disk of the store has taken no write for ${diskTimeoutMs / 1000} s`,
      })
    }
    const late = giveUp()
    late.catch(() => undefined) // It ends so when the disk was in time.
    try {
      await Promise.race([this.#ask(), late])
    } finally {
      timer.abort()
    }
  }

  /** However many wait, the disk is asked by one at a time. */
  #ask(): Promise<void> {
    this.#asking ??= this.#writeByte().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  async #writeByte(): Promise<void> {
    try {
      await writeTo(this.#file, Buffer.alloc(1), 0, 1, 0)
      await sync(this.#file)
    } catch {
      // A disk that refuses has answered. What is wrong with it the write itself will tell.
    }
    this.noteWritten()
  }

  #isFresh(): boolean {
    return performance.now() - this.#takenMs < FRESH_MS
  }

  /** A write that is under way has its file until it ends: its number must not become another's. */
  close(): void {
    if (this.#asking === undefined) closeSync(this.#file)
    else void this.#asking.finally(() => closeSync(this.#file))
  }
}
