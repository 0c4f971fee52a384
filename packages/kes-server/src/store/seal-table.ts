/** The tables `store`, `slots` and `old_root`: read at every start, written when a store or a slot is made or changed. */
import assert from 'node:assert/strict'
import type Database from 'better-sqlite3'
import { ColumnError, Columns } from './columns.ts'
import { StoreOpenError } from './open-errors.ts'
import type { NewRoot, NewSlot, OldRoot, SlotRow, StoredSeal, StoreFacts } from './seal-store.ts'

const STORE_ID_BYTES = 16
const CHECK_BYTES = 32
const FACTS_ROW = 1

/** @throws {@link StoreOpenError} if something is there without the facts, or the facts can't be read. */
export function readSeal(db: Database.Database, path: string): StoredSeal | undefined {
  const row = db.prepare('SELECT * FROM store WHERE id = ?').get(FACTS_ROW)
  const slots = db.prepare('SELECT id, label, created_at, record FROM slots ORDER BY id').all()
  const [oldRoot] = db.prepare('SELECT generation, sealed FROM old_root ORDER BY generation DESC').all()
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
    return {
      facts: factsFromColumns(row),
      slots: slots.map(slotFromColumns),
      oldRoot: oldRoot === undefined ? undefined : oldRootFromColumns(oldRoot),
    }
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
  facts: Omit<StoreFacts, 'rootGeneration'>,
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
  const insertFacts = db.prepare(
    'INSERT INTO store (id, store_id, created_at, root_check) VALUES (?, ?, ?, ?)',
  )
  insertFacts.run(FACTS_ROW, facts.storeId, facts.createdAt, facts.check)
  for (const slot of slots) insertSlot(db, slot)
}

/** Must run inside a transaction, as all below. @returns the id. */
export function insertSlot(db: Database.Database, { label, createdAt, record }: NewSlot): number {
  const insert = db.prepare('INSERT INTO slots (label, created_at, record) VALUES (?, ?, ?)')
  return Number(insert.run(label, createdAt, record).lastInsertRowid)
}

export function replaceSlot(db: Database.Database, { slotId, label, createdAt, record }: SlotRow): void {
  const replace = db.prepare('UPDATE slots SET label = ?, created_at = ?, record = ? WHERE id = ?')
  assert.equal(replace.run(label, createdAt, record, slotId).changes, 1)
}

export function removeSlot(db: Database.Database, slotId: number): void {
  assert.equal(db.prepare('DELETE FROM slots WHERE id = ?').run(slotId).changes, 1)
}

export function replaceRoot(db: Database.Database, { check, oldRoot, journalKey }: NewRoot): void {
  assert.equal(check.length, CHECK_BYTES)
  const replace = db.prepare('UPDATE store SET root_check = ?, root_generation = ? WHERE root_generation = ?')
  assert.equal(replace.run(check, oldRoot.generation + 1, oldRoot.generation).changes, 1)
  db.prepare('INSERT INTO old_root (generation, sealed) VALUES (?, ?)').run(
    oldRoot.generation,
    oldRoot.sealed,
  )
  assert.equal(db.prepare('UPDATE journal_key SET sealed = ?').run(journalKey).changes, 1)
}

export function dropOldRoot(db: Database.Database): void {
  db.prepare('DELETE FROM old_root').run()
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
    rootGeneration: columns.integer('root_generation', 1),
  }
}

function oldRootFromColumns(row: unknown): OldRoot {
  const columns = new Columns(row)
  return { generation: columns.integer('generation', 1), sealed: columns.bytesAsFound('sealed') }
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
