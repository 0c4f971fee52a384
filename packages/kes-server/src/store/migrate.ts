/** Brings a store to this server's schema, one transaction a step, and refuses what is not ours or is newer. */
import { isDeepStrictEqual } from 'node:util'
import Database from 'better-sqlite3'
import { initial } from './migrations/001-initial.ts'
import { journal } from './migrations/002-journal.ts'
import { erasures } from './migrations/003-erasures.ts'
import { deletions } from './migrations/004-deletions.ts'
import { rootRotation } from './migrations/005-root-rotation.ts'
import { backups } from './migrations/006-backups.ts'
import { StoreOpenError } from './open-errors.ts'

export interface Migration {
  /** `PRAGMA user_version` after it: 1 for the first, one more each. */
  readonly version: number
  readonly sql: string
}

/** `LKEY`, by which `file` and other programs tell a Latchkey store from other SQLite files. */
export const APPLICATION_ID = 0x4c4b4559

const MIGRATIONS: readonly Migration[] = [initial, journal, erasures, deletions, rootRotation, backups]
export const SCHEMA_VERSION = MIGRATIONS.length

/**
 * Reads only.
 *
 * @throws {@link StoreOpenError} if the database belongs to another program or to a newer server.
 */
export function assertKnownSchema(db: Database.Database, path: string): void {
  const applicationId = db.pragma('application_id', { simple: true })
  const version = schemaVersion(db)
  const tables = db.prepare('SELECT count(*) FROM sqlite_schema').pluck().get()
  if (applicationId === 0 && version === 0 && tables === 0) return // Empty: made, or its making was interrupted.

  if (applicationId !== APPLICATION_ID) {
    throw new StoreOpenError(path, `the store '${path}' can not be opened: it is another program's database`)
  }
  if (version > SCHEMA_VERSION) {
    throw new StoreOpenError(
      path,
      `the store '${path}' can not be opened: a newer server has written it (schema ${version}, ` +
        `this server knows ${SCHEMA_VERSION}): run that version, or restore a backup made before the update`,
    )
  }
}

/** Of a store that {@link migrate} would change, an empty file among them. */
export function isOlderSchema(db: Database.Database): boolean {
  return schemaVersion(db) < SCHEMA_VERSION
}

export function migrate(db: Database.Database, path: string): void {
  migrateTo(db, path, SCHEMA_VERSION)
}

/** Stops at an older schema: for rows that were written under it. */
export function migrateTo(db: Database.Database, path: string, version: number): void {
  for (const migration of MIGRATIONS.slice(0, version)) {
    const step = db.transaction(() => {
      assertKnownSchema(db, path)
      if (schemaVersion(db) >= migration.version) return
      db.exec(migration.sql)
      db.pragma(`application_id = ${APPLICATION_ID}`)
      db.pragma(`user_version = ${migration.version}`)
    })
    // Takes the right to write even where there is nothing to do, so a read-only disk shows now, not at a change.
    step.immediate()
  }
}

/**
 * Compares the stored schema with the one that the migrations make. A flipped bit in it can be valid SQL for another
 * table, and a trigger added by hand would run inside this server's transactions.
 *
 * @throws {@link StoreOpenError} if they differ; statistics of `ANALYZE` aside.
 */
export function assertSchema(db: Database.Database, path: string): void {
  const fresh = new Database(':memory:')
  try {
    migrate(fresh, path)
    if (isDeepStrictEqual(schemaOf(db), schemaOf(fresh))) return
  } finally {
    fresh.close()
  }
  throw new StoreOpenError(
    path,
    `the store '${path}' is damaged or was edited: its tables are not as this server makes them; ` +
      'restore it from a backup',
  )
}

function schemaOf(db: Database.Database): unknown[] {
  const query = `SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY name`
  return db.prepare(query).all()
}

function schemaVersion(db: Database.Database): number {
  return Number(db.pragma('user_version', { simple: true }))
}
