import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseKeyName } from '../names.ts'
import { migrateTo, SCHEMA_VERSION } from './migrate.ts'
import { SqliteStore } from './sqlite-store.ts'
import { LoadError, StoreLoader } from './store-loader.ts'
import { StoreSnapshot } from './store-snapshot.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'store-loader-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const file = (name: string) => join(folder, name)

/** A store as a server of that schema has left it, with one key. */
function makeOld(version: number): StoreSnapshot {
  const db = new Database(file('old.db'))
  migrateTo(db, file('old.db'), version)
  db.prepare(
    `INSERT INTO keys (name, key_id, algorithm, created_at, created_by, state, revision, changed_at, changed_by,
      journal_entry, mac, sealed) VALUES ('a', zeroblob(16), 'AES256', 'then', 'me', 0, 1, 'then', 'me', 0, x'01', x'02')`,
  ).run()
  db.close()
  return new StoreSnapshot(file('old.db'))
}

function load(snapshot: StoreSnapshot, tables = snapshot.tables): void {
  const loader = new StoreLoader(file('new.db'), snapshot.schemaVersion, tables)
  try {
    for (const row of snapshot.rows()) loader.insert(row)
    loader.finish()
  } finally {
    loader.abandon()
    snapshot.close()
  }
}

const versions = Array.from({ length: SCHEMA_VERSION }, (_, index) => index + 1)

test.each(versions)('rows of schema %i become a store of the present one', (version) => {
  load(makeOld(version))
  const store = SqliteStore.open(file('new.db'))
  expect(store.read(parseKeyName('a'))).toMatchObject({
    createdBy: 'me',
    state: 'enabled',
    rootGeneration: 1,
  })
  store.close()
})

test('fewer rows than were promised, a row of no table, and tables of another schema are refused', () => {
  const [keys] = makeOld(SCHEMA_VERSION).tables.filter(({ name }) => name === 'keys')
  const snapshot = () => new StoreSnapshot(file('old.db'))
  const more = snapshot().tables.map((table) => (table.name === 'keys' ? { ...table, rows: 2 } : table))
  expect(() => load(snapshot(), more)).toThrow("its table 'keys' has 1 rows instead of 2")
  const loader = new StoreLoader(file('new.db'), SCHEMA_VERSION, keys === undefined ? [] : [keys])
  expect(() => loader.insert({ table: 1, values: [] })).toThrow(LoadError)
  expect(() => loader.insert({ table: 0, values: [1] })).toThrow(LoadError)
  loader.abandon()
  expect(() => new StoreLoader(file('new.db'), 1, snapshot().tables)).toThrow(LoadError)
  expect(() => new StoreLoader(file('new.db'), SCHEMA_VERSION + 1, [])).toThrow(/a newer server has made it/)
})
