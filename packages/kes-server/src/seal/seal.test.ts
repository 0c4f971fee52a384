import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { RecordDamagedError } from '../errors.ts'
import { parseKeyName } from '../names.ts'
import type { KeyRow } from '../store/key-store.ts'
import { StoreOpenError } from '../store/open-errors.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { Seal, type Secret } from './seal.ts'
import { SealDamagedError, SealOpenError, WrongKeyFileError } from './seal-errors.ts'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'seal-'))
  path = join(directory, 'keys.db')
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

const fileBytes = randomBytes(32)
const keyFile = (): Secret => ({ kind: 'key file', bytes: Uint8Array.from(fileBytes) })

function withStore<T>(use: (store: SqliteStore) => T, at = path): T {
  const store = SqliteStore.open(at)
  try {
    return use(store)
  } finally {
    store.close()
  }
}

function editByHand(sql: string): void {
  const db = new Database(path)
  db.exec(sql)
  db.close()
}

function rowOf(seal: Seal, name: string): KeyRow {
  const at = '2026-11-24T01:42:04Z'
  const facts = {
    keyId: randomBytes(16),
    name: parseKeyName(name),
    algorithm: 'AES256',
    createdAt: at,
    createdBy: 'alice',
  } as const
  const material = { secretKey: randomBytes(32), hmacKey: randomBytes(32) }
  const life = {
    state: 'enabled',
    revision: 1,
    changedAt: at,
    changedBy: 'alice',
    journalEntry: 0,
    rootGeneration: 1,
  } as const
  const sealed = seal.sealKey(1, facts, material)
  return { ...facts, ...life, sealed, mac: seal.macOfRow({ ...facts, ...life }) }
}

function readRow(store: SqliteStore, name: string): KeyRow {
  const row = store.read(parseKeyName(name))
  if (row === undefined) throw new Error(`no key ${name}`)
  return row
}

test('a key sealed before a restart unseals after it, with a key file and with a passphrase', () => {
  const secrets: (() => Secret)[] = [
    keyFile,
    () => ({ kind: 'passphrase', passphrase: Buffer.from('correct horse') }),
  ]
  secrets.forEach((secret, index) => {
    const at = `${path}${index}`
    const before = withStore((store) => {
      const seal = Seal.create(store, secret(), { cost: { memoryKiB: 8192, passes: 1, parallelism: 1 } })
      const row = rowOf(seal, 'invoices')
      store.insert(row)
      return seal.unsealKey(row)
    }, at)
    withStore((store) => {
      const seal = Seal.open(store, secret())
      const row = readRow(store, 'invoices')
      expect(seal.isAuthentic(row)).toBe(true)
      expect(seal.unsealKey(row)).toEqual(before)
    }, at)
  })
})

test('a wrong secret is refused while the store holds no key', () => {
  withStore((store) => Seal.create(store, keyFile()))
  withStore((store) => {
    expect(() => Seal.open(store, { kind: 'key file', bytes: randomBytes(32) })).toThrow(WrongKeyFileError)
  })
})

test('creating and opening wipe the secret, also when they fail', () => {
  const buffers = [fileBytes, fileBytes, fileBytes, randomBytes(8)].map((bytes) => Buffer.from(bytes))
  const [unused, first, second, short] = buffers.map((bytes): Secret => ({ kind: 'key file', bytes }))
  withStore((store) => {
    expect(() => Seal.open(store, unused as Secret)).toThrow(SealOpenError)
    expect(() => Seal.create(store, short as Secret)).toThrow(SealOpenError)
    Seal.create(store, first as Secret)
    Seal.open(store, second as Secret)
  })
  for (const bytes of buffers) expect(bytes).toEqual(Buffer.alloc(bytes.length))
})

test('a store gets one root key in its life', () => {
  withStore((store) => {
    const row = rowOf(Seal.create(store, keyFile()), 'invoices')
    expect(() => Seal.create(store, keyFile())).toThrow(/set up already/)
    expect(() => Seal.open(store, keyFile()).unsealKey(row)).not.toThrow()
  })
})

test('a set-up that was cut off before the seal was written is completed by the next', () => {
  withStore((store) => expect(Seal.isSetUp(store)).toBe(false))
  withStore((store) => {
    expect(() => Seal.open(store, keyFile())).toThrow(/not been set up/)
    Seal.create(store, keyFile())
  })
  withStore((store) => expect(Seal.isSetUp(store)).toBe(true))
})

test('a set-up that fails half-way leaves nothing', () => {
  withStore((store) => {
    const failing = {
      recordForm: store.recordForm,
      readSeal: () => store.readSeal(),
      createSeal: (...seal: Parameters<SqliteStore['createSeal']>) =>
        store.transaction(() => {
          store.createSeal(...seal)
          throw new Error('power cut')
        }),
    }
    expect(() => Seal.create(failing, keyFile())).toThrow('power cut')
    expect(Seal.isSetUp(store)).toBe(false)
  })
})

test.each([
  ['its facts', 'DELETE FROM store'],
  ['its facts and slots, while it holds a key', 'DELETE FROM store; DELETE FROM slots'],
  [
    'its facts and slots, while it holds an erased name',
    `DELETE FROM store; DELETE FROM slots; DELETE FROM keys;
     INSERT INTO erased_names (id, name, key_id, erased_at, erased_by, mac) VALUES (1, 'a', x'00', '', '', x'00')`,
  ],
])('a store that has lost %s gets no second root key', (_, sql) => {
  withStore((store) => store.insert(rowOf(Seal.create(store, keyFile()), 'invoices')))
  editByHand(sql)
  withStore((store) => {
    expect(() => Seal.isSetUp(store)).toThrow(StoreOpenError)
    expect(() => Seal.create(store, keyFile())).toThrow(/lost its seal/)
    expect(() => Seal.open(store, keyFile())).toThrow(/lost its seal/)
  })
})

test('a store whose slots were taken out opens no more, and says why', () => {
  withStore((store) => Seal.create(store, keyFile()))
  editByHand('DELETE FROM slots')
  withStore((store) => expect(() => Seal.open(store, keyFile())).toThrow(SealDamagedError))
})

test("another store's facts with its slots are refused as a wrong root key or a wrong secret", () => {
  withStore((store) => Seal.create(store, keyFile()))
  editByHand('UPDATE store SET root_check = zeroblob(32)')
  withStore((store) => expect(() => Seal.open(store, keyFile())).toThrow(SealDamagedError))
  editByHand('UPDATE store SET store_id = zeroblob(16)')
  withStore((store) => expect(() => Seal.open(store, keyFile())).toThrow(WrongKeyFileError))
  editByHand("UPDATE store SET store_id = x'00'")
  withStore((store) => expect(() => Seal.open(store, keyFile())).toThrow(/seal can not be read/))
})

test.each([
  ['state', "UPDATE keys SET state = 1 - state WHERE name = 'a'"],
  ['revision', "UPDATE keys SET revision = 2 WHERE name = 'a'"],
  ['key id', "UPDATE keys SET key_id = (SELECT key_id FROM keys WHERE name = 'b') WHERE name = 'a'"],
  ['algorithm', "UPDATE keys SET algorithm = 'ChaCha20' WHERE name = 'a'"],
  ['creator', "UPDATE keys SET created_by = 'bob' WHERE name = 'a'"],
  ['change', "UPDATE keys SET changed_by = 'bob' WHERE name = 'a'"],
  ['journal entry', "UPDATE keys SET journal_entry = 1 WHERE name = 'a'"],
  ['MAC', "UPDATE keys SET mac = (SELECT mac FROM keys WHERE name = 'b') WHERE name = 'a'"],
  ['MAC cut to nothing', "UPDATE keys SET mac = x'' WHERE name = 'a'"],
  ['name', "DELETE FROM keys WHERE name = 'a'; UPDATE keys SET name = 'a' WHERE name = 'c'"],
])('a row whose %s was edited by hand is not authentic; the others are', (_, sql) => {
  withStore((store) => {
    const seal = Seal.create(store, keyFile())
    for (const name of ['a', 'b', 'c']) store.insert(rowOf(seal, name))
  })
  editByHand(sql)
  withStore((store) => {
    const seal = Seal.open(store, keyFile())
    expect(seal.isAuthentic(readRow(store, 'a'))).toBe(false)
    expect(seal.isAuthentic(readRow(store, 'b'))).toBe(true)
    expect(() => seal.unsealKey(readRow(store, 'b'))).not.toThrow()
  })
})

test('sealed bytes copied from another row do not unseal, though the row stays authentic', () => {
  withStore((store) => {
    const seal = Seal.create(store, keyFile())
    for (const name of ['a', 'b']) store.insert(rowOf(seal, name))
  })
  editByHand("UPDATE keys SET sealed = (SELECT sealed FROM keys WHERE name = 'b') WHERE name = 'a'")
  withStore((store) => {
    const seal = Seal.open(store, keyFile())
    expect(seal.isAuthentic(readRow(store, 'a'))).toBe(true)
    expect(() => seal.unsealKey(readRow(store, 'a'))).toThrow(RecordDamagedError)
    expect(() => seal.unsealKey(readRow(store, 'b'))).not.toThrow()
  })
})

test('a row of another store is neither authentic nor unsealed', () => {
  const [one, other] = [SqliteStore.inMemory(), SqliteStore.inMemory()].map((store) =>
    Seal.createInMemory(store),
  )
  const row = rowOf(one as Seal, 'a')
  expect(other?.isAuthentic(row)).toBe(false)
  expect(() => other?.unsealKey(row)).toThrow(RecordDamagedError)
})

test('a store on disk is never made without a slot', () => {
  withStore((store) => {
    expect(() => Seal.createInMemory(store)).toThrow(StoreOpenError)
    expect(Seal.isSetUp(store)).toBe(false)
  })
})

test('a destroyed seal seals and unseals nothing', () => {
  const seal = Seal.createInMemory(SqliteStore.inMemory())
  const row = rowOf(seal, 'a')
  seal.destroy()
  expect(() => seal.unsealKey(row)).toThrow(/destroyed/)
  expect(() => seal.isAuthentic(row)).toThrow(/destroyed/)
})

test('an erased name is authentic after a restart and with nothing changed', () => {
  const facts = {
    name: parseKeyName('a'),
    keyId: randomBytes(16),
    erasedAt: '2026-11-24T01:42:04Z',
    erasedBy: 'bob',
    rootGeneration: 1,
  }
  withStore((store) => {
    const seal = Seal.create(store, keyFile())
    store.insert(rowOf(seal, 'a'))
    store.erase(facts.name, { ...facts, mac: seal.macOfErased(facts) })
  })
  withStore((store) => {
    const seal = Seal.open(store, keyFile())
    const erased = store.readErased(facts.name)
    expect(erased && seal.isAuthenticErased(erased)).toBe(true)
    expect(erased && seal.isAuthenticErased({ ...erased, erasedBy: 'x' })).toBe(false)
  })
})

test('a process that only reads unseals keys and tells rows, and can not open the key of the journal', () => {
  withStore((store) => {
    const seal = Seal.create(store, keyFile())
    const row = rowOf(seal, 'invoices')
    const { privateKey } = generateKeyPairSync('ed25519')
    const sealedKey = seal.sealJournalKey(1, privateKey)
    const reading = Seal.forReading(seal.storeId, 'sealed')
    expect(reading.isAuthentic(row)).toBe(false)
    const keys = seal.exportReadingKeys(1)
    reading.learnToRead(keys)
    for (const bytes of [keys.sealing, keys.fileMac, keys.rowMac]) expect(bytes).toEqual(Buffer.alloc(32))
    expect(reading.unsealKey(row)).toEqual(seal.unsealKey(row))
    expect(reading.isAuthentic(row)).toBe(true)
    expect(reading.isAuthentic({ ...row, state: 'disabled' })).toBe(false)
    expect(() => reading.unsealJournalKey(1, sealedKey)).toThrow('only the process that writes')
    expect(() => reading.sealJournalKey(1, privateKey)).toThrow('only the process that writes')
    reading.forget(1)
    expect(reading.isAuthentic(row)).toBe(false)
  })
})
