// Keys that change their store: nothing about them is lost, and nothing else is touched.
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { KeyDisabledError, KeyNameReservedError, RecordDamagedError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { JournalVerifier } from '../journal/verify.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { decodeStoredKey } from '../seal/stored-key.ts'
import { FsStore } from '../store/fs-store.ts'
import { KeyFolder } from '../store/key-folder.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { adoptFiles } from './adopt-files.ts'
import { KeyRing } from './key-ring.ts'
import { readKey, type TransferredKey } from './key-transfer.ts'
import { MigrationConflictError, type MigrationOptions, migrateKeys } from './migration.ts'
import { FolderSource, StoreSource } from './migration-source.ts'
import { openJournal } from './open-journal.ts'

const BY = { identity: 'b'.repeat(64), ip: '127.0.0.1' }
const a = parseKeyName('a')
const b = parseKeyName('b')

interface Opened {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
  readonly label: string
  readonly ring: KeyRing
}

let root: string
let opened: Opened[]

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'migration-'))
  opened = []
})

afterEach(() => {
  vi.restoreAllMocks()
  for (const { store } of opened) store.close()
  rmSync(root, { recursive: true })
})

function open(kind: 'sqlite' | 'fs', name: string): Opened {
  const folder = join(root, name)
  const store =
    kind === 'sqlite'
      ? SqliteStore.open(`${folder}.db`)
      : FsStore.openFolder(KeyFolder.resolve(folder), `${folder}.db`)
  const seal = Seal.create(store, { kind: 'key file', bytes: randomBytes(32) })
  const journal = openJournal(store, seal)
  const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
  const whole = { store, seal, journal, label: `${kind}: ${name}`, ring }
  opened.push(whole)
  return whole
}

function migrate(source: Opened, target: Opened | undefined, options: Partial<MigrationOptions> = {}) {
  return migrateKeys(new StoreSource(source), target, optionsOf(options))
}

function optionsOf(options: Partial<MigrationOptions>): MigrationOptions {
  return {
    isChosen: () => true,
    onConflict: 'stop',
    erasedNames: 'reserved',
    isDryRun: false,
    onProgress: () => {},
    interruption: new AbortController().signal,
    ...options,
  }
}

function everything(store: Opened): TransferredKey[] {
  return store.store.names('', undefined, 10_000).map((name) => keyOf(store, name))
}

/** As {@link readKey}, with bytes of one kind, whatever the store. */
function keyOf(store: Opened, name: KeyName): TransferredKey {
  const { secretKey, hmacKey, ...rest } = readKey(store, name)
  return { ...rest, secretKey: Buffer.from(secretKey), hmacKey: hmacKey && Buffer.from(hmacKey) }
}

function actions({ ring }: Opened, name: KeyName): string[] {
  return ring.history(name, 0, 100).map(({ entry }) => `${entry.action} ${entry.state}`)
}

function verifyJournal({ journal }: Opened): void {
  const verifier = new JournalVerifier(journal.publicKey)
  for (const { entry, ...stored } of journal.read(0, 10_000)) verifier.nextFiled({ bytes: entry, ...stored })
  verifier.end()
}

interface Row {
  readonly id: string
  readonly stored: string
  readonly valid: boolean
}

const NOTHING = { migrated: 0, present: 0, reserved: 0, skipped: [], pending: [], damaged: [] }

describe.each([
  ['sqlite', 'fs'],
  ['fs', 'sqlite'],
  ['sqlite', 'sqlite'],
  ['fs', 'fs'],
] as const)('from %s to %s', (from, to) => {
  test('every form of key arrives whole, and there and back it is the same', async () => {
    const { rows } = readVectors<{ rows: Row[] }>('stored-keys.json')
    const folder = join(root, 'kes')
    mkdirSync(folder)
    for (const { id, stored } of rows) writeFileSync(join(folder, id), stored)
    const [source, target, back] = [open(from, 'source'), open(to, 'target'), open(from, 'back')]
    const valid = rows.filter((row) => row.valid)

    const kes = new FolderSource(KeyFolder.view(folder))
    const result = await migrateKeys(kes, source, optionsOf({}))
    expect(result).toEqual({
      ...NOTHING,
      migrated: valid.length,
      damaged: rows
        .filter((row) => !row.valid)
        .map(({ id }) => id)
        .sort(),
    })
    expect(await migrate(source, target)).toMatchObject({ migrated: valid.length })
    expect(await migrate(target, back)).toMatchObject({ migrated: valid.length })
    for (const { id, stored } of valid) {
      const { secretKey, hmacKey, createdAt, createdBy, algorithm } = decodeStoredKey(stored)
      const facts = { name: id, state: 'enabled', createdAt, createdBy, algorithm }
      for (const store of [source, target, back]) {
        expect(keyOf(store, parseKeyName(id))).toEqual({ ...facts, secretKey, hmacKey })
      }
    }
    verifyJournal(target)
  })

  test('locks stay locked, reserved names reserved, and the journal says where each key comes from', async () => {
    const [source, target] = [open(from, 'source'), open(to, 'target')]
    source.ring.create(a, BY)
    source.ring.create(b, BY)
    source.ring.setState(a, 'disabled', BY)
    const gone = parseKeyName('gone')
    source.ring.create(gone, BY)
    const { entry: erasure } = await source.ring.erase(gone, BY)

    expect(await migrate(source, target)).toEqual({ ...NOTHING, migrated: 2, reserved: 1 })
    expect(() => target.ring.use(a)).toThrow(KeyDisabledError)
    expect(target.ring.use(b).hmac).toBeDefined()
    expect(() => target.ring.create(gone, BY)).toThrow(KeyNameReservedError)
    expect(actions(target, a)).toEqual(['adopt disabled'])
    expect(actions(target, gone)).toEqual(['adopt erased'])
    const [found] = target.ring.history(gone, 0, 10)
    expect(found?.entry.fingerprint).toEqual(erasure.fingerprint)
    expect(found?.entry.detail).toEqual({ migrated_from: source.label, by: 'local operator' })
    expect(await migrate(source, target)).toEqual({ ...NOTHING, present: 2 })
    verifyJournal(target)
  })
})

describe('keys of a Go KES', () => {
  test('go to sqlite without a byte of them in the clear, and their folder stays as it was', async () => {
    const folder = join(root, 'kes')
    mkdirSync(folder)
    const { keys } = readVectors<{ keys: { name: string; stored_value: string }[] }>('ciphertexts.json')
    for (const { name, stored_value } of keys) writeFileSync(join(folder, name), stored_value)
    writeFileSync(join(folder, 'not-a-name-'), 'x')
    const before = readdirSync(root)
    const source = new FolderSource(KeyFolder.view(folder))
    expect(source.others).toBe(1)
    expect(readdirSync(root)).toEqual(before)

    const target = open('sqlite', 'target')
    expect(await migrateKeys(source, target, optionsOf({}))).toEqual({ ...NOTHING, migrated: keys.length })
    const bytes = Buffer.concat(
      ['', '-wal'].map((suffix) => readFileSync(`${join(root, 'target')}.db${suffix}`)),
    )
    for (const { name, stored_value } of keys) {
      const { secretKey } = decodeStoredKey(stored_value)
      expect(new Set(secretKey).size > 8 && bytes.includes(secretKey)).toBe(false) // One is of zeros.
      expect(readFileSync(join(folder, name), 'utf8')).toBe(stored_value)
      target.ring.use(parseKeyName(name))
    }
  })

  test('that are put back into the folder after they were erased elsewhere are recognised', async () => {
    const [source, target] = [open('fs', 'source'), open('fs', 'target')]
    source.ring.create(a, BY)
    const text = readFileSync(join(root, 'source', 'a'))
    await source.ring.erase(a, BY)
    await migrate(source, target)
    writeFileSync(join(root, 'target', 'a'), text)
    const { store, seal, journal } = target
    expect(store instanceof FsStore && adoptFiles(store, seal, journal).revived).toEqual(['a'])
  })
})

describe('another key of the same name in the target', () => {
  let source: Opened
  let target: Opened

  beforeEach(() => {
    source = open('sqlite', 'source')
    target = open('fs', 'target')
    for (const name of [a, b]) source.ring.create(name, BY)
    target.ring.create(b, BY)
  })

  test('stops the migration before anything is written', async () => {
    const head = target.journal.head()
    await expect(migrate(source, target)).rejects.toThrow(MigrationConflictError)
    await expect(migrate(source, target)).rejects.toMatchObject({
      message: 'key already exists',
      names: ['b'],
    })
    expect(target.journal.head()).toEqual(head)
    expect(target.store.count()).toBe(1)
  })

  test('stays with --merge', async () => {
    const [before] = everything(target)
    expect(await migrate(source, target, { onConflict: 'skip' })).toEqual({
      ...NOTHING,
      migrated: 1,
      skipped: ['b'],
    })
    expect(keyOf(target, b)).toEqual(before)
    expect(actions(target, b)).toEqual(['create enabled'])
  })

  test('is erased with --force, and the journal has both', async () => {
    expect(await migrate(source, target, { onConflict: 'replace' })).toEqual({ ...NOTHING, migrated: 2 })
    expect(everything(target)).toEqual(everything(source))
    expect(actions(target, b)).toEqual(['create enabled', 'erase erased', 'adopt enabled'])
    expect(target.store.isErasing(b)).toBe(false)
    verifyJournal(target)
  })

  test('counts as another one if its record is damaged', async () => {
    await migrate(source, target, { onConflict: 'replace' })
    writeFileSync(join(root, 'target', 'b'), 'damaged')
    await expect(migrate(source, target)).rejects.toThrow(MigrationConflictError)
    expect(await migrate(source, target, { onConflict: 'replace' })).toMatchObject({
      migrated: 1,
      present: 1,
    })
    expect(everything(target)).toEqual(everything(source))
  })

  test('or a reserved name is a conflict too; --force takes the name', async () => {
    await target.ring.erase(b, BY)
    await expect(migrate(source, target)).rejects.toMatchObject({ names: ['b'] })
    expect(await migrate(source, target, { onConflict: 'skip' })).toMatchObject({
      migrated: 1,
      skipped: ['b'],
    })
    expect(await migrate(source, target, { onConflict: 'replace' })).toMatchObject({
      migrated: 1,
      present: 1,
    })
    expect(actions(target, b)).toEqual(['create enabled', 'erase erased', 'adopt enabled'])
  })
})

describe('a migration', () => {
  function sourceWith(count: number): Opened {
    const source = open('sqlite', 'source')
    source.store.transaction(() => {
      for (let index = 0; index < count; index++) source.ring.create(parseKeyName(`key-${index}`), BY)
    })
    return source
  }

  test('that is interrupted goes on when it is run again, and tells how far it is', async () => {
    const [source, target] = [sourceWith(510), open('sqlite', 'target')]
    const interruption = new AbortController()
    const progress: string[] = []
    const onProgress = (done: number, total: number) => {
      progress.push(`${done}/${total}`)
      if (done === 500) interruption.abort(new Error('Ctrl-C'))
    }
    const interrupted = migrate(source, target, { onProgress, interruption: interruption.signal })
    await expect(interrupted).rejects.toThrow('Ctrl-C')
    expect(progress).toEqual(['500/510'])
    expect(target.store.count()).toBe(500)
    expect(await migrate(source, target)).toEqual({ ...NOTHING, migrated: 10, present: 500 })
    expect(everything(target)).toEqual(everything(source))
  })

  test('that a full disk ends leaves whole batches, and goes on later', async () => {
    const [source, target] = [sourceWith(510), open('sqlite', 'target')]
    const insert = target.store.insert.bind(target.store)
    let left = 505
    vi.spyOn(target.store, 'insert').mockImplementation((row) => {
      if (left-- === 0) throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL')
      insert(row)
    })
    await expect(migrate(source, target)).rejects.toThrow('failed to create key')
    expect(target.store.count()).toBe(500)
    expect(await migrate(source, target)).toEqual({ ...NOTHING, migrated: 10, present: 500 })
  })

  test('copies what a pattern names', async () => {
    const [source, target] = [sourceWith(12), open('sqlite', 'target')]
    const isChosen = (name: string) => name.startsWith('key-1')
    expect(await migrate(source, target, { isChosen })).toMatchObject({ migrated: 3 })
    expect(target.store.names('', undefined, 10)).toEqual(['key-1', 'key-10', 'key-11'])
  })

  test('that is only tried out writes nothing, to a target that is there or to none', async () => {
    const [source, target] = [sourceWith(12), open('sqlite', 'target')]
    await source.ring.erase(parseKeyName('key-3'), BY)
    const head = target.journal.head()
    for (const store of [target, undefined]) {
      const result = await migrate(source, store, { isDryRun: true })
      expect(result).toEqual({ ...NOTHING, migrated: 11, reserved: 1 })
    }
    expect(target.journal.head()).toEqual(head)
    expect(target.store.count()).toBe(0)
  })

  test('copies all keys but those that can’t be read, and names these', async () => {
    const [source, target] = [sourceWith(3), open('sqlite', 'target')]
    source.store.close()
    const db = new Database(join(root, 'source.db'))
    db.exec("UPDATE keys SET state = 1 WHERE name = 'key-1'")
    db.close()
    const reopened = { ...source, store: SqliteStore.open(join(root, 'source.db')) }
    opened.push(reopened)
    const journal = { ...reopened, journal: openJournal(reopened.store, source.seal) }
    expect(() => readKey(journal, parseKeyName('key-1'))).toThrow(RecordDamagedError)
    expect(await migrate(journal, target)).toEqual({ ...NOTHING, migrated: 2, damaged: ['key-1'] })
  })

  test('does not believe a store that reads back something else than was written', async () => {
    const [source, target] = [sourceWith(1), open('sqlite', 'target')]
    const other = randomBytes(32)
    const seal = target.seal.sealKey.bind(target.seal)
    vi.spyOn(target.seal, 'sealKey').mockImplementation((generation, facts, material) =>
      seal(generation, facts, { ...material, secretKey: other }),
    )
    await expect(migrate(source, target)).rejects.toThrow(
      "the key 'key-0' is not read back as it was written",
    )
  })

  test('disables a key that is pending deletion, and says so', async () => {
    const [source, target] = [sourceWith(2), open('sqlite', 'target')]
    const name = parseKeyName('key-1')
    source.ring.schedule(name, 60_000, BY)
    expect(await migrate(source, target)).toEqual({ ...NOTHING, migrated: 2, pending: [name] })
    expect(target.ring.describe(name)).toMatchObject({ state: 'disabled', revision: 1 })
    expect(() => target.ring.use(name)).toThrow(KeyDisabledError)
  })

  test('makes no reserved names where the target keeps none', async () => {
    const [source, target] = [sourceWith(1), open('sqlite', 'target')]
    await source.ring.erase(parseKeyName('key-0'), BY)
    expect(await migrate(source, target, { erasedNames: 'free' })).toEqual(NOTHING)
  })
})
