import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
  RecordDamagedError,
  StoreError,
  StoreUnreachableError,
} from '../errors.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { type ErasedName, type KeyRow, RevisionConflictError } from './key-store.ts'
import { SqliteStore } from './sqlite-store.ts'

let directory: string
let path: string
let store: SqliteStore
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sqlite-store-'))
  path = join(directory, 'keys.db')
  store = SqliteStore.open(path, { busyTimeoutMs: 20 })
})
afterEach(() => {
  store.close()
  rmSync(directory, { recursive: true })
})

const name = parseKeyName
const invoices = name('invoices')

function keyRow(of: KeyName | string, changed: Partial<KeyRow> = {}): KeyRow {
  return {
    keyId: randomBytes(16),
    name: name(of),
    algorithm: 'AES256',
    createdAt: '2026-11-24T01:42:04.115739409Z',
    createdBy: 'alice',
    sealed: randomBytes(93),
    state: 'enabled',
    revision: 1,
    changedAt: '2026-11-24T01:42:04.115739409Z',
    changedBy: 'alice',
    journalEntry: 0,
    rootGeneration: 1,
    mac: randomBytes(32),
    ...changed,
  }
}

function tombstone(row: KeyRow): ErasedName {
  const { keyId } = row
  const erasure = { erasedAt: '2026-11-25T00:00:00Z', erasedBy: 'bob', rootGeneration: 1 }
  return { name: row.name, keyId, ...erasure, mac: randomBytes(32) }
}

/** A second connection, as another program's. */
function otherConnection(use: (db: Database.Database) => void): void {
  const db = new Database(path)
  try {
    use(db)
  } finally {
    db.close()
  }
}

/** All bytes of the store, as a thief of its directory has them. */
function everyByte(): Buffer {
  return Buffer.concat(readdirSync(directory).map((file) => readFileSync(join(directory, file))))
}

describe('rows', () => {
  test('a row is read as it was inserted, also after a restart', () => {
    fc.assert(
      fc.property(
        fc.record({
          createdBy: fc.string({ unit: 'binary' }),
          sealed: fc.uint8Array({ minLength: 1 }),
          state: fc.constantFrom('enabled' as const, 'disabled' as const),
          algorithm: fc.constantFrom('AES256' as const, 'ChaCha20' as const),
          revision: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
          journalEntry: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
          rootGeneration: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
        }),
        (changed) => {
          const memory = SqliteStore.inMemory()
          const row = keyRow(invoices, changed)
          memory.insert(row)
          expect(memory.read(invoices)).toEqual({ ...row, sealed: Buffer.from(row.sealed) })
          memory.close()
        },
      ),
      { numRuns: 20 },
    )
    const row = keyRow(invoices)
    store.insert(row)
    store.close()
    store = SqliteStore.open(path)
    expect(store.read(invoices)).toEqual(row)
    expect(store.has(invoices)).toBe(true)
  })

  test('a name that is not there is undefined, not an error', () => {
    expect(store.read(invoices)).toBeUndefined()
    expect(store.readErased(invoices)).toBeUndefined()
    expect(store.has(invoices)).toBe(false)
  })

  test('a second key of one name is refused and leaves the first as it was', () => {
    const row = keyRow(invoices)
    store.insert(row)
    expect(() => store.insert(keyRow(invoices))).toThrow(KeyExistsError)
    expect(store.read(invoices)).toEqual(row)
    expect(store.count()).toBe(1)
  })

  test('a row is replaced only at the revision that its writer has read', () => {
    const row = keyRow(invoices)
    const changed = keyRow(invoices, { ...row, state: 'disabled', revision: 2 })
    store.insert(row)
    expect(() => store.replace(changed, 2)).toThrow(RevisionConflictError)
    expect(store.read(invoices)).toEqual(row)
    store.replace(changed, 1)
    expect(store.read(invoices)).toEqual(changed)
    expect(() => store.replace(changed, 1)).toThrow(RevisionConflictError)
    expect(() => store.replace(keyRow('other'), 1)).toThrow(KeyNotFoundError)
  })

  test('names that differ in case are two keys', () => {
    store.insert(keyRow('a'))
    store.insert(keyRow('A'))
    store.erase(name('a'), undefined)
    expect(store.names('', undefined, 10)).toEqual(['A'])
  })

  test('a MAC or a key id of a wrong length, or a revision 0, is never written', () => {
    expect(() => store.insert(keyRow(invoices, { mac: randomBytes(31) }))).toThrow()
    expect(() => store.insert(keyRow(invoices, { keyId: randomBytes(17) }))).toThrow()
    expect(() => store.insert(keyRow(invoices, { revision: 0 }))).toThrow()
    expect(store.count()).toBe(0)
  })
})

describe('erased names', () => {
  test('an erased key is gone; its name is reserved until it is dropped', () => {
    const row = keyRow(invoices)
    const erased = tombstone(row)
    store.insert(row)
    store.erase(invoices, erased)
    expect(store.read(invoices)).toBeUndefined()
    expect(store.readErased(invoices)).toEqual(erased)
    expect(() => store.insert(keyRow(invoices))).toThrow(KeyNameReservedError)
    store.dropErased(invoices)
    store.insert(keyRow(invoices))
    expect(store.readErased(invoices)).toBeUndefined()
  })

  test('a name erased without tombstone is free', () => {
    store.insert(keyRow(invoices))
    store.erase(invoices, undefined)
    store.insert(keyRow(invoices))
  })

  test('erasing what is not there, or twice, is refused', () => {
    const row = keyRow(invoices)
    expect(() => store.erase(invoices, tombstone(row))).toThrow(KeyNotFoundError)
    expect(store.readErased(invoices)).toBeUndefined()
    store.insert(row)
    store.erase(invoices, undefined)
    expect(() => store.erase(invoices, undefined)).toThrow(KeyNotFoundError)
  })

  test('no file of the store holds the sealed bytes of an erased key, while the store is open', async () => {
    const rows = Array.from({ length: 300 }, (_, index) => keyRow(`key-${(index * 7919) % 300}`))
    for (const row of rows) store.insert(row)
    for (const row of rows) store.replace({ ...row, state: 'disabled', revision: 2 }, 1)
    const [gone, kept] = [
      rows.filter((_, index) => index % 3 > 0),
      rows.filter((_, index) => index % 3 === 0),
    ]
    for (const row of gone) store.erase(row.name, tombstone(row))
    expect(await store.purge()).toBe(true)

    const bytes = everyByte()
    expect(gone.filter((row) => bytes.includes(row.sealed))).toEqual([])
    expect(kept.filter((row) => !bytes.includes(row.sealed))).toEqual([])
  })
})

describe('listing', () => {
  const names = ['0', 'A', 'Z', '_a', 'a', 'a-1', 'a0', 'aB', 'a_', 'aa', 'ab', 'b', 'z']

  test('names come in the order of their bytes, whatever the order of their making', () => {
    for (const each of [...names].reverse()) store.insert(keyRow(each))
    expect(store.names('', undefined, 100)).toEqual(names)
  })

  test('pages of any size join to the whole listing of any prefix', () => {
    for (const each of names) store.insert(keyRow(each))
    for (const prefix of ['', 'a', 'aa', 'a-', '_', 'zz', 'Z']) {
      const expected = names.filter((each) => each.startsWith(prefix))
      for (let limit = 1; limit <= names.length + 1; limit++) {
        const pages: string[] = []
        let page = store.names(prefix, undefined, limit)
        for (; page.length > 0; page = store.names(prefix, page.at(-1), limit)) {
          expect(page.length).toBeLessThanOrEqual(limit)
          pages.push(...page)
        }
        expect(pages).toEqual(expected)
      }
    }
  })

  test('a start before the prefix begins with the prefix, one behind it gives nothing', () => {
    for (const each of names) store.insert(keyRow(each))
    expect(store.names('b', 'a', 10)).toEqual(['b'])
    expect(store.names('b', 'b', 10)).toEqual([])
    expect(store.names('a', 'b', 10)).toEqual([])
    expect(store.names('b', '', 10)).toEqual(['b'])
  })

  test('rows are those of the names, in the same order', () => {
    const rows = ['b', 'a', 'ab'].map((each) => keyRow(each))
    for (const row of rows) store.insert(row)
    expect(store.rows('a', undefined, 10)).toEqual([rows[1], rows[2]])
    expect(store.rows('a', 'a', 1)).toEqual([rows[2]])
    expect(store.count()).toBe(3)
  })
})

describe('damaged rows', () => {
  test.each([
    ['an unknown state', 'state = 3'],
    ['a deletion at no time', 'state = 2, delete_at = -1'],
    ['revision 0', 'revision = 0'],
    ['a revision beyond exact integers', 'revision = 9007199254740993'],
    ['an unknown algorithm', "algorithm = 'DES'"],
    ['a short key id', "key_id = x'00'"],
    ['a negative journal entry', 'journal_entry = -1'],
  ])('a row with %s is refused alone, can be listed and erased', (_, edit) => {
    store.insert(keyRow('a'))
    store.insert(keyRow('b'))
    otherConnection((db) => db.exec(`UPDATE keys SET ${edit} WHERE name = 'a'`))

    expect(() => store.read(name('a'))).toThrow(RecordDamagedError)
    expect(store.has(name('a'))).toBe(true)
    expect(store.rows('', undefined, 10)).toEqual([{ damaged: 'a' }, store.read(name('b'))])
    expect(() => store.insert(keyRow('a'))).toThrow(KeyExistsError)
    store.erase(name('a'), undefined)
    expect(store.names('', undefined, 10)).toEqual(['b'])
  })

  test.each(['sealed', 'mac'])('a row whose %s was cut to nothing is read and can be replaced', (column) => {
    const row = keyRow('a')
    store.insert(row)
    otherConnection((db) => db.exec(`UPDATE keys SET ${column} = x''`))
    expect(store.read(name('a'))).toEqual({ ...row, [column]: Buffer.alloc(0) })
    store.replace({ ...row, state: 'disabled', revision: 2 }, 1)
    expect(store.read(name('a'))?.state).toBe('disabled')
  })

  test('a damaged tombstone is refused alone', () => {
    const row = keyRow('a')
    store.insert(row)
    store.erase(row.name, tombstone(row))
    otherConnection((db) => db.exec("UPDATE erased_names SET key_id = x'00'"))
    expect(() => store.readErased(row.name)).toThrow(RecordDamagedError)
    expect(() => store.insert(keyRow('a'))).toThrow(KeyNameReservedError)
  })
})

describe('transactions', () => {
  test('all writes of a transaction are kept, or none', () => {
    store.transaction(() => {
      store.insert(keyRow('a'))
      store.insert(keyRow('b'))
    })
    expect(() =>
      store.transaction(() => {
        store.erase(name('a'), undefined)
        store.insert(keyRow('c'))
        throw new RangeError('changed my mind')
      }),
    ).toThrow(RangeError)
    expect(store.names('', undefined, 10)).toEqual(['a', 'b'])
  })

  test('a call inside a transaction joins it, and takes back only its own writes if it throws', () => {
    const result = store.transaction(() => {
      store.insert(keyRow('a'))
      expect(() =>
        store.transaction(() => {
          store.insert(keyRow('b'))
          store.insert(keyRow('a'))
        }),
      ).toThrow(KeyExistsError)
      store.transaction(() => store.insert(keyRow('c')))
      return 'done'
    })
    expect(result).toBe('done')
    expect(store.names('', undefined, 10)).toEqual(['a', 'c'])
  })

  test('an outer transaction that throws takes back what joined it', () => {
    expect(() =>
      store.transaction(() => {
        store.transaction(() => store.insert(keyRow('a')))
        throw new RangeError()
      }),
    ).toThrow(RangeError)
    expect(store.count()).toBe(0)
  })

  test('a transaction can not wait: one that gives a promise is undone', () => {
    expect(() => store.transaction(async () => store.insert(keyRow('a')))).toThrow(/promise/)
    expect(store.count()).toBe(0)
  })

  test('a write beside another process that writes fails and changes nothing', () => {
    otherConnection((writer) => {
      writer.exec('BEGIN IMMEDIATE')
      expect(() => store.insert(keyRow('a'))).toThrow(StoreError)
      writer.exec('ROLLBACK')
    })
    store.insert(keyRow('a'))
  })

  test("the counter of foreign changes moves at another process's commits, and only then", () => {
    let last = store.foreignChanges()
    const hasMoved = () => {
      const before = last
      last = store.foreignChanges()
      return last !== before
    }
    expect(hasMoved()).toBe(false)
    store.insert(keyRow('a'))
    store.read(name('a'))
    expect(hasMoved()).toBe(false)
    otherConnection((db) => {
      db.exec('UPDATE keys SET state = 1')
      expect(hasMoved()).toBe(true)
      store.replace(keyRow('a', { revision: 2 }), 1)
      expect(hasMoved()).toBe(false)
      db.exec('UPDATE keys SET state = 1')
      expect(hasMoved()).toBe(true)
    })
    store.erase(name('a'), undefined)
    expect(hasMoved()).toBe(false)
  })
})

describe('a failing disk', () => {
  /** Opens the store again with room for a few more pages: SQLite answers SQLITE_FULL, as on a full disk. */
  function openAlmostFull(): void {
    store.close()
    const spy = vi.spyOn(Database.prototype, 'pragma')
    store = SqliteStore.open(path)
    const db = (spy.mock.contexts as Database.Database[]).findLast(({ open }) => open) as Database.Database
    spy.mockRestore()
    db.pragma(`max_page_count = ${Number(db.pragma('page_count', { simple: true })) + 10}`)
  }

  test('a full disk refuses a new key, keeps all others and takes writes again once there is space', () => {
    store.insert(keyRow('a'))
    openAlmostFull()
    const made: KeyName[] = []
    const fillUp = () => {
      for (let index = 0; ; index++) {
        const row = keyRow(`key-${index}`, { sealed: randomBytes(3000) })
        store.insert(row)
        made.push(row.name)
      }
    }
    expect(fillUp).toThrow(
      expect.objectContaining({
        status: 502,
        message: 'failed to create key',
        detail: expect.stringMatching(/no space/),
      }),
    )
    expect(store.names('key', undefined, 1000)).toHaveLength(made.length)
    store.replace(keyRow('a', { state: 'disabled', revision: 2 }), 1)
    for (const each of made) store.erase(each, undefined)
    store.insert(keyRow('later', { sealed: randomBytes(3000) }))
  })

  test('a transaction that a full disk ended does not go on as single writes', () => {
    store.insert(keyRow('a'))
    openAlmostFull()
    expect(() =>
      store.transaction(() => {
        for (let index = 0; index < 100; index++) {
          try {
            store.insert(keyRow(`key-${index}`, { sealed: randomBytes(3000) }))
          } catch {
            // A caller that goes on after an error.
          }
        }
        throw new RangeError('the end')
      }),
    ).toThrow()
    expect(store.names('', undefined, 10)).toEqual(['a'])
  })

  test('a store whose file is gone or was replaced is unreachable', async () => {
    await store.status()
    writeFileSync(`${path}.new`, '')
    rmSync(path)
    await expect(store.status()).rejects.toThrow(StoreUnreachableError)
    writeFileSync(path, '')
    await expect(store.status()).rejects.toThrow(StoreUnreachableError)
  })

  test('a closed store answers store errors and may be closed twice', async () => {
    store.close()
    store.close()
    expect(() => store.read(invoices)).toThrow(StoreError)
    expect(() => store.insert(keyRow(invoices))).toThrow(StoreError)
    await expect(store.status()).rejects.toMatchObject({ status: 502 })
  })
})

describe('a store that is opened beside the process that writes', () => {
  let beside: SqliteStore
  beforeEach(() => {
    beside = SqliteStore.openBeside(store.path, process.pid)
  })
  afterEach(() => beside.close())

  test('reads what was committed, at once, and notices that something was', () => {
    const before = beside.foreignChanges()
    const row = keyRow('a')
    store.insert(row)
    expect(beside.foreignChanges()).not.toBe(before)
    expect(beside.read(name('a'))).toEqual(row)
    expect(beside.readMac(name('a'))).toEqual(row.mac)
    expect(beside.readMac(name('b'))).toBeUndefined()
  })

  test('refuses every write', () => {
    store.insert(keyRow('a'))
    expect(() => beside.insert(keyRow('b'))).toThrow(StoreError)
    expect(() => beside.replace(keyRow('a', { revision: 2 }), 1)).toThrow(StoreError)
    expect(() => beside.erase(name('a'), undefined)).toThrow(StoreError)
    expect(store.names('', undefined, 10)).toEqual(['a'])
  })

  test('does not move the log into the file, not even at its end', () => {
    store.insert(keyRow('a'))
    const log = readFileSync(`${path}-wal`)
    SqliteStore.openBeside(store.path, process.pid).close()
    expect(readFileSync(`${path}-wal`)).toEqual(log)
  })

  test('sees one moment in all reads that belong together', () => {
    store.insert(keyRow('a'))
    const seen = beside.consistently(() => {
      const first = beside.count()
      store.insert(keyRow('b'))
      return [first, beside.count()]
    })
    expect([...seen, beside.count()]).toEqual([1, 1, 2])
  })

  test('is at peace with the erasing of keys', async () => {
    const row = keyRow('a')
    store.insert(row)
    beside.read(name('a'))
    store.transaction(() => store.erase(name('a'), tombstone(row)))
    await store.finishErasure(name('a'))
    expect(beside.read(name('a'))).toBeUndefined()
  })
})
