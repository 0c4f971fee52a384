/**
 * Commits changes of the index, several at a time, and brings them to the disk without holding up the process.
 *
 * SQLite would sync the log within the commit, and everybody would wait. Here it only writes, and the log is synced
 * by the thread pool; the changes that come meanwhile are the next commit. A change is reported once it is on the
 * disk. Who reads the index in between sees it a moment before that: a power cut then takes back what nobody was
 * told.
 */
import type Database from 'better-sqlite3'
import { DiskFile } from './disk-file.ts'
import { IndexDamagedError } from './errors.ts'
import { asIndexError } from './index-file.ts'

interface Change {
  apply(): void
  settle(error?: { readonly cause: unknown }): void
}

export class IndexCommits {
  readonly #db: Database.Database
  readonly #log: DiskFile
  readonly #savepoint: (apply: () => void) => void
  #waiting: Change[] = []
  #running: Promise<void> | undefined
  /** No change is made any more. */
  #failure: IndexDamagedError | undefined

  private constructor(db: Database.Database, log: DiskFile) {
    this.#db = db
    this.#log = log
    // Inside of a transaction, better-sqlite3 makes this a savepoint: a change that throws is undone alone.
    this.#savepoint = db.transaction((apply: () => void) => apply())
  }

  /** @param path - of the index; it must have been written to, so that its log is there. */
  static open(db: Database.Database, path: string): IndexCommits {
    return new IndexCommits(db, DiskFile.open(`${path}-wal`, 'r+'))
  }

  /**
   * @param apply - makes the change, or throws and makes none. It must not be asynchronous.
   * @returns what `apply` returns, once the change is on the disk.
   * @throws what `apply` throws; {@link DiskFullError}, {@link IndexDamagedError}.
   */
  commit<Result>(apply: () => Result): Promise<Result> {
    return new Promise((resolve, reject) => {
      let result: { value: Result } | undefined
      this.#waiting.push({
        apply: () => {
          result = { value: apply() }
        },
        settle: (error) => {
          if (error === undefined && result) resolve(result.value)
          else reject(error?.cause)
        },
      })
      this.#running ??= this.#run()
    })
  }

  /** Waits for all that was asked for. Nothing may be asked afterwards. */
  async close(): Promise<void> {
    await this.#running
    this.#log.close()
  }

  async #run(): Promise<void> {
    // Not at once, so that what the caller goes on to ask for comes together.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const changes = this.#waiting
      this.#waiting = []
      const made = this.#commit(changes)
      if (made.length === 0) continue
      try {
        await this.#log.datasync()
        for (const change of made) change.settle()
      } catch (cause) {
        // What is in the log may or may not be on the disk, and asking again would not tell.
        this.#failure = new IndexDamagedError('its log could not be brought to the disk', { cause })
        for (const change of made) change.settle({ cause: this.#failure })
      }
    }
    this.#running = undefined
  }

  /** @returns the changes that were made; the others have been told. */
  #commit(changes: readonly Change[]): Change[] {
    if (this.#failure) {
      for (const change of changes) change.settle({ cause: this.#failure })
      return []
    }
    const made: Change[] = []
    const refused: [Change, unknown][] = []
    try {
      this.#db.transaction(() => {
        for (const change of changes) {
          try {
            this.#savepoint(() => change.apply())
            made.push(change)
          } catch (cause) {
            // A full disk may have undone the whole transaction, and the next change would begin another.
            if (!this.#db.inTransaction) throw cause
            refused.push([change, cause])
          }
        }
      })()
    } catch (error) {
      for (const change of changes) change.settle({ cause: asIndexError(error) })
      return []
    }
    for (const [change, cause] of refused) change.settle({ cause: asIndexError(cause) })
    return made
  }
}
