/**
 * All rows of a store as they are at one moment, for a backup.
 *
 * A connection of its own holds a read transaction, so changes go on meanwhile. It keeps the write-ahead log from being
 * emptied, and with it erasures from being finished (docs/erasure.md): whoever opens a snapshot reads it without
 * waiting for anybody, and closes it.
 */
import Database from 'better-sqlite3'
import { asStoreError } from './sqlite-errors.ts'

/** What SQLite keeps in a column; bytes for a BLOB. */
export type CellValue = string | number | Uint8Array | null

export interface TableContent {
  readonly name: string
  readonly columns: readonly string[]
  readonly rows: number
}

export interface StoredRow {
  /** The number of the table among {@link StoreSnapshot.tables}. */
  readonly table: number
  /** One for each of the table's columns. */
  readonly values: readonly CellValue[]
}

/** What is about the files of the one store, and means nothing in another one. */
const LEFT_OUT = ['erasures']

export class StoreSnapshot {
  readonly schemaVersion: number
  readonly tables: readonly TableContent[]
  readonly #db: Database.Database

  /** @param path - of a store that is open in this process. @throws StoreError (502) */
  constructor(path: string) {
    this.#db = new Database(path, { readonly: true, fileMustExist: true })
    try {
      this.#db.exec('BEGIN')
      this.schemaVersion = Number(this.#db.pragma('user_version', { simple: true }))
      this.tables = tableNames(this.#db).map((name) => ({
        name,
        columns: columnsOf(this.#db, name),
        rows: Number(this.#db.prepare(`SELECT count(*) FROM ${name}`).pluck().get()),
      }))
    } catch (error) {
      this.#db.close()
      throw asStoreError('make backup', error)
    }
  }

  /** Table by table, in the order of their rowids. */
  *rows(): Generator<StoredRow> {
    for (const [table, { name, columns }] of this.tables.entries()) {
      const query = this.#db.prepare<[], CellValue[]>(
        `SELECT ${columns.join(', ')} FROM ${name} ORDER BY rowid`,
      )
      for (const values of query.raw().iterate()) yield { table, values }
    }
  }

  close(): void {
    this.#db.close()
  }
}

function tableNames(db: Database.Database): string[] {
  const query = `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid`
  return db
    .prepare(query)
    .pluck()
    .all()
    .map(String)
    .filter((name) => !LEFT_OUT.includes(name))
}

/** The store compares its schema with the one that its migrations make, so names are plain words. */
export function columnsOf(db: Database.Database, table: string): string[] {
  return db.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(table).map(String)
}
