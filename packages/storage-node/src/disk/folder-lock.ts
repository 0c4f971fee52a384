/** One process a data folder. The operating system drops the lock with the process, however it dies. */
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { DataFolderLockedError } from './errors.ts'
import { codeOf } from './file-folder.ts'

export class FolderLock implements Disposable {
  readonly #db: Database.Database

  private constructor(db: Database.Database) {
    this.#db = db
  }

  /** @throws {@link DataFolderLockedError} if a process holds it, be it this one. */
  static acquire(folder: string): FolderLock {
    const db = new Database(join(folder, 'lock.db'), { timeout: 0 })
    try {
      // An open transaction, in which nothing is ever written.
      db.exec('BEGIN EXCLUSIVE')
      return new FolderLock(db)
    } catch (error) {
      db.close()
      throw `${codeOf(error)}`.startsWith('SQLITE_BUSY') ? new DataFolderLockedError(folder) : error
    }
  }

  [Symbol.dispose](): void {
    this.#db.close()
  }
}
