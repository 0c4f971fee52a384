/**
 * Makes a store file of the rows of a backup: the schema that they were written under, the rows, then whatever
 * migrations have come since. What is made is opened as any other store, with all that this checks.
 */
import Database from 'better-sqlite3'
import { migrateTo, SCHEMA_VERSION } from './migrate.ts'
import { asWriteError, isOfRow } from './sqlite-errors.ts'
import { createPrivateFile } from './store-file.ts'
import { removeStoreFiles } from './store-place.ts'
import { columnsOf, type StoredRow, type TableContent } from './store-snapshot.ts'

const BATCH_ROWS = 1000

/** The rows are not those of a store. */
export class LoadError extends Error {
  override readonly name = 'LoadError'
}

export class StoreLoader {
  readonly #path: string
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
    this.#path = path
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
      throw asWriteError(path, error)
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

  /** @throws {@link LoadError}, StoreOpenError if the file can't be written */
  insert({ table, values }: StoredRow): void {
    const { columns, name } = this.#tables[table] ?? {}
    const insert = this.#inserts[table]
    if (insert === undefined || columns?.length !== values.length)
      throw new LoadError('a row is of no known table')
    try {
      insert.run(...values)
    } catch (error) {
      if (!isOfRow(error)) throw asWriteError(this.#path, error)
      throw new LoadError(`a row of its table '${name}' is none of a store`, { cause: error })
    }
    this.#counts[table] = (this.#counts[table] ?? 0) + 1
    this.#rows += 1
    if (this.#rows % BATCH_ROWS === 0) this.#execute('COMMIT; BEGIN')
  }

  /** @throws {@link LoadError} if rows are missing, StoreOpenError if the file can't be written. */
  finish(): void {
    for (const [index, { name, rows }] of this.#tables.entries()) {
      if (this.#counts[index] !== rows)
        throw new LoadError(`its table '${name}' has ${this.#counts[index]} rows instead of ${rows}`)
    }
    this.#execute('COMMIT')
    this.#db.close()
  }

  #execute(sql: string): void {
    try {
      this.#db.exec(sql)
    } catch (error) {
      throw asWriteError(this.#path, error)
    }
  }

  /** After an error: closes the file, which is then of no use. */
  abandon(): void {
    if (this.#db.open) this.#db.close()
  }
}
