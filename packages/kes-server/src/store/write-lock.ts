/**
 * SQLite's lock of those who write, to be asked for without waiting. By a connection of its own, because how long one
 * waits is set by a statement that must be prepared anew each time, and those pile up: a hundred megabytes for some
 * thousand changes.
 */
import Database from 'better-sqlite3'
import { isBusy } from './sqlite-errors.ts'

export class WriteLock {
  readonly #db: Database.Database
  readonly #begin: Database.Statement<[]>
  readonly #end: Database.Statement<[]>

  /** @param path - a store that is open. @throws what `better-sqlite3` does. */
  constructor(path: string) {
    this.#db = new Database(path, { fileMustExist: true, timeout: 0 })
    this.#begin = this.#db.prepare('BEGIN IMMEDIATE')
    this.#end = this.#db.prepare('ROLLBACK')
  }

  /** @returns false also where it can't be told: the write itself will tell. */
  isTaken(): boolean {
    try {
      this.#begin.run()
      this.#end.run()
      return false
    } catch (error) {
      return isBusy(error)
    }
  }

  /** Before the connection that writes closes: whichever is the last moves the log into the file. */
  close(): void {
    this.#db.close()
  }
}
