/**
 * One server a store: whoever holds an open write transaction on the SQLite file `<store>.lock` owns the store.
 *
 * The operating system drops that lock with the process, however it dies, so a left-over file locks nobody out. The
 * holder's pid stands inside, committed before the transaction that stays open, so a second server can read it. The
 * file is never removed: a server that had opened the removed one would not meet the next.
 */
import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import { StoreLockedError, StoreOpenError } from './open-errors.ts'
import { asOpenError, isBusy, isDamage } from './sqlite-errors.ts'
import { createPrivateFile } from './store-file.ts'

/** Long enough for another process to read or write the pid, short for the one who is refused. */
const BUSY_MS = 100
const ATTEMPTS_MAX = 20

const HOLDER = `CREATE TABLE IF NOT EXISTS holder
  (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL) STRICT`

export class StoreLock {
  readonly #db: Database.Database

  private constructor(db: Database.Database) {
    this.#db = db
  }

  /**
   * @param path - the store's file, without symbolic links.
   * @throws {@link StoreLockedError} if another process, or this one, holds it.
   * @throws {@link StoreOpenError} if the lock file can't be used.
   */
  static acquire(path: string): StoreLock {
    const lockPath = `${path}.lock`
    createPrivateFile(lockPath)
    let db: Database.Database | undefined
    try {
      db = new Database(lockPath, { fileMustExist: true, timeout: BUSY_MS })
      hold(db, path)
      return new StoreLock(db)
    } catch (error) {
      if (db?.open) db.close()
      if (isDamage(error)) {
        const text = `the lock file '${lockPath}' is damaged: if no server uses the store, remove the file`
        throw new StoreOpenError(lockPath, text, { cause: error })
      }
      throw asOpenError(lockPath, error)
    }
  }

  release(): void {
    this.#db.close()
  }
}

function hold(db: Database.Database, path: string): void {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    begin(db, path)
    db.exec(HOLDER)
    db.prepare('INSERT OR REPLACE INTO holder VALUES (1, ?, ?)').run(process.pid, hostname())
    const version = db.pragma('data_version', { simple: true })
    db.exec('COMMIT')

    begin(db, path)
    // Unmoved: nobody wrote between the two transactions, so the pid that others read is ours.
    if (db.pragma('data_version', { simple: true }) === version) return
    db.exec('ROLLBACK')
  }
  throw new StoreOpenError(path, `the lock of the store '${path}' is contended: start one server at a time`)
}

function begin(db: Database.Database, path: string): void {
  try {
    db.exec('BEGIN IMMEDIATE')
  } catch (error) {
    throw isBusy(error) ? new StoreLockedError(path, readHolder(db)) : error
  }
}

function readHolder(db: Database.Database): { pid: number; host: string } | undefined {
  try {
    const row: unknown = db.prepare('SELECT pid, host FROM holder').get()
    if (typeof row !== 'object' || row === null || !('pid' in row) || !('host' in row)) return undefined
    return { pid: Number(row.pid), host: String(row.host) }
  } catch {
    return undefined // The holder has not written its pid yet.
  }
}
