// What a ring does about changes that another process has committed: here, another connection to the same file.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { KeyDisabledError, KeyNotFoundError, RecordDamagedError } from '../errors.ts'
import { Journal } from '../journal/journal.ts'
import { parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { KeyRing } from './key-ring.ts'
import { openJournal } from './open-journal.ts'

const orders = parseKeyName('orders')
const invoices = parseKeyName('invoices')
const alice = { identity: 'alice', ip: '192.0.2.1' }
const OPTIONS = { erasedNames: 'reserved' } as const

let directory: string
let writing: { readonly store: SqliteStore; readonly ring: KeyRing }
let reading: { readonly store: SqliteStore; readonly ring: KeyRing }

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'other-process-'))
  const store = SqliteStore.open(join(directory, 'keys.db'))
  const seal = Seal.create(store, { kind: 'key file', bytes: randomBytes(32) })
  const journal = openJournal(store, seal)
  writing = { store, ring: new KeyRing(store, seal, journal, OPTIONS) }
  const beside = SqliteStore.openBeside(store.path, process.pid)
  const readingSeal = Seal.forReading(seal.storeId, 'sealed')
  readingSeal.learnToRead(seal.exportReadingKeys(1))
  const readingJournal = new Journal(beside, readingSeal.storeId, journal.publicKey)
  reading = { store: beside, ring: new KeyRing(beside, readingSeal, readingJournal, OPTIONS) }
  for (const name of [orders, invoices]) writing.ring.create(name, alice)
})

afterEach(() => {
  reading.store.close()
  writing.store.close()
  rmSync(directory, { recursive: true })
})

/** A turn of the event loop with a look of its own. */
async function nextTurn(): Promise<void> {
  await new Promise(setImmediate)
  await new Promise(setImmediate)
}

test('a change is noticed by the first use of the next turn', async () => {
  reading.ring.use(orders)
  writing.ring.setState(orders, 'disabled', alice)
  await nextTurn()
  expect(() => reading.ring.use(orders)).toThrow(KeyDisabledError)
  writing.ring.setState(orders, 'enabled', alice)
  await nextTurn()
  reading.ring.use(orders)
  void writing.ring.erase(orders, alice)
  await nextTurn()
  expect(() => reading.ring.use(orders)).toThrow(KeyNotFoundError)
})

test('a look that is asked for notices a change in the same turn', () => {
  reading.ring.use(orders)
  writing.ring.setState(orders, 'disabled', alice)
  reading.ring.lookForChanges()
  expect(() => reading.ring.use(orders)).toThrow(KeyDisabledError)
})

test('a change drops the key that it is about from memory, and no other', () => {
  const [changed, other] = [reading.ring.use(orders), reading.ring.use(invoices)]
  writing.ring.setState(orders, 'disabled', alice)
  reading.ring.lookForChanges()
  expect(() => changed.cipher.generate(new Uint8Array())).toThrow()
  expect(reading.ring.use(invoices)).toBe(other)
})

test('a key that was changed twice, back to where it was, is unsealed anew', () => {
  const before = reading.ring.use(orders)
  writing.ring.setState(orders, 'disabled', alice)
  writing.ring.setState(orders, 'enabled', alice)
  reading.ring.lookForChanges()
  expect(reading.ring.use(orders)).not.toBe(before)
})

test('a row that was edited by hand, past the journal, is noticed before the next use of its key', () => {
  reading.ring.use(orders)
  const row = writing.store.read(orders)
  if (row === undefined) throw new Error('no row')
  writing.store.replace({ ...row, mac: randomBytes(32) }, row.revision)
  reading.ring.lookForChanges()
  expect(() => reading.ring.use(orders)).toThrow(RecordDamagedError)
})

test('more changes than are looked through at once drop every key', () => {
  const other = reading.ring.use(invoices)
  writing.store.transaction(() => {
    for (let count = 0; count < 501; count += 1) {
      writing.ring.setState(orders, 'disabled', alice)
      writing.ring.setState(orders, 'enabled', alice)
    }
  })
  reading.ring.lookForChanges()
  expect(() => other.cipher.generate(new Uint8Array())).toThrow()
  reading.ring.use(invoices)
})

test('a key that is being changed is never taken for a damaged one', () => {
  // Between two reads of the reader the writer commits: row and journal must be of one moment.
  const read = reading.store.lastEntryOf.bind(reading.store)
  reading.store.lastEntryOf = (name) => {
    writing.ring.setState(name, 'disabled', alice)
    return read(name)
  }
  expect(reading.ring.describe(orders).state).toBe('enabled')
  expect(reading.ring.descriptions('', undefined, 10).map(({ state }) => state)).not.toContain('damaged')
})

test('a process that only reads can not sign for the journal, nor change a key', () => {
  expect(() => reading.ring.setState(orders, 'disabled', alice)).toThrow()
  expect(writing.ring.describe(orders).state).toBe('enabled')
})
