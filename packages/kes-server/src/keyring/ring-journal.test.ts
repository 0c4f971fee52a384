// What the ring writes to the journal, and what it makes of a row that the journal contradicts.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  KeyExistsError,
  KeyNotFoundError,
  NotAllowedError,
  RecordDamagedError,
  StoreError,
} from '../errors.ts'
import type { Actor, Journal } from '../journal/journal.ts'
import { JournalVerifier } from '../journal/verify.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { SealDamagedError } from '../seal/seal-errors.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { fingerprintOf } from './fingerprint.ts'
import { KeyRing } from './key-ring.ts'
import { openJournal } from './open-journal.ts'

const orders = parseKeyName('orders')
const alice: Actor = { identity: 'alice', ip: '192.0.2.1' }
const bob: Actor = { identity: 'bob', ip: '192.0.2.2' }
const ALL = 1000

interface Open {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
  readonly ring: KeyRing
}

let folder: string
let path: string
let keyFile: Buffer
let open: Open

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ring-journal-'))
  path = join(folder, 'keys.db')
  keyFile = randomBytes(32)
  open = openStore()
})

afterEach(() => {
  open.store.close()
  rmSync(folder, { recursive: true })
})

function openStore(): Open {
  const store = SqliteStore.open(path)
  try {
    return unseal(store)
  } catch (error) {
    store.close()
    throw error
  }
}

function unseal(store: SqliteStore): Open {
  const secret = { kind: 'key file', bytes: Buffer.from(keyFile) } as const
  const seal = Seal.isSetUp(store) ? Seal.open(store, secret) : Seal.create(store, secret)
  const journal = openJournal(store, seal)
  return { store, seal, journal, ring: new KeyRing(store, seal, journal, { erasedNames: 'reserved' }) }
}

/** Runs SQL while no server has the store open, then opens it again. */
function edit(...statements: readonly string[]): void {
  open.store.close()
  const db = new Database(path)
  for (const sql of statements) db.exec(sql)
  db.close()
  open = openStore()
}

function actions(name: KeyName): string[] {
  return open.ring.history(name, 0, ALL).map(({ entry }) => entry.action)
}

/** Verifies the whole journal. @returns its number of entries. */
function verified(): number {
  const verifier = new JournalVerifier(open.journal.publicKey)
  for (const { entry, ...stored } of open.journal.read(0, 100_000)) {
    verifier.nextFiled({ bytes: entry, ...stored })
  }
  return verifier.end().number
}

describe('every change has one entry, in order', () => {
  test('of making, locking, resuming and erasing, and of taking the name again', async () => {
    const { ring } = open
    ring.create(orders, alice)
    ring.setState(orders, 'disabled', bob)
    ring.setState(orders, 'disabled', bob)
    ring.setState(orders, 'enabled', bob)
    await ring.erase(orders, bob)
    ring.create(orders, alice, { reuse: true })
    expect(actions(orders)).toEqual(['create', 'disable', 'enable', 'erase', 'reuse'])
    expect(verified()).toBe(6) // The first is the set-up.
  })

  test('with who, from where, and the fingerprint of an imported key', async () => {
    const secretKey = Buffer.alloc(32, 7)
    const fingerprint = fingerprintOf(secretKey)
    open.ring.create(orders, alice, {}, { algorithm: 'ChaCha20', secretKey })
    const { entry } = await open.ring.erase(orders, bob)
    expect(actions(orders)).toEqual(['import', 'erase'])
    expect(entry).toMatchObject({
      ...bob,
      createdBy: 'alice',
      algorithm: 'ChaCha20',
      state: 'erased',
      revision: 2,
    })
    expect(Buffer.from(entry.fingerprint ?? [])).toEqual(fingerprint)
  })

  test('of a pattern, for each key that changed', () => {
    const names = ['a-1', 'a-2', 'b'].map(parseKeyName)
    for (const name of names) open.ring.create(name, alice)
    open.ring.setState(parseKeyName('a-1'), 'disabled', bob)
    open.ring.setStateOfAll('a-', 'disabled', bob, () => true)
    expect(names.map(actions)).toEqual([['create', 'disable'], ['create', 'disable'], ['create']])
    verified()
  })

  test('and none of what was refused or failed', () => {
    const { ring, journal } = open
    ring.create(orders, alice)
    const head = journal.head()
    expect(() => ring.create(orders, alice)).toThrow(KeyExistsError)
    expect(() => ring.erase(parseKeyName('other'), alice)).toThrow(KeyNotFoundError)
    expect(() => ring.setState(parseKeyName('other'), 'disabled', alice)).toThrow(KeyNotFoundError)
    expect(() => ring.setStateOfAll('', 'disabled', bob, () => false)).toThrow(NotAllowedError)
    expect(journal.head()).toEqual(head)
  })

  test('and no change without its entry', () => {
    open.ring.create(orders, alice)
    open.store.appendEntry = () => {
      throw new StoreError('change key')
    }
    expect(() => open.ring.setState(orders, 'disabled', bob)).toThrow(StoreError)
    expect(() => open.ring.erase(orders, bob)).toThrow(StoreError)
    expect(() => open.ring.create(parseKeyName('other'), bob)).toThrow(StoreError)
    edit()
    expect(open.ring.describe(orders).state).toBe('enabled')
    expect(open.ring.names('', undefined, ALL)).toEqual(['orders'])
    expect(verified()).toBe(2)
  })
})

describe('a row that its last entry contradicts', () => {
  function refused(): void {
    expect(() => open.ring.use(orders)).toThrow(RecordDamagedError)
    expect(() => open.ring.describe(orders)).toThrow(RecordDamagedError)
    expect(() => open.ring.setState(orders, 'enabled', bob)).toThrow(RecordDamagedError)
    expect(open.ring.descriptions('', undefined, ALL)).toEqual([{ name: 'orders', state: 'damaged' }])
  }

  /** Keeps the row, changes the key, and puts the old row back. */
  async function putBackAfter(change: () => unknown): Promise<void> {
    open.store.close()
    const db = new Database(path)
    const row = db.prepare('SELECT * FROM keys').get() as Record<string, unknown>
    db.close()
    open = openStore()
    await change()
    open.store.close()
    const again = new Database(path)
    const columns = Object.keys(row)
    again.exec('DELETE FROM keys')
    again.prepare(`INSERT INTO keys (${columns}) VALUES (${columns.map((each) => `:${each}`)})`).run(row)
    again.close()
    open = openStore()
  }

  test('because an older one was put back is refused: a disabled key is not enabled so', async () => {
    open.ring.create(orders, alice)
    await putBackAfter(() => open.ring.setState(orders, 'disabled', bob))
    refused()
    expect(open.ring.setState(orders, 'disabled', bob)).toBe(true)
    open.ring.setState(orders, 'enabled', bob)
    expect(open.ring.describe(orders).revision).toBe(4)
    verified()
  })

  test('because an erased one was put back is refused, and no disabling makes it good', async () => {
    open.ring.create(orders, alice)
    await putBackAfter(() => open.ring.erase(orders, bob))
    refused()
    expect(() => open.ring.setState(orders, 'disabled', bob)).toThrow(RecordDamagedError)
    expect(open.ring.setStateOfAll('', 'disabled', bob, () => true)).toMatchObject({ changed: 0, damaged: 1 })
    await open.ring.erase(orders, bob)
    expect(() => open.ring.use(orders)).toThrow(KeyNotFoundError)
  })

  test('because the key was made anew is refused, and no disabling makes it good', async () => {
    open.ring.create(orders, alice)
    await putBackAfter(async () => {
      await open.ring.erase(orders, bob)
      open.ring.create(orders, bob, { reuse: true })
    })
    refused()
    expect(() => open.ring.setState(orders, 'disabled', bob)).toThrow(RecordDamagedError)
  })

  test.each([
    ['is missing', `DELETE FROM journal WHERE name = 'orders'`],
    ["is another key's", `UPDATE journal SET name = 'other' WHERE name = 'orders'`],
    ['can not be read', `UPDATE journal SET entry = x'0102' WHERE name = 'orders'`],
    ['has another number', `UPDATE journal SET number = 9 WHERE name = 'orders'`],
    [
      'says another state',
      `UPDATE journal SET entry = CAST(substr(entry, 1, 58) || x'02' || substr(entry, 60) AS BLOB) WHERE name = 'orders'`,
    ],
    [
      'says another key id',
      `UPDATE journal SET entry = CAST(substr(entry, 1, 68) || zeroblob(16) || substr(entry, 85) AS BLOB) WHERE name = 'orders'`,
    ],
    [
      'says another revision',
      `UPDATE journal SET entry = CAST(substr(entry, 1, 67) || x'07' || substr(entry, 69) AS BLOB) WHERE name = 'orders'`,
    ],
  ])('is refused when the entry %s, harms no other key, and can be erased', async (_, sql) => {
    open.ring.create(orders, alice)
    edit(sql)
    refused()
    const other = parseKeyName('zebra')
    open.ring.create(other, alice)
    expect(open.ring.use(other)).toBeDefined()
    await open.ring.erase(orders, bob)
    expect(open.ring.names('', undefined, ALL)).toEqual(['zebra'])
  })
})

test('an entry that was hidden from the server by its name is found by verification', () => {
  open.ring.create(orders, alice)
  open.ring.setState(orders, 'disabled', bob)
  edit(`UPDATE journal SET name = 'hidden' WHERE number = 3`)
  expect(verified).toThrow('entry 3: the store has it under another number or name')
})

describe('an erasure', () => {
  test('of a row that was edited says of the key what its last entry says', async () => {
    open.ring.create(orders, alice)
    edit(`UPDATE keys SET created_by = 'mallory', algorithm = 'ChaCha20'`)
    const { entry } = await open.ring.erase(orders, bob)
    expect(entry).toMatchObject({ createdBy: 'alice', algorithm: 'AES256', fingerprint: undefined })
  })

  test('of a row that was edited and then disabled says nothing of what was edited', async () => {
    open.ring.create(orders, alice)
    edit(`UPDATE keys SET created_by = 'mallory', algorithm = 'ChaCha20'`)
    open.ring.setState(orders, 'disabled', bob)
    expect(open.ring.history(orders, 0, ALL).at(-1)?.entry).toMatchObject({ createdBy: 'alice' })
    const { entry } = await open.ring.erase(orders, bob)
    expect(entry).toMatchObject({
      createdBy: 'alice',
      algorithm: 'AES256',
      revision: 3,
      fingerprint: undefined,
    })
  })

  test('of a row whose entry was changed, too, says nothing that is not proven', async () => {
    open.ring.create(orders, alice)
    edit(
      `UPDATE keys SET created_by = 'mallory'`,
      `UPDATE journal SET entry = CAST(substr(entry, 1, 67) || x'07' || substr(entry, 69) AS BLOB) WHERE name = 'orders'`,
    )
    const { entry } = await open.ring.erase(orders, bob)
    expect(entry).toMatchObject({
      createdAt: '',
      createdBy: '',
      algorithm: undefined,
      fingerprint: undefined,
    })
  })
})

describe('a history', () => {
  test('is given page by page, in the order of its entries', () => {
    open.ring.create(orders, alice)
    for (const state of ['disabled', 'enabled', 'disabled'] as const) open.ring.setState(orders, state, bob)
    const first = open.ring.history(orders, 0, 3)
    const rest = open.ring.history(orders, first.at(-1)?.entry.number ?? 0, 3)
    expect([...first, ...rest].map(({ entry }) => entry.revision)).toEqual([1, 2, 3, 4])
  })

  test('is refused when one of its entries was changed', () => {
    open.ring.create(orders, alice)
    edit(`UPDATE journal SET signature = zeroblob(64) WHERE name = 'orders'`)
    expect(() => open.ring.history(orders, 0, ALL)).toThrow(RecordDamagedError)
  })
})

describe('a store of the first schema', () => {
  /** What a server without a journal has left. */
  function withoutJournal(...more: readonly string[]): void {
    const names = open.ring.names('', undefined, 10_000)
    for (const name of names) {
      const row = open.store.read(name)
      if (row === undefined) throw new Error('the key is not there')
      const before = { ...row, journalEntry: 0 }
      open.store.replace({ ...before, mac: open.seal.macOfRow(before) }, row.revision)
    }
    const tables = ['backups', 'journal', 'journal_key', 'erasures', 'running_time', 'old_root']
    const columns = ['delete_at', 'running_from', 'waiting'].map((column) => ['keys', column])
    for (const table of ['store', 'keys', 'erased_names']) columns.push([table, 'root_generation'])
    edit(
      ...tables.map((table) => `DROP TABLE ${table}`),
      'DROP INDEX keys_pending',
      ...columns.map(([table, column]) => `ALTER TABLE ${table} DROP COLUMN ${column}`),
      'PRAGMA user_version = 1',
      ...more,
    )
  }

  test('has its keys adopted at once, as they are, and their life goes on', async () => {
    const names = Array.from({ length: 1200 }, (_, number) => parseKeyName(`key-${number}`))
    open.store.transaction(() => {
      for (const name of names) open.ring.create(name, alice)
    })
    open.ring.setState(parseKeyName('key-7'), 'disabled', bob)
    withoutJournal()
    expect(verified()).toBe(1201)
    expect(open.ring.describe(parseKeyName('key-7'))).toMatchObject({ state: 'disabled', revision: 2 })
    open.ring.setState(parseKeyName('key-7'), 'enabled', bob)
    expect(actions(parseKeyName('key-7'))).toEqual(['adopt', 'enable'])
    expect(open.ring.use(parseKeyName('key-1199'))).toBeDefined()
    const { entry } = await open.ring.erase(parseKeyName('key-8'), bob)
    expect(entry).toMatchObject({ createdBy: 'alice', revision: 2 })
  })

  test('has a key with damaged sealed bytes adopted without fingerprint, and an edited row not at all', () => {
    open.ring.create(orders, alice)
    open.ring.create(parseKeyName('edited'), alice)
    withoutJournal(
      `UPDATE keys SET sealed = zeroblob(93) WHERE name = 'orders'`,
      `UPDATE keys SET state = 1 WHERE name = 'edited'`,
    )
    expect(open.ring.history(orders, 0, ALL)[0]?.entry.fingerprint).toBeUndefined()
    expect(open.ring.describe(orders).state).toBe('enabled')
    expect(() => open.ring.describe(parseKeyName('edited'))).toThrow(RecordDamagedError)
  })

  test('does not come about by removing the journal: its rows stay refused', () => {
    open.ring.create(orders, alice)
    edit('DELETE FROM journal; DELETE FROM journal_key')
    expect(() => open.ring.use(orders)).toThrow(RecordDamagedError)
  })
})

test.each([
  ['lost its key', 'DELETE FROM journal_key'],
  ['had its key changed', 'UPDATE journal_key SET sealed = zeroblob(77)'],
])('a journal that has %s keeps the store from opening', (_, sql) => {
  expect(() => edit(sql)).toThrow(SealDamagedError)
})
