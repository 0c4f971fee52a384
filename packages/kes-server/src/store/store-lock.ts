/**
 * One server a store: whoever holds an open write transaction on the SQLite file `<store>.lock` owns the store.
 *
 * The operating system drops that lock with the process, however it dies, so a left-over file locks nobody out. The
 * holder's pid stands inside, committed before the transaction that stays open, so a second server can read it. The
 * file is never removed: a server that had opened the removed one would not meet the next.
 *
 * Worker processes hold an open read transaction on the same file. It goes together with the holder's, but no pid can
 * be committed beside it: so a server that follows begins only when the last worker of the one before has ended.
 */
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import Database from 'better-sqlite3'
import { StoreLockedError, StoreOpenError } from './open-errors.ts'
import { asOpenError, isBusy, isDamage } from './sqlite-errors.ts'
import { createPrivateFile } from './store-file.ts'

/** Long enough for another process to read or write the pid, short for the one who is refused. */
const BUSY_MS = 100
const ATTEMPTS_MAX = 20
const ORPHANS_MS = 5000

const HOLDER = `CREATE TABLE IF NOT EXISTS holder
  (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, host TEXT NOT NULL) STRICT`

/** The process that has a store. */
export interface StoreHolder {
  readonly pid: number
  readonly host: string
}

export class StoreLock {
  readonly #db: Database.Database

  private constructor(db: Database.Database) {
    this.#db = db
  }

  /**
   * @param path - the store's file, without symbolic links.
   * @param orphansMs - how long the workers of a server that was killed may take to end.
   * @throws {@link StoreLockedError} if another process, or this one, holds it.
   * @throws {@link StoreOpenError} if the lock file can't be used.
   */
  static acquire(path: string, orphansMs = ORPHANS_MS): StoreLock {
    const lockPath = `${path}.lock`
    createPrivateFile(lockPath)
    let db: Database.Database | undefined
    try {
      db = new Database(lockPath, { fileMustExist: true, timeout: BUSY_MS })
      hold(db, path, orphansMs)
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

  /**
   * Holds the store beside the server that has it, so that no other server gets it while this process lives.
   *
   * @param holderPid - that server, whose worker this process is.
   * @throws {@link StoreOpenError} if it has the store no more.
   */
  static join(path: string, holderPid: number): StoreLock {
    let db: Database.Database | undefined
    try {
      db = new Database(`${path}.lock`, { readonly: true, fileMustExist: true, timeout: BUSY_MS })
      db.exec('BEGIN')
      const holder = readHolder(db)
      if (holder?.pid === holderPid && holder.host === hostname()) return new StoreLock(db)
      throw new StoreOpenError(path, `the store '${path}' is not held by process ${holderPid} any more`)
    } catch (error) {
      db?.close()
      throw asOpenError(`${path}.lock`, error)
    }
  }

  /**
   * Who holds the store; undefined if nobody does. It asks by taking the lock where it is free, for a moment that is
   * shorter than a server waits.
   *
   * @throws {@link StoreOpenError} if the lock file can't be used.
   */
  static holderOf(path: string): StoreHolder | undefined {
    const lockPath = `${path}.lock`
    if (!existsSync(lockPath)) return undefined
    let db: Database.Database | undefined
    try {
      db = new Database(lockPath, { fileMustExist: true, timeout: BUSY_MS })
      db.exec('BEGIN IMMEDIATE; ROLLBACK')
      return undefined
    } catch (error) {
      const holder = db !== undefined && isBusy(error) ? readHolder(db) : undefined
      if (holder !== undefined) return holder
      throw asOpenError(lockPath, error)
    } finally {
      db?.close()
    }
  }

  release(): void {
    this.#db.close()
  }
}

function hold(db: Database.Database, path: string, orphansMs: number): void {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    begin(db, path)
    db.exec(HOLDER)
    db.prepare('INSERT OR REPLACE INTO holder VALUES (1, ?, ?)').run(process.pid, hostname())
    const version = db.pragma('data_version', { simple: true })
    commitAlone(db, path, orphansMs)

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

/** Succeeds only where no worker of an earlier server lives. */
function commitAlone(db: Database.Database, path: string, orphansMs: number): void {
  db.pragma(`busy_timeout = ${orphansMs}`)
  try {
    db.exec('COMMIT')
  } catch (error) {
    if (!isBusy(error)) throw error
    throw new StoreOpenError(
      path,
      `the store '${path}' is still in use by worker processes of a server that has ended: end them first`,
      { cause: error },
    )
  } finally {
    db.pragma(`busy_timeout = ${BUSY_MS}`)
  }
}

function readHolder(db: Database.Database): StoreHolder | undefined {
  try {
    const row: unknown = db.prepare('SELECT pid, host FROM holder').get()
    if (typeof row !== 'object' || row === null || !('pid' in row) || !('host' in row)) return undefined
    return { pid: Number(row.pid), host: String(row.host) }
  } catch {
    return undefined // The holder has not written its pid yet.
  }
}
