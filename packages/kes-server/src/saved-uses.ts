/** Keeps when keys were last used in a file beside the store. That this fails is no reason to refuse anything. */
import type { KeyRing } from './keyring/key-ring.ts'
import { LastUses } from './keyring/last-uses.ts'
import type { ErrorLog } from './log/error-log.ts'
import { reasonOf } from './reason.ts'
import { IN_MEMORY } from './store/connection.ts'

const SAVE_INTERVAL_MS = 60_000

export class SavedUses {
  /** For the ring, which notes uses here. */
  readonly lastUses = new LastUses()
  /** Undefined for a store in memory. */
  readonly #storePath: string | undefined
  readonly #storeId: Uint8Array
  readonly #errorLog: ErrorLog
  #timer: NodeJS.Timeout | undefined
  #isStopped = false
  #problem: string | undefined

  /** Reads what an earlier server has kept. */
  constructor(storePath: string, storeId: Uint8Array, errorLog: ErrorLog) {
    this.#storePath = storePath === IN_MEMORY ? undefined : storePath
    this.#storeId = storeId
    this.#errorLog = errorLog
    if (this.#storePath === undefined) return
    const warnings = this.lastUses.load(this.#storePath, storeId)
    for (const warning of warnings) errorLog.warn(warning)
  }

  /**
   * @param gather - lets the ring know of the uses in other processes.
   * @param whenWritable - see {@link KeyStore.whenWritable}.
   */
  start(ring: KeyRing, gather: () => Promise<void>, whenWritable: () => Promise<void> | undefined): void {
    const save = async () => {
      await gather()
      ring.noteUses()
      if (!this.lastUses.hasNews) return
      try {
        await whenWritable()
      } catch (error) {
        this.#complain(error)
        return
      }
      if (!this.#isStopped) this.#save()
    }
    this.#timer = setInterval(save, SAVE_INTERVAL_MS).unref()
  }

  /** Before the store is closed. */
  stop(ring: KeyRing): void {
    this.#isStopped = true
    clearInterval(this.#timer)
    ring.noteUses()
    this.#save()
  }

  #save(): void {
    if (this.#storePath === undefined) return
    try {
      this.lastUses.save(this.#storePath, this.#storeId)
      this.#problem = undefined
    } catch (error) {
      this.#complain(error)
    }
  }

  /** A disk that goes on to fail is complained of once. */
  #complain(error: unknown): void {
    const problem = reasonOf(error)
    if (problem !== this.#problem)
      this.#errorLog.warn(`when keys were last used can not be saved: ${problem}`)
    this.#problem = problem
  }
}
