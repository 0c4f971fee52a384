/**
 * Makes a store file of the rows of a backup: the schema that they were written under, the rows, then whatever
 * migrations have come since. What is made is opened as any other store, with all that this checks.
 */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { migrateTo, SCHEMA_VERSION } from './migrate.ts'
import { StoreOpenError } from './open-errors.ts'
import { asOpenError } from './sqlite-errors.ts'
import { createPrivateFile, resolveStorePath, syncDirectory } from './store-file.ts'
import { StoreLock } from './store-lock.ts'
import { columnsOf, type StoredRow, type TableContent } from './store-snapshot.ts'

/** What SQLite and this server put beside a store's file. */
const BESIDE = ['-wal', '-shm', '-journal', '.lock']
const BATCH_ROWS = 1000

/** The rows are not those of a store. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
}

export class StoreLoader {
  readonly #db: Database.Database
  readonly #inserts: readonly Database.Statement<unknown[]>[]
  readonly #tables: readonly TableContent[]
  readonly #counts: number[]
  #rows = 0

  /**
   * @param path - where no file is, or one that an earlier attempt has left, which is removed.
   * @throws {@link LoadError} if the tables are not those of a schema that this server knows.
   */
  constructor(path: string, schemaVersion: number, tables: readonly TableContent[]) {
    if (schemaVersion > SCHEMA_VERSION) {
      throw new LoadError(
        `a newer server has made it (schema ${schemaVersion}, this server knows ${SCHEMA_VERSION}): use that version`,
      )
    }
    removeStoreFiles(path)
    createPrivateFile(path)
    this.#db = new Database(path, { fileMustExist: true })
    this.#tables = tables
    this.#counts = tables.map(() => 0)
    try {
      this.#db.pragma('page_size = 4096')
      this.#db.pragma('synchronous = OFF') // Synced as a whole at the end; an unfinished file is of no use.
      migrateTo(this.#db, path, schemaVersion)
      this.#inserts = tables.map(({ name, columns }) => this.#prepareInsert(name, columns))
      this.#db.exec('BEGIN')
    } catch (error) {
      this.#db.close()
      throw asOpenError(path, error)
    }
  }

  #prepareInsert(name: string, columns: readonly string[]): Database.Statement<unknown[]> {
    const known = /^[a-z_]+$/.test(name) ? columnsOf(this.#db, name) : []
    if (known.length === 0 || known.join() !== columns.join()) {
      throw new LoadError(`its table '${name}' is none of a store of its schema`)
    }
    const places = columns.map(() => '?').join(', ')
    return this.#db.prepare(`INSERT INTO ${name} (${columns.join(', ')}) VALUES (${places})`)
  }

  /** @throws {@link LoadError} */
  insert({ table, values }: StoredRow): void {
    const { columns, name } = this.#tables[table] ?? {}
    const insert = this.#inserts[table]
    if (insert === undefined || columns?.length !== values.length)
      throw new LoadError('a row is of no known table')
    try {
      insert.run(...values)
    } catch (error) {
      throw new LoadError(`a row of its table '${name}' is none of a store`, { cause: error })
    }
    this.#counts[table] = (this.#counts[table] ?? 0) + 1
    this.#rows += 1
    if (this.#rows % BATCH_ROWS === 0) this.#db.exec('COMMIT; BEGIN')
  }

  /** @throws {@link LoadError} if rows are missing. */
  finish(): void {
    for (const [index, { name, rows }] of this.#tables.entries()) {
      if (this.#counts[index] !== rows)
        throw new LoadError(`its table '${name}' has ${this.#counts[index]} rows instead of ${rows}`)
    }
    this.#db.exec('COMMIT')
    this.#db.close()
  }

  /** After an error: closes the file, which is then of no use. */
  abandon(): void {
    if (this.#db.open) this.#db.close()
  }
}

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
    sync(this.draft)
    const kept = this.isTaken ? `${this.path}.${suffix}` : undefined
    if (kept !== undefined) this.#setAside(kept)
    renameSync(this.draft, this.path)
    syncDirectory(dirname(this.path))
    return kept
  }

  /** A write-ahead log of the old store must not be taken for one of the new: SQLite would apply it. */
  #setAside(kept: string): void {
    emptyLog(this.path)
    for (const beside of ['-wal', '-shm', '-journal']) {
      if (existsSync(this.path + beside)) renameSync(this.path + beside, kept + beside)
    }
    linkSync(this.path, kept)
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
