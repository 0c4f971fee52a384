/** Puts a store that was made under another name in its place, so that at every moment one whole store is there. */
import assert from 'node:assert/strict'
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { StoreOpenError } from './open-errors.ts'
import { resolveStorePath, syncDirectory } from './store-file.ts'
import { StoreLock } from './store-lock.ts'

/** What SQLite and this server put beside a store's file. */
const BESIDE = ['-wal', '-shm', '-journal', '.lock']

/** Where a store is made that is to take this place. */
export function draftOf(path: string): string {
  return `${path}.restoring`
}

/** With all that stands beside it. */
export function removeStoreFiles(path: string): void {
  for (const suffix of ['', ...BESIDE]) rmSync(path + suffix, { force: true })
}

/** The place of a store that a restored one takes, held against servers. */
export class StorePlace {
  /** Without symbolic links. */
  readonly path: string
  /** Where the restored store is made: on the same disk, and under one name, so that leftovers are found. */
  readonly draft: string
  readonly #lock: StoreLock

  /** @throws {@link StoreLockedError}, {@link StoreOpenError} */
  constructor(path: string) {
    this.path = resolveStorePath(path)
    this.draft = draftOf(this.path)
    this.#lock = StoreLock.acquire(this.path)
  }

  /** A file without a byte is a store whose making was cut off. */
  get isTaken(): boolean {
    return (statSync(this.path, { throwIfNoEntry: false })?.size ?? 0) > 0
  }

  /**
   * Puts the draft, which must be closed, in the place: one rename, so that at every moment one whole store is there.
   *
   * @returns where the store that was there is kept; undefined if there was none.
   */
  take(suffix: string): string | undefined {
    assert(!existsSync(`${this.draft}-wal`), 'the draft is closed, and its log is empty')
    sync(this.draft)
    const kept = `${this.path}.${suffix}`
    const { isTaken } = this
    if (isTaken) emptyLog(this.path)
    // A log that is left of another store must not be taken for one of this: SQLite would apply it.
    for (const beside of ['-wal', '-shm', '-journal']) {
      if (existsSync(this.path + beside)) renameSync(this.path + beside, kept + beside)
    }
    if (isTaken) linkSync(this.path, kept)
    renameSync(this.draft, this.path)
    syncDirectory(dirname(this.path))
    return isTaken ? kept : undefined
  }

  release(): void {
    for (const suffix of BESIDE) rmSync(this.draft + suffix, { force: true })
    this.#lock.release()
  }
}

/** Closing the only connection moves the log into the database; a store that is damaged keeps both. */
function emptyLog(path: string): void {
  let db: Database.Database | undefined
  try {
    db = new Database(path, { fileMustExist: true })
    db.pragma('wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (!(error instanceof Database.SqliteError)) throw error
  } finally {
    db?.close()
  }
}

function sync(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } catch (cause) {
    throw new StoreOpenError(path, `the store '${path}' can not be written to its disk`, { cause })
  } finally {
    closeSync(file)
  }
}
