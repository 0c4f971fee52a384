// From a store to a backup and back: what is restored, what stays away, and what is refused.
import { createPublicKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  BackupConflictError,
  BackupNotFoundError,
  KeyDisabledError,
  KeyNameReservedError,
  KeyNotFoundError,
} from '../errors.ts'
import { receiptDocument } from '../journal/document.ts'
import type { Journal } from '../journal/journal.ts'
import { formatHead, JournalVerifier } from '../journal/verify.ts'
import { KeyRing } from '../keyring/key-ring.ts'
import { openJournal } from '../keyring/open-journal.ts'
import { onlyHolder, SealAdmin } from '../keyring/seal-admin.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { Seal, type Secret } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { BackupDesk, type MadeBackup } from './backup-desk.ts'
import { linesOf } from './lines.ts'
import { type RestoreOptions, type RestoreReport, restore } from './restore.ts'
import { verifyBackup } from './verify-backup.ts'

const admin = { identity: 'admin', ip: '192.0.2.1' }
const CHEAP = { memoryKiB: 8 * 1024, passes: 1, parallelism: 1 }
const [a, b, c] = ['a', 'b', 'c'].map(parseKeyName) as [KeyName, KeyName, KeyName]

let folder: string
let keyFile: Buffer
let open: Open

interface Open {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
  readonly ring: KeyRing
  readonly desk: BackupDesk
}

const own = (): Secret => ({ kind: 'key file', bytes: Buffer.from(keyFile) })
const file = (name: string) => join(folder, name)

function openStore(name: string): Open {
  const store = SqliteStore.open(file(name))
  const seal = Seal.isSetUp(store) ? Seal.open(store, own()) : Seal.create(store, own())
  const journal = openJournal(store, seal)
  const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
  return { store, seal, journal, ring, desk: new BackupDesk(store, journal) }
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'backup-'))
  keyFile = randomBytes(32)
  open = openStore('keys.db')
})

afterEach(() => {
  open.desk.close()
  open.store.close()
  rmSync(folder, { recursive: true })
})

interface Backup extends MadeBackup {
  readonly text: string
}

async function backUp(): Promise<Backup> {
  const made = await open.desk.make(admin)
  const pieces: Buffer[] = []
  for (let offset = 0; offset < made.bytes; offset += pieces.at(-1)?.length ?? 0)
    pieces.push(open.desk.read(made.header.id, offset))
  open.desk.drop(made.header.id)
  return { ...made, text: Buffer.concat(pieces).toString() }
}

async function* chunksOf(text: string): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
}

/** As `kes journal export` prints it. */
function exportJournal(from: Open = open): string {
  const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
  return from.journal
    .read(0, 100_000)
    .map(({ number, name, entry, signature }) =>
      JSON.stringify({ number, name, entry: base64(entry), signature: base64(signature) }),
    )
    .map((line) => `${line}\n`)
    .join('')
}

interface RestoreHow extends Partial<Omit<RestoreOptions, 'lines' | 'journal'>> {
  readonly journal?: string
}

function restoreInto(
  name: string,
  text: string,
  { journal, ...how }: RestoreHow = {},
): Promise<RestoreReport> {
  return restore({
    lines: linesOf(chunksOf(text)),
    path: file(name),
    replace: false,
    secret: own,
    erasedNames: 'reserved',
    publicKey: undefined,
    revive: [],
    onProgress: () => {},
    ...how,
    ...(journal === undefined
      ? { journal: undefined }
      : { journal: linesOf(chunksOf(journal)), publicKey: how.publicKey ?? publicKeyOfStore() }),
  })
}

function publicKeyOfStore() {
  return createPublicKey(open.journal.publicKey.export({ format: 'pem', type: 'spki' }))
}

/** Works with the restored store, then closes it. */
async function inside<T>(name: string, use: (restored: Open) => T | Promise<T>): Promise<T> {
  const restored = openStore(name)
  try {
    return await use(restored)
  } finally {
    restored.desk.close()
    restored.store.close()
  }
}

function states({ ring }: Open): Record<string, string> {
  return Object.fromEntries(ring.descriptions('', undefined, 10_000).map(({ name, state }) => [name, state]))
}

function verifyJournal({ journal }: Open): void {
  const verifier = new JournalVerifier(open.journal.publicKey)
  for (const { entry, ...stored } of journal.read(0, 100_000)) verifier.nextFiled({ bytes: entry, ...stored })
  verifier.end()
}

const encrypt = ({ ring }: Open, name: KeyName) =>
  ring.use(name).cipher.encrypt(Buffer.from('text'), Buffer.of())
const decrypt = ({ ring }: Open, name: KeyName, ciphertext: Uint8Array) =>
  Buffer.from(ring.use(name).cipher.decrypt(Buffer.from(ciphertext), Buffer.of())).toString()

describe('a backup', () => {
  test('is as of one moment, and has its own entry as the last one of the journal', async () => {
    open.ring.create(a, admin)
    const making = open.desk.make(admin)
    open.ring.create(b, admin)
    const { header } = await making
    const tables = new Map(header.tables.map(({ name, rows }) => [name, rows]))
    expect(tables.get('keys')).toBe(1)
    expect(tables.get('journal')).toBe(header.head.number)
    expect(tables.has('erasures')).toBe(false)
    const [, , entry] = open.journal.read(0, 10).map(({ name, number }) => ({ name, number }))
    expect(entry).toEqual({ name: '', number: header.head.number })
  })

  test('has no key in the clear, and leaves nothing beside the store', async () => {
    open.ring.create(a, admin)
    const row = open.store.read(a)
    const { text } = await backUp()
    const { secretKey } = open.seal.unsealKey(row ?? expect.fail())
    const bytes = Buffer.from(secretKey)
    for (const encoding of ['latin1', 'base64', 'hex'] as const)
      expect(text).not.toContain(bytes.toString(encoding))
    expect(readdirSync(folder).filter((name) => name.includes('backup'))).toEqual([])
  })

  test('does not hold up an erase, once its rows are read', async () => {
    open.ring.create(a, admin)
    await open.desk.make(admin)
    await open.ring.erase(a, admin)
    expect(await open.store.purge()).toBe(true)
  })

  test('is named in the receipt of a key that was there when it was made, and of no other', async () => {
    open.ring.create(a, admin)
    const { header } = await backUp()
    open.ring.create(b, admin)
    const notCovered = async (name: KeyName) => {
      const erasure = await open.ring.erase(name, admin)
      return receiptDocument(erasure, open.ring.backupsOf(erasure)).not_covered.join()
    }
    expect(await notCovered(a)).toContain(`backup ${header.id} of ${header.madeAt}`)
    expect(await notCovered(b)).not.toContain(header.id)
    open.ring.create(a, admin, { reuse: true })
    expect(await notCovered(a)).not.toContain(header.id)
  })

  test('that was dropped, or never made, is not there', async () => {
    const { header } = await backUp()
    expect(() => open.desk.read(header.id, 0)).toThrow(BackupNotFoundError)
    expect(() => open.desk.read('x', 0)).toThrow(BackupNotFoundError)
  })

  test('is refused beside two others, and for a store in memory', async () => {
    await open.desk.make(admin)
    const { header } = await open.desk.make(admin)
    await expect(open.desk.make(admin)).rejects.toThrow(BackupConflictError)
    open.desk.drop(header.id)
    await open.desk.make(admin)
    const store = SqliteStore.inMemory()
    const seal = Seal.createInMemory(store)
    const desk = new BackupDesk(store, openJournal(store, seal))
    await expect(desk.make(admin)).rejects.toThrow(BackupConflictError)
  })
})

describe('restored without a journal', () => {
  test('every key is there, disabled, and opens what it has encrypted once it is enabled', async () => {
    for (const name of [a, b, c]) open.ring.create(name, admin)
    open.ring.setState(b, 'disabled', admin)
    open.ring.schedule(c, 3_600_000, admin)
    const ciphertext = encrypt(open, a)
    const { text, header } = await backUp()
    const report = await restoreInto('new.db', text)
    expect(report).toMatchObject({ keys: 3, disabled: 2, erased: 0, lost: [], damaged: [], warnings: [] })
    expect(formatHead(report.header.head)).toBe(formatHead(header.head))
    await inside('new.db', (restored) => {
      expect(states(restored)).toEqual({ a: 'disabled', b: 'disabled', c: 'disabled' })
      expect(() => restored.ring.use(a)).toThrow(KeyDisabledError)
      restored.ring.setState(a, 'enabled', admin)
      expect(decrypt(restored, a, ciphertext)).toBe('text')
      verifyJournal(restored)
    })
  })

  test('the journal says what was done, by whom and from which backup', async () => {
    open.ring.create(a, admin)
    const { text, header } = await backUp()
    await restoreInto('new.db', text)
    await inside('new.db', ({ ring, journal }) => {
      const [, key] = ring.history(a, 0, 10)
      const about = { backup: header.id, by: 'local operator' }
      expect(key?.entry).toMatchObject({
        action: 'restore',
        state: 'disabled',
        detail: { ...about, outcome: 'disabled' },
      })
      const head = formatHead(header.head)
      expect(journal.provenLastOf('' as KeyName)).toMatchObject({
        action: 'restore',
        detail: { ...about, head, disabled: 1 },
      })
    })
  })

  test('an erased name stays reserved, and a key that was erased before the backup is not in it', async () => {
    open.ring.create(a, admin)
    await open.ring.erase(a, admin)
    const { text } = await backUp()
    await restoreInto('new.db', text)
    await inside('new.db', ({ ring }) => {
      expect(() => ring.describe(a)).toThrow(KeyNotFoundError)
      expect(() => ring.create(a, admin)).toThrow(KeyNameReservedError)
      expect(ring.history(a, 0, 10)).toHaveLength(2)
    })
  })

  test('nothing is revived: nobody knows what was erased', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    await expect(restoreInto('new.db', text, { revive: [a] })).rejects.toThrow(/only a journal says/)
  })
})

test('a backup that was made while the root key was being replaced is whole, and the replacement goes on', async () => {
  const seal = new SealAdmin({ ...open, holders: onlyHolder(open.seal), cost: CHEAP, ownSecret: own })
  const names = Array.from({ length: 150 }, (_, number) => parseKeyName(`key-${number}`))
  for (const name of names) open.ring.create(name, admin)
  const ciphertext = encrypt(open, parseKeyName('key-149'))
  await seal.beginRotation({ secrets: new Map(), removed: [] }, admin)
  const end = new AbortController()
  await seal.finishRotation(end.signal, () => end.abort())
  const { text } = await backUp()
  expect(await restoreInto('new.db', text)).toMatchObject({ keys: 150, disabled: 150, damaged: [] })
  await inside('new.db', async (restored) => {
    const next = new SealAdmin({
      ...restored,
      holders: onlyHolder(restored.seal),
      cost: CHEAP,
      ownSecret: own,
    })
    const rotated = await next.finishRotation(new AbortController().signal)
    expect(rotated).toMatchObject({ resealed: 50, damaged: 0 })
    restored.ring.setState(parseKeyName('key-149'), 'enabled', admin)
    expect(decrypt(restored, parseKeyName('key-149'), ciphertext)).toBe('text')
  })
})

describe('restored with a journal', () => {
  test('a key is as its last entry says: locked, resumed, waiting, or as it was', async () => {
    const names = ['locked', 'resumed', 'waiting', 'as-it-was', 'cancelled'].map(parseKeyName)
    const [locked = a, resumed = a, waiting = a, , cancelled = a] = names
    for (const name of names) open.ring.create(name, admin)
    open.ring.setState(resumed, 'disabled', admin)
    const { text } = await backUp()
    open.ring.setState(locked, 'disabled', admin)
    open.ring.setState(resumed, 'enabled', admin)
    open.ring.schedule(waiting, 3_600_000, admin)
    open.ring.schedule(cancelled, 3_600_000, admin)
    open.ring.cancelDeletion(cancelled, admin)
    const head = open.journal.head()
    const report = await restoreInto('new.db', text, { journal: exportJournal() })
    expect(report).toMatchObject({ disabled: 0, erased: 0, revived: [], lost: [], warnings: [] })
    expect(formatHead(report.journalHead ?? expect.fail())).toBe(formatHead(head))
    await inside('new.db', (restored) => {
      expect(states(restored)).toEqual(states(open))
      expect(restored.store.read(waiting)?.deletion).toEqual(open.store.read(waiting)?.deletion)
      verifyJournal(restored)
      const verifier = new JournalVerifier(open.journal.publicKey, head)
      for (const { entry, ...stored } of restored.journal.read(0, 1000))
        verifier.next({ bytes: entry, ...stored })
      verifier.end()
      restored.ring.use(resumed)
    })
  })

  test('a key that was erased since is gone, also from the disk, and its name reserved', async () => {
    open.ring.create(a, admin)
    open.ring.create(b, admin)
    const sealed = Buffer.from(open.store.read(a)?.sealed ?? Buffer.of())
    const { text } = await backUp()
    await open.ring.erase(a, admin)
    const report = await restoreInto('new.db', text, { journal: exportJournal() })
    expect(report).toMatchObject({ keys: 1, erased: 1, lost: [] })
    const bytes = readdirSync(folder)
      .filter((name) => name.startsWith('new.db'))
      .map((name) => readFileSync(file(name)))
    expect(Buffer.concat(bytes).includes(sealed)).toBe(false)
    await inside('new.db', ({ ring, store, seal }) => {
      expect(() => ring.create(a, admin)).toThrow(KeyNameReservedError)
      expect(ring.history(a, 0, 10).map(({ entry }) => entry.action)).toEqual(['create', 'erase'])
      const erased = store.readErased(a)
      expect(erased && seal.isAuthenticErased(erased)).toBe(true)
    })
  })

  test('an erased key comes back only if it is named, disabled, and the journal says so', async () => {
    for (const name of [a, b]) open.ring.create(name, admin)
    const ciphertext = encrypt(open, a)
    const { text } = await backUp()
    for (const name of [a, b]) await open.ring.erase(name, admin)
    const report = await restoreInto('new.db', text, { journal: exportJournal(), revive: [a] })
    expect(report).toMatchObject({ keys: 1, erased: 1, revived: [a] })
    await inside('new.db', (restored) => {
      expect(states(restored)).toEqual({ a: 'disabled' })
      const entries = restored.ring.history(a, 0, 10).map(({ entry }) => entry)
      expect(entries.map(({ action, state }) => [action, state])).toEqual([
        ['create', 'enabled'],
        ['erase', 'erased'],
        ['restore', 'disabled'],
      ])
      expect(entries[2]?.detail).toMatchObject({ outcome: 'revived' })
      restored.ring.setState(a, 'enabled', admin)
      expect(decrypt(restored, a, ciphertext)).toBe('text')
      expect(() => restored.ring.create(b, admin)).toThrow(KeyNameReservedError)
    })
  })

  test.each([
    ['is not in the backup', 'none'],
    ['was not erased', 'b'],
  ])('a key that %s is not revived, and nothing is restored', async (_, name) => {
    open.ring.create(a, admin)
    open.ring.create(b, admin)
    const { text } = await backUp()
    await open.ring.erase(a, admin)
    open.ring.setState(b, 'disabled', admin)
    const restoring = restoreInto('new.db', text, { journal: exportJournal(), revive: [parseKeyName(name)] })
    await expect(restoring).rejects.toThrow(/is none that the backup has and the journal says was erased/)
    expect(readdirSync(folder).filter((each) => each.startsWith('new.db'))).toEqual(['new.db.lock'])
  })

  test('a key that was made since is lost, and its name is not made again by itself', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    open.ring.create(b, admin)
    await open.ring.erase(a, admin)
    open.ring.create(a, admin, { reuse: true })
    const report = await restoreInto('new.db', text, { journal: exportJournal() })
    expect(report).toMatchObject({ keys: 0, erased: 1, lost: [b, a] })
    await inside('new.db', (restored) => {
      for (const name of [a, b]) expect(() => restored.ring.create(name, admin)).toThrow(KeyNameReservedError)
      const [last] = restored.ring.history(b, 0, 10).slice(-1)
      expect(last?.entry).toMatchObject({ action: 'restore', state: 'erased', detail: { outcome: 'lost' } })
      verifyJournal(restored)
    })
  })

  test('backups that were made since are known, and named in receipts', async () => {
    open.ring.create(a, admin)
    const { text, header } = await backUp()
    const second = await backUp()
    await restoreInto('new.db', text, { journal: exportJournal() })
    await inside('new.db', async ({ ring }) => {
      const erasure = await ring.erase(a, admin)
      expect(ring.backupsOf(erasure).latest.map(({ backupId }) => backupId)).toEqual([
        second.header.id,
        header.id,
      ])
    })
  })

  test('a slot that was removed since opens nothing, and a root key that was replaced is told of', async () => {
    const options = { ...open, holders: onlyHolder(open.seal), cost: CHEAP, ownSecret: own }
    const seal = new SealAdmin(options)
    const passphrase = (): Secret => ({ kind: 'passphrase', passphrase: Buffer.from('correct horse') })
    await seal.addSlot(own(), passphrase(), 'safe', admin)
    open.ring.create(a, admin)
    const { text } = await backUp()
    await seal.removeSlot(2, admin)
    await seal.beginRotation({ secrets: new Map(), removed: [] }, admin)
    await seal.finishRotation(new AbortController().signal)
    const { warnings } = await restoreInto('new.db', text, { journal: exportJournal() })
    expect(warnings).toEqual([
      expect.stringContaining("slot 2 'safe' was removed or changed since: it is removed"),
      expect.stringContaining('the root key was replaced since'),
    ])
    await inside('new.db', (restored) => {
      expect(restored.store.readSeal()?.slots.map(({ slotId }) => slotId)).toEqual([1])
      restored.ring.use(a)
    })
  })

  test.each<[string, (journal: string) => string, RegExp]>([
    [
      'is older than the backup',
      (text) => `${text.split('\n').slice(0, 2).join('\n')}\n`,
      /does not continue the backup/,
    ],
    [
      'lacks an entry',
      (text) =>
        text
          .split('\n')
          .filter((_, index) => index !== 3)
          .join('\n'),
      /entry 4/,
    ],
    ['has an entry twice', (text) => text.replace(/(.*\n)(.*\n)$/, '$1$1$2'), /does not continue/],
    ['is empty', () => '', /does not continue/],
    ['is no journal', () => 'text\n', /does not continue the backup: the line is not JSON/],
  ])('a journal that %s is refused, and nothing is restored', async (_, change, message) => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    open.ring.setState(a, 'disabled', admin)
    open.ring.setState(a, 'enabled', admin)
    const restoring = restoreInto('new.db', text, { journal: change(exportJournal()) })
    await expect(restoring).rejects.toThrow(message)
    expect(existsSync(file('new.db'))).toBe(false)
  })

  test('the journal of another store is refused, whose public key ever is given', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    const foreign = await inside('other.db', (other) => exportJournal(other))
    await expect(restoreInto('new.db', text, { journal: foreign })).rejects.toThrow(
      /does not continue the backup/,
    )
    const { publicKey } = generateKeyPairSync('ed25519')
    await expect(restoreInto('new.db', text, { journal: exportJournal(), publicKey })).rejects.toThrow(
      /the public key is not that of the backup's journal/,
    )
    expect(existsSync(file('new.db'))).toBe(false)
  })

  test('the journal of a store that was restored before, and went another way, is refused', async () => {
    open.ring.create(a, admin)
    const first = await backUp()
    await restoreInto('fork.db', first.text)
    open.ring.setState(a, 'disabled', admin)
    const second = await backUp()
    const fork = await inside('fork.db', (forked) => {
      for (const state of ['enabled', 'disabled', 'enabled'] as const) forked.ring.setState(a, state, admin)
      return exportJournal(forked)
    })
    const restoring = restoreInto('new.db', second.text, { journal: fork })
    await expect(restoring).rejects.toThrow(/it is not the entry that was expected/)
  })
})

describe('refused', () => {
  const expectNothing = (name = 'new.db') => {
    expect(existsSync(file(name))).toBe(false)
    expect(readdirSync(folder).filter((each) => each.includes('restoring'))).toEqual([])
  }

  test('over a store that is there, unless it is to be replaced; then it is kept', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    await inside('new.db', ({ ring }) => ring.create(b, admin))
    const before = readFileSync(file('new.db'))
    await expect(restoreInto('new.db', text)).rejects.toThrow(/there is a store at/)
    expect(readFileSync(file('new.db'))).toEqual(before)
    const { kept } = await restoreInto('new.db', text, { replace: true })
    await inside('new.db', (restored) => expect(states(restored)).toEqual({ a: 'disabled' }))
    expect(readFileSync(kept ?? '')).toEqual(before)
  })

  test('beside a store whose log was not emptied, which is kept with it', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    // A store that was killed, as its files are: the database, and changes in the log.
    const killed = openStore('killed.db')
    killed.ring.create(b, admin)
    for (const suffix of ['', '-wal'])
      writeFileSync(file(`new.db${suffix}`), readFileSync(file(`killed.db${suffix}`)))
    killed.store.close()
    const { kept } = await restoreInto('new.db', text, { replace: true })
    await inside('new.db', (restored) => expect(states(restored)).toEqual({ a: 'disabled' }))
    const store = SqliteStore.open(kept ?? '')
    expect(store.has(b)).toBe(true)
    store.close()
  })

  test('beside the log of a store that is gone, which is not applied to the restored one', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    const gone = openStore('gone.db')
    gone.ring.create(b, admin)
    writeFileSync(file('new.db-wal'), readFileSync(file('gone.db-wal')))
    gone.store.close()
    expect((await restoreInto('new.db', text)).kept).toBeUndefined()
    await inside('new.db', (restored) => expect(states(restored)).toEqual({ a: 'disabled' }))
    expect(readdirSync(folder).filter((name) => /^new\.db\.replaced-\w+-wal$/.test(name))).toHaveLength(1)
  })

  test('over the store of a running server', async () => {
    const { text } = await backUp()
    await expect(restoreInto('keys.db', text, { replace: true })).rejects.toThrow(
      /in use by this very process/,
    )
  })

  test('with a secret that opens no slot of the backup', async () => {
    const { text } = await backUp()
    const secret = (): Secret => ({ kind: 'key file', bytes: randomBytes(32) })
    await expect(restoreInto('new.db', text, { secret })).rejects.toThrow(/does not open/)
    expectNothing()
  })

  test('cut off after any line, or continued', async () => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    const lines = text.split('\n').slice(0, -1)
    for (let count = 0; count < lines.length; count += 1) {
      const cut = lines.slice(0, count).join('\n') + (count > 0 ? '\n' : '')
      await expect(restoreInto('new.db', cut), `${count} lines`).rejects.toThrow(/can not be restored/)
    }
    await expect(restoreInto('new.db', `${text}[0]\n`)).rejects.toThrow(/can not be restored/)
    await expect(restoreInto('new.db', text.slice(0, -1))).rejects.toThrow(/can not be restored/)
    expectNothing()
  })

  test.each<[string, (text: string) => string, RegExp]>([
    [
      'of another format',
      (text) => text.replace('backup v1', 'backup v2'),
      /no backup of a format that is known/,
    ],
    [
      'of a newer schema',
      (text) => text.replace(/"schema":\d+/, '"schema":99'),
      /a newer server has made it/,
    ],
    [
      'with a table of its own',
      (text) => text.replace('"name":"slots"', '"name":"slits"'),
      /is none of a store/,
    ],
    [
      'with a name that is no word',
      (text) => text.replace('"name":"slots"', '"name":"slots;"'),
      /is none of a store/,
    ],
    ['with other columns', (text) => text.replace('"label"', '"lobel"'), /is none of a store/],
    ['with a line that is no JSON', (text) => text.replace('\n[', '\n{'), /can not be restored/],
    ['with fewer rows than it says', (text) => text.replace(/\n\[.*?\n/, '\n'), /can not be restored/],
    ['with a row twice', (text) => text.replace(/(\n\[.*?)\n/, '$1$1\n'), /can not be restored/],
    ['without a line end', () => 'x'.repeat(2 ** 21), /can not be restored/],
  ])('%s', async (_, change, message) => {
    open.ring.create(a, admin)
    const { text } = await backUp()
    await expect(restoreInto('new.db', change(text))).rejects.toThrow(message)
    expectNothing()
  })

  test('a row that was edited is restored as damaged, and refused as in its store', async () => {
    for (const name of [a, b]) open.ring.create(name, admin)
    open.ring.setState(a, 'disabled', admin)
    open.store.close()
    const db = new Database(file('keys.db'))
    db.exec(`UPDATE keys SET state = 0 WHERE name = 'a'`)
    db.close()
    open = openStore('keys.db')
    const { text } = await backUp()
    expect(await restoreInto('new.db', text)).toMatchObject({ keys: 2, damaged: ['a'], disabled: 1 })
    await open.ring.erase(a, admin)
    const reviving = restoreInto('other.db', text, { journal: exportJournal(), revive: [a] })
    await expect(reviving).rejects.toThrow("key 'a' is damaged in the backup")
    await inside('new.db', (restored) => expect(states(restored)).toEqual({ a: 'damaged', b: 'disabled' }))
  })
})

describe('verified', () => {
  const verify = (text: string, secret?: () => Secret, publicKey = publicKeyOfStore()) =>
    verifyBackup(linesOf(chunksOf(text)), secret, publicKey, () => {})

  beforeEach(() => {
    for (const name of [a, b]) open.ring.create(name, admin)
  })

  test('a whole backup is good, with and without a secret', async () => {
    const { text } = await backUp()
    expect(await verify(text, own)).toMatchObject({
      keys: 2,
      hasUnsealed: true,
      damaged: [],
      journalProblem: undefined,
    })
    expect(await verify(text)).toMatchObject({ keys: 2, hasUnsealed: false, journalProblem: undefined })
  })

  test('a sealed record, a row or an entry that was changed is found', async () => {
    const { text } = await backUp()
    const sealed = Buffer.from(open.store.read(a)?.sealed ?? Buffer.of())
    const other = Buffer.from(sealed)
    other[30] = (other[30] ?? 0) ^ 1
    const changed = text.replace(sealed.toString('base64'), other.toString('base64'))
    expect(changed).not.toBe(text)
    expect((await verify(changed, own)).damaged).toEqual(['a'])
    const enabled = text.replace(/("AES256","[^"]*","admin",)0/, '$11')
    expect(enabled).not.toBe(text)
    expect((await verify(enabled, own)).damaged).toEqual(['a'])
    const [entry] = open.journal.read(1, 1)
    const forged = Buffer.from(entry?.entry ?? Buffer.of())
    forged[90] = (forged[90] ?? 0) ^ 1
    const broken = text.replace(
      Buffer.from(entry?.entry ?? Buffer.of()).toString('base64'),
      forged.toString('base64'),
    )
    expect((await verify(broken)).journalProblem).toContain('entry 2')
    expect((await verify(broken, own)).journalProblem).toContain('entry 2')
  })

  test('a backup whose journal was cut off, or whose header names another one, is not good', async () => {
    const { text } = await backUp()
    const { text: second } = await backUp()
    const header = (of: string) => of.split('\n')[0] ?? ''
    const mixed = second.replace(/"id":"\w+"/, /"id":"\w+"/.exec(header(text))?.[0] ?? '')
    expect((await verify(mixed)).journalProblem).toContain('does not record this backup')
    const { publicKey } = generateKeyPairSync('ed25519')
    expect((await verify(text, own, publicKey)).journalProblem).toContain('another key')
    expect((await verify(text, undefined, publicKey)).journalProblem).toContain('entry 1')
  })
})

// A model: what a restored store must say of each name after any changes before and after the backup.
type Step = readonly ['create' | 'disable' | 'enable' | 'erase' | 'reuse' | 'schedule' | 'cancel', number]

const NAMES = ['m0', 'm1', 'm2', 'm3'].map(parseKeyName)

interface Model {
  readonly state: string
  /** Which key of this name it is. */
  readonly made: number
}

class Keys {
  readonly #models = new Map<KeyName, Model>()
  #made = 0

  async take([action, index]: Step): Promise<void> {
    const name = NAMES[index] ?? a
    const { state } = this.of(name)
    if (action === 'create' && state === 'none') this.#make(name, false)
    else if (action === 'reuse' && state === 'erased') this.#make(name, true)
    else if (action === 'disable' && state === 'enabled') {
      open.ring.setState(name, 'disabled', admin)
      this.#set(name, 'disabled')
    } else if (action === 'enable' && state === 'disabled') {
      open.ring.setState(name, 'enabled', admin)
      this.#set(name, 'enabled')
    } else if (action === 'schedule' && (state === 'enabled' || state === 'disabled')) {
      open.ring.schedule(name, 3_600_000, admin)
      this.#set(name, 'pending')
    } else if (action === 'cancel' && state === 'pending') {
      open.ring.cancelDeletion(name, admin)
      this.#set(name, 'disabled')
    } else if (action === 'erase' && (state === 'enabled' || state === 'disabled')) {
      await open.ring.erase(name, admin)
      this.#set(name, 'erased')
    }
  }

  of(name: KeyName): Model {
    return this.#models.get(name) ?? { state: 'none', made: 0 }
  }

  all(): Map<KeyName, Model> {
    return new Map(NAMES.map((name) => [name, this.of(name)]))
  }

  #make(name: KeyName, reuse: boolean): void {
    open.ring.create(name, admin, { reuse })
    this.#made += 1
    this.#models.set(name, { state: 'enabled', made: this.#made })
  }

  #set(name: KeyName, state: string): void {
    this.#models.set(name, { ...this.of(name), state })
  }
}

const isAlive = ({ state }: Model) => state !== 'none' && state !== 'erased'

/** As the document on backups has it. */
function expected(before: Model, after: Model, hasJournal: boolean, isRevived: boolean): string {
  if (!hasJournal) return isAlive(before) ? 'disabled' : before.state
  if (isAlive(before) && isAlive(after) && before.made === after.made) return after.state
  if (isAlive(before) && isRevived) return 'disabled'
  return after.state === 'none' ? 'none' : 'erased'
}

test('whatever happens before and after a backup, what is restored is as the model says', {
  timeout: 120_000,
}, async () => {
  const step = fc.tuple(
    fc.constantFrom('create', 'disable', 'enable', 'erase', 'reuse', 'schedule', 'cancel'),
    fc.nat(NAMES.length - 1),
  ) as fc.Arbitrary<Step>
  const steps = fc.array(step, { maxLength: 14 })
  let run = 0
  await fc.assert(
    fc.asyncProperty(steps, steps, fc.boolean(), fc.boolean(), async (first, second, hasJournal, revives) => {
      run += 1
      open.store.close()
      open = openStore(`model-${run}.db`)
      const keys = new Keys()
      for (const each of first) await keys.take(each)
      const before = keys.all()
      const { text } = await backUp()
      for (const each of second) await keys.take(each)
      const revivable = NAMES.filter((name) => {
        const [old, last] = [before.get(name), keys.of(name)]
        return old !== undefined && isAlive(old) && !(isAlive(last) && last.made === old.made)
      })
      const revive = hasJournal && revives ? revivable.slice(0, 1) : []
      const how = hasJournal ? { journal: exportJournal(), revive } : {}
      await restoreInto(`restored-${run}.db`, text, how)
      await inside(`restored-${run}.db`, (restored) => {
        verifyJournal(restored)
        for (const name of NAMES) {
          const old = before.get(name) ?? expect.fail()
          const state = expected(old, keys.of(name), hasJournal, revive.includes(name))
          expect(stateIn(restored, name), name).toBe(state)
        }
      })
    }),
    { numRuns: Number(process.env.BACKUP_RUNS ?? 25) },
  )
})

function stateIn({ ring, store }: Open, name: KeyName): string {
  if (store.has(name)) return ring.describe(name).state
  return store.readErased(name) === undefined ? 'none' : 'erased'
}
