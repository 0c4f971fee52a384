/** The tables `store` and `slots`: written once when a store is set up, read at every start. */
import assert from 'node:assert/strict'
import type Database from 'better-sqlite3'
import { ColumnError, Columns } from './columns.ts'
import { StoreOpenError } from './open-errors.ts'
import type { NewSlot, SlotRow, StoredSeal, StoreFacts } from './seal-store.ts'

const STORE_ID_BYTES = 16
const CHECK_BYTES = 32
const FACTS_ROW = 1

/** @throws {@link StoreOpenError} if something is there without the facts, or the facts can't be read. */
export function readSeal(db: Database.Database, path: string): StoredSeal | undefined {
  const row = db.prepare('SELECT store_id, created_at, root_check FROM store WHERE id = ?').get(FACTS_ROW)
  const slots = db.prepare('SELECT id, label, created_at, record FROM slots ORDER BY id').all()
  if (row === undefined) {
    if (slots.length > 0 || holdsKeys(db)) {
      throw new StoreOpenError(
        path,
        `the store '${path}' is damaged: it has lost its seal; restore it from a backup`,
      )
    }
    return undefined
  }
  try {
    return { facts: factsFromColumns(row), slots: slots.map(slotFromColumns) }
  } catch (error) {
    if (!(error instanceof ColumnError)) throw error
    const text = `the store '${path}' is damaged: its seal can not be read (${error.message})`
    throw new StoreOpenError(path, text, { cause: error })
  }
}

/** Must run inside a transaction. @throws {@link StoreOpenError} if there is a seal, or what is left of one. */
export function insertSeal(
  db: Database.Database,
  path: string,
  facts: StoreFacts,
  slots: readonly NewSlot[],
): void {
  assert.equal(facts.storeId.length, STORE_ID_BYTES)
  assert.equal(facts.check.length, CHECK_BYTES)
  if (readSeal(db, path) !== undefined) {
    throw new StoreOpenError(
      path,
      `the store '${path}' is set up already: a second root key would lose its keys`,
    )
  }
  const insertFacts = db.prepare('INSERT INTO store VALUES (?, ?, ?, ?)')
  insertFacts.run(FACTS_ROW, facts.storeId, facts.createdAt, facts.check)
  const insert = db.prepare('INSERT INTO slots (label, created_at, record) VALUES (?, ?, ?)')
  for (const slot of slots) insert.run(slot.label, slot.createdAt, slot.record)
}

function holdsKeys(db: Database.Database): boolean {
  const query = 'SELECT EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM erased_names)'
  return db.prepare(query).pluck().get() !== 0
}

function factsFromColumns(row: unknown): StoreFacts {
  const columns = new Columns(row)
  return {
    storeId: columns.bytes('store_id', STORE_ID_BYTES),
    createdAt: columns.text('created_at'),
    check: columns.bytes('root_check', CHECK_BYTES),
  }
}

/** Lenient about the record, which authenticates itself: one damaged slot must not hide the others. */
function slotFromColumns(row: unknown): SlotRow {
  const columns = new Columns(row)
  return {
    slotId: columns.integer('id', 1),
    label: columns.text('label'),
    createdAt: columns.text('created_at'),
    record: columns.bytesAsFound('record'),
  }
}
