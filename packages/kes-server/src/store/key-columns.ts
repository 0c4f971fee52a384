/** Key rows and tombstones ↔ the columns of the tables `keys` and `erased_names`. */
import assert from 'node:assert/strict'
import type { KeyName } from '../names.ts'
import { ColumnError, Columns } from './columns.ts'
import type {
  Algorithm,
  ErasedName,
  KeyRow,
  KeyState,
  ScheduledDeletion,
  StoredRunningTime,
} from './key-store.ts'

const KEY_ID_BYTES = 16
const MAC_BYTES = 32

const STATE_NUMBERS: Readonly<Record<KeyState, number>> = { enabled: 0, disabled: 1, pending: 2 }
const STATES = new Map<number, KeyState>([
  [STATE_NUMBERS.enabled, 'enabled'],
  [STATE_NUMBERS.disabled, 'disabled'],
  [STATE_NUMBERS.pending, 'pending'],
])
const ALGORITHMS: readonly Algorithm[] = ['AES256', 'ChaCha20']

const NO_DELETION: ScheduledDeletion = { atMs: 0, runningFromMs: 0, waitingMs: 0 }

/** Values by column, for a statement with named parameters. */
export type ColumnValues = Readonly<Record<string, string | number | Uint8Array>>

export function keyRowToColumns(row: KeyRow): ColumnValues {
  assert.equal(row.keyId.length, KEY_ID_BYTES)
  assert.equal(row.mac.length, MAC_BYTES)
  assert(Number.isSafeInteger(row.revision) && row.revision >= 1)
  assert(Number.isSafeInteger(row.journalEntry) && row.journalEntry >= 0)
  assert.equal(row.deletion !== undefined, row.state === 'pending')
  const { atMs, runningFromMs, waitingMs } = row.deletion ?? NO_DELETION
  for (const ms of [atMs, runningFromMs, waitingMs]) assert(Number.isSafeInteger(ms) && ms >= 0)
  assert(Number.isSafeInteger(row.rootGeneration) && row.rootGeneration >= 1)
  return {
    name: row.name,
    key_id: row.keyId,
    algorithm: row.algorithm,
    created_at: row.createdAt,
    created_by: row.createdBy,
    state: STATE_NUMBERS[row.state],
    revision: row.revision,
    changed_at: row.changedAt,
    changed_by: row.changedBy,
    journal_entry: row.journalEntry,
    delete_at: atMs,
    running_from: runningFromMs,
    waiting: waitingMs,
    root_generation: row.rootGeneration,
    mac: row.mac,
    sealed: row.sealed,
  }
}

/** @throws {@link ColumnError} if a column other than `sealed` and `mac` holds what no writer puts there. */
export function keyRowFromColumns(name: KeyName, row: unknown): KeyRow {
  const columns = new Columns(row)
  const algorithm = ALGORITHMS.find((known) => known === columns.text('algorithm'))
  if (algorithm === undefined) throw new ColumnError('algorithm', 'a known algorithm')
  const state = STATES.get(columns.integer('state', 0))
  if (state === undefined) throw new ColumnError('state', 'a known state')
  return {
    keyId: columns.bytes('key_id', KEY_ID_BYTES),
    name,
    algorithm,
    createdAt: columns.text('created_at'),
    createdBy: columns.text('created_by'),
    sealed: columns.bytesAsFound('sealed'),
    state,
    revision: columns.integer('revision', 1),
    changedAt: columns.text('changed_at'),
    changedBy: columns.text('changed_by'),
    journalEntry: columns.integer('journal_entry', 0),
    rootGeneration: columns.integer('root_generation', 1),
    ...(state === 'pending' ? { deletion: deletionFromColumns(columns) } : {}),
    mac: columns.bytesAsFound('mac'),
  }
}

function deletionFromColumns(columns: Columns): ScheduledDeletion {
  return {
    atMs: columns.integer('delete_at', 0),
    runningFromMs: columns.integer('running_from', 0),
    waitingMs: columns.integer('waiting', 0),
  }
}

export function runningTimeFromColumns(row: unknown): StoredRunningTime {
  const columns = new Columns(row)
  return {
    runningMs: columns.integer('running_ms', 0),
    monotonicMs: columns.integer('monotonic_ms', 0),
    mac: columns.bytesAsFound('mac'),
  }
}

export function erasedNameToColumns(erased: ErasedName): ColumnValues {
  assert.equal(erased.keyId.length, KEY_ID_BYTES)
  assert.equal(erased.mac.length, MAC_BYTES)
  return {
    name: erased.name,
    key_id: erased.keyId,
    erased_at: erased.erasedAt,
    erased_by: erased.erasedBy,
    root_generation: erased.rootGeneration,
    mac: erased.mac,
  }
}

/** @throws {@link ColumnError} if a column other than `mac` holds what no writer puts there. */
export function erasedNameFromColumns(name: KeyName, row: unknown): ErasedName {
  const columns = new Columns(row)
  return {
    name,
    keyId: columns.bytes('key_id', KEY_ID_BYTES),
    erasedAt: columns.text('erased_at'),
    erasedBy: columns.text('erased_by'),
    rootGeneration: columns.integer('root_generation', 1),
    mac: columns.bytesAsFound('mac'),
  }
}

/** @param rows - of one state each. Rows whose state no writer gives them are in none of the numbers. */
export function countsFromColumns(rows: readonly unknown[]): Record<KeyState, number> {
  const counts = { enabled: 0, disabled: 0, pending: 0 }
  for (const row of rows) {
    const columns = new Columns(row)
    const state = STATES.get(columns.integer('state', 0))
    if (state !== undefined) counts[state] = columns.integer('count', 0)
  }
  return counts
}
