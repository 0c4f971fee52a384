// Slots, and the replacement of the root key, over a store in a file.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  InvalidSecretError,
  KeyDisabledError,
  KeyNameReservedError,
  KeyNotFoundError,
  RecordDamagedError,
  SealConflictError,
  SlotNotFoundError,
  WrongSecretError,
} from '../errors.ts'
import { decodeEntry } from '../journal/entry.ts'
import type { Journal } from '../journal/journal.ts'
import { JournalVerifier } from '../journal/verify.ts'
import { parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { WrongKeyFileError, WrongPassphraseError } from '../seal/seal-errors.ts'
import { boxOf } from '../seal/slots.ts'
import { FsStore } from '../store/fs-store.ts'
import { KeyFolder } from '../store/key-folder.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { KeyRing } from './key-ring.ts'
import { openJournal } from './open-journal.ts'
import { onlyHolder, SealAdmin, type Secret } from './seal-admin.ts'

const CHEAP = { memoryKiB: 8 * 1024, passes: 1, parallelism: 1 }
const admin = { identity: 'admin', ip: '192.0.2.1' }
const NEVER = new AbortController().signal
const orders = parseKeyName('orders')

let folder: string
let path: string
let keyFile: Buffer
let open: Open

interface Open {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
  readonly ring: KeyRing
  readonly admin: SealAdmin
}

const own = (): Secret => ({ kind: 'key file', bytes: Buffer.from(keyFile) })
const passphrase = (text: string): Secret => ({ kind: 'passphrase', passphrase: Buffer.from(text) })

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'seal-admin-'))
  path = join(folder, 'keys.db')
  keyFile = randomBytes(32)
  open = openWith(own())
})

afterEach(() => {
  open.store.close()
  rmSync(folder, { recursive: true })
})

function openWith(secret: Secret): Open {
  const store = SqliteStore.open(path)
  try {
    const seal = Seal.isSetUp(store) ? Seal.open(store, secret) : Seal.create(store, secret)
    const journal = openJournal(store, seal)
    const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
    const options = { store, seal, journal, holders: onlyHolder(seal), cost: CHEAP, ownSecret: own }
    return { store, seal, journal, ring, admin: new SealAdmin(options) }
  } catch (error) {
    store.close()
    throw error
  }
}

function reopen(secret: Secret = own()): void {
  open.store.close()
  open = openWith(secret)
}

/** Whether the secret opens the store at a start. */
function opens(secret: Secret): boolean {
  try {
    Seal.open(open.store, secret).destroy()
    return true
  } catch (error) {
    if (error instanceof WrongPassphraseError || error instanceof WrongKeyFileError) return false
    throw error
  }
}

/** All bytes of the store, as a thief of its folder has them. */
function everyByte(): Buffer {
  return Buffer.concat(readdirSync(folder).map((file) => readFileSync(join(folder, file))))
}

function edit(sql: string): void {
  const db = new Database(path)
  db.exec(sql)
  db.close()
}

/** The journal's entries about the seal; the whole journal is verified. */
function sealEntries() {
  const verifier = new JournalVerifier(open.journal.publicKey)
  const entries = open.journal.read(0, 10_000).map(({ entry, ...stored }) => {
    return verifier.nextFiled({ bytes: entry, ...stored })
  })
  return entries
    .filter(({ action }) => /slot|root/.test(action))
    .map(({ action, identity, detail }) => ({ action, identity, detail }))
}

function slots() {
  return open.store.readSeal()?.slots ?? []
}

describe('slots', () => {
  test('a passphrase that was added opens the store, beside the secret before', async () => {
    const { slotId } = await open.admin.addSlot(own(), passphrase('correct horse'), 'safe', admin)
    expect(slotId).toBe(2)
    reopen(passphrase('correct horse'))
    reopen()
    expect(sealEntries()).toEqual([
      { action: 'add slot', identity: 'admin', detail: { slot: 2, kind: 'passphrase', label: 'safe' } },
    ])
  })

  test('what describes them tells kinds, times, costs, and which is the own one, but nothing secret', async () => {
    await open.admin.addSlot(own(), passphrase('correct horse'), 'safe', admin)
    const { slots: found, rotation } = open.admin.describe()
    expect(found).toMatchObject([
      { slotId: 1, kind: 'key file', label: 'first', isOwn: true },
      { slotId: 2, kind: 'passphrase', label: 'safe', isOwn: false, cost: CHEAP },
    ])
    expect(Object.keys(found[1] ?? {})).not.toContain('record')
    expect(rotation).toBeUndefined()
  })

  test('none is added by a secret that opens nothing, and the secrets are wiped all the same', async () => {
    const unlock = passphrase('wrong horse')
    const secret = { kind: 'key file', bytes: randomBytes(32) } as const
    await expect(open.admin.addSlot(unlock, secret, '', admin)).rejects.toThrow(WrongSecretError)
    expect(unlock).toEqual(passphrase('\0'.repeat(11)))
    expect(secret.bytes).toEqual(Buffer.alloc(32))
    expect(slots()).toHaveLength(1)
    expect(sealEntries()).toEqual([])
  })

  test.each([
    ['a passphrase of 7 bytes', passphrase('1234567')],
    ['a key file of 31 bytes', { kind: 'key file', bytes: randomBytes(31) } as const],
  ])('none is added with %s', async (_, secret) => {
    await expect(open.admin.addSlot(own(), secret, '', admin)).rejects.toThrow(InvalidSecretError)
    expect(slots()).toHaveLength(1)
  })

  test('there are 8 at most', async () => {
    const add = () => open.admin.addSlot(own(), { kind: 'key file', bytes: randomBytes(32) }, '', admin)
    for (let count = 1; count < 8; count += 1) await add()
    await expect(add()).rejects.toThrow(SealConflictError)
    reopen()
  })

  test('a removed slot opens nothing any more, and no file holds its wrapped root key', async () => {
    const { slotId } = await open.admin.addSlot(own(), passphrase('correct horse'), 'safe', admin)
    const box = Buffer.from(boxOf(slots()[1]?.record ?? Buffer.of()))
    expect(everyByte().includes(box)).toBe(true)
    expect(await open.admin.removeSlot(slotId, admin)).toEqual({ slotId, isErased: true })
    expect(opens(passphrase('correct horse'))).toBe(false)
    expect(everyByte().includes(box)).toBe(false)
    expect(sealEntries().at(-1)).toMatchObject({ action: 'remove slot', detail: { slot: 2, label: 'safe' } })
  })

  test('the last one, the own one, and one that does not exist are not removed', async () => {
    await expect(open.admin.removeSlot(1, admin)).rejects.toThrow(SealConflictError)
    await open.admin.addSlot(own(), passphrase('correct horse'), '', admin)
    await expect(open.admin.removeSlot(1, admin)).rejects.toThrow(SealConflictError)
    await expect(open.admin.removeSlot(3, admin)).rejects.toThrow(SlotNotFoundError)
    expect(slots()).toHaveLength(2)
  })

  test('a reader of the store delays the removal from the disk, not the removal', async () => {
    const { slotId } = await open.admin.addSlot(own(), passphrase('correct horse'), '', admin)
    open.store.close()
    const store = SqliteStore.open(path, { eraseTimeoutMs: 50 })
    const seal = Seal.open(store, own())
    const options = { store, seal, journal: openJournal(store, seal), holders: onlyHolder(seal) }
    const patient = new SealAdmin({ ...options, cost: CHEAP, ownSecret: own })
    const reader = new Database(path, { readonly: true })
    reader.exec('BEGIN')
    reader.prepare('SELECT count(*) FROM keys').get()
    expect(await patient.removeSlot(slotId, admin)).toEqual({ slotId, isErased: false })
    reader.close()
    expect(await store.purge()).toBe(true)
    store.close()
    open = openWith(own())
    expect(slots()).toHaveLength(1)
  })

  test('a passphrase is changed in its slot, and the one before opens nothing', async () => {
    await open.admin.addSlot(own(), passphrase('correct horse'), 'safe', admin)
    const box = Buffer.from(boxOf(slots()[1]?.record ?? Buffer.of()))
    const [before, next] = [Buffer.from('correct horse'), Buffer.from('battery staple')]
    expect(await open.admin.changePassphrase(before, next, admin)).toEqual({ slotId: 2, isErased: true })
    expect(opens(passphrase('battery staple'))).toBe(true)
    expect(opens(passphrase('correct horse'))).toBe(false)
    expect(everyByte().includes(box)).toBe(false)
    expect(sealEntries().map(({ action }) => action)).toEqual(['add slot', 'remove slot', 'add slot'])
  })

  test('changes at the same time come one after the other', async () => {
    const added = await Promise.all(
      ['first of two', 'second of two'].map((text) =>
        open.admin.addSlot(own(), passphrase(text), text, admin),
      ),
    )
    expect(added.map(({ slotId }) => slotId)).toEqual([2, 3])
    expect(opens(passphrase('first of two')) && opens(passphrase('second of two'))).toBe(true)
  })

  test('a change is refused if the slots were changed by another process meanwhile', async () => {
    const adding = open.admin.addSlot(own(), passphrase('correct horse'), '', admin)
    await Promise.resolve()
    edit(`INSERT INTO slots (label, created_at, record) VALUES ('', '', x'00')`)
    await expect(adding).rejects.toThrow(SealConflictError)
  })
})

describe('a new root key', () => {
  const names = Array.from({ length: 250 }, (_, number) => parseKeyName(`key-${number}`))
  const rotate = async () => {
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    return await open.admin.finishRotation(NEVER)
  }
  /** Some rows, by their name: the number of their root key. */
  const generations = () => names.map((name) => open.store.read(name)?.rootGeneration)

  beforeEach(() => {
    open.store.transaction(() => {
      for (const name of names) open.ring.create(name, admin)
    })
  })

  test('seals every key and erased name, and what was encrypted before is decrypted after', async () => {
    const context = Buffer.from('context')
    const ciphertext = open.ring.use(names[7] ?? orders).cipher.encrypt(Buffer.from('text'), context)
    open.ring.setState(names[8] ?? orders, 'disabled', admin)
    open.ring.create(orders, admin)
    await open.ring.erase(orders, admin)
    expect(await rotate()).toEqual({ resealed: 251, damaged: 0, isErased: true })
    expect(new Set(generations())).toEqual(new Set([2]))
    reopen()
    expect(open.ring.use(names[7] ?? orders).cipher.decrypt(ciphertext, context)).toEqual(Buffer.from('text'))
    expect(() => open.ring.use(names[8] ?? orders)).toThrow(KeyDisabledError)
    expect(() => open.ring.create(orders, admin)).toThrow(KeyNameReservedError)
    const tombstone = open.store.readErased(orders)
    expect(tombstone && open.seal.isAuthenticErased(tombstone)).toBe(true)
    expect(sealEntries()).toEqual([
      { action: 'new root key', identity: 'admin', detail: { generation: 2, slots: '1' } },
    ])
  })

  test('leaves nothing on the disk that holds the one before', async () => {
    const { slots: [slot] = [] } = open.store.readSeal() ?? {}
    const before = open.store.read(names[0] ?? orders)?.sealed ?? Buffer.of()
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    const old = Buffer.from(open.store.readSeal()?.oldRoot?.sealed ?? Buffer.of())
    expect(everyByte().includes(old)).toBe(true)
    await open.admin.finishRotation(NEVER)
    const bytes = everyByte()
    for (const gone of [boxOf(slot?.record ?? Buffer.of()), old, Buffer.from(before)]) {
      expect(gone.length).toBeGreaterThan(40)
      expect(bytes.includes(gone)).toBe(false)
    }
  })

  test('is put in place while keys are used, made, changed and erased', async () => {
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    const rotating = open.admin.finishRotation(NEVER)
    let mixed = false
    let turn = 0
    for (let isDone = false; !isDone; turn += 1) {
      const found = new Set(generations())
      mixed ||= found.size === 2
      open.ring.forgetAll()
      for (const name of names.slice(100, 200)) open.ring.use(name)
      const made = parseKeyName(`made-${turn}`)
      open.ring.create(made, admin)
      open.ring.setState(names[turn % 100] ?? orders, turn % 2 === 0 ? 'disabled' : 'enabled', admin)
      if (turn % 3 === 0) await open.ring.erase(made, admin)
      isDone = await Promise.race([
        rotating.then(() => true),
        new Promise<false>((resolve) => setImmediate(resolve, false)),
      ])
    }
    expect(mixed).toBe(true)
    expect(new Set(generations())).toEqual(new Set([2]))
    reopen()
    for (const { name, state } of open.ring.descriptions('', undefined, 1000)) {
      expect(state).not.toBe('damaged')
      if (state === 'enabled') open.ring.use(name)
    }
  })

  test('is put in place by a later process from where an earlier one was cut off', async () => {
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    const end = new AbortController()
    const stopped = open.admin.finishRotation(end.signal, ({ done }) => {
      if (done >= 100) end.abort()
    })
    expect(await stopped).toBeUndefined()
    expect(new Set(generations())).toEqual(new Set([1, 2]))
    reopen()
    for (const name of names) open.ring.use(name)
    expect(open.admin.describe().rootGeneration).toBe(2)
    expect(await open.admin.finishRotation(NEVER)).toEqual({ resealed: 150, damaged: 0, isErased: true })
    reopen()
    for (const name of names) open.ring.use(name)
  })

  test('follows another one', async () => {
    await rotate()
    await rotate()
    reopen()
    expect(open.admin.describe()).toMatchObject({ rootGeneration: 3 })
    for (const name of names) open.ring.use(name)
  })

  test('is not begun while another one is put in place', async () => {
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    await expect(rotate()).rejects.toThrow(SealConflictError)
  })

  test('asks for each slot whether it is kept, and takes those away that are not', async () => {
    await open.admin.addSlot(own(), passphrase('correct horse'), 'safe', admin)
    await open.admin.addSlot(own(), passphrase('lost in a fire'), 'lost', admin)
    const begin = (secrets: [number, Secret][], removed: number[]) =>
      open.admin.beginRotation({ secrets: new Map(secrets), removed }, admin)
    await expect(begin([[2, passphrase('correct horse')]], [])).rejects.toThrow(/slot 3 needs its secret/)
    await expect(begin([[2, passphrase('wrong horse')]], [3])).rejects.toThrow(WrongSecretError)
    await expect(begin([[2, passphrase('correct horse')]], [3, 4])).rejects.toThrow(SlotNotFoundError)
    await expect(begin([], [1, 2, 3])).rejects.toThrow(SealConflictError)
    await expect(begin([[2, passphrase('correct horse')]], [1, 3])).rejects.toThrow(SealConflictError)
    expect(open.store.rootGeneration()).toBe(1)
    await begin([[2, passphrase('correct horse')]], [3])
    await open.admin.finishRotation(NEVER)
    expect(slots().map(({ slotId, label }) => [slotId, label])).toEqual([
      [1, 'first'],
      [2, 'safe'],
    ])
    expect(opens(passphrase('lost in a fire'))).toBe(false)
    reopen(passphrase('correct horse'))
    open.ring.use(names[0] ?? orders)
    expect(sealEntries().slice(-2)).toMatchObject([
      { action: 'remove slot', detail: { slot: 3 } },
      { action: 'new root key', detail: { generation: 2, slots: '1,2' } },
    ])
  })

  test('leaves a damaged record as it is, and an edited row refused but not lost', async () => {
    const [damaged, edited] = [names[1] ?? orders, names[2] ?? orders]
    edit(`UPDATE keys SET sealed = zeroblob(93) WHERE name = '${damaged}'`)
    edit(`UPDATE keys SET state = 1 WHERE name = '${edited}'`)
    edit(`UPDATE keys SET sealed = zeroblob(93), state = 1 WHERE name = '${names[3]}'`)
    const withoutMac = names[4] ?? orders
    edit(`UPDATE keys SET mac = x'00' WHERE name = '${withoutMac}'`)
    edit(`UPDATE keys SET revision = -1 WHERE name = '${names[5]}'`)
    expect(await rotate()).toEqual({ resealed: 248, damaged: 2, isErased: true })
    reopen()
    for (const name of [damaged, edited, names[3] ?? orders, withoutMac, names[5] ?? orders]) {
      expect(() => open.ring.use(name)).toThrow(RecordDamagedError)
    }
    for (const name of [edited, withoutMac]) {
      open.ring.setState(name, 'disabled', admin)
      open.ring.setState(name, 'enabled', admin)
      open.ring.use(name)
    }
    open.ring.setState(names[3] ?? orders, 'disabled', admin)
    expect(() => open.ring.setState(names[3] ?? orders, 'enabled', admin)).toThrow(RecordDamagedError)
    await open.ring.erase(names[3] ?? orders, admin)
    expect(() => open.ring.describe(names[3] ?? orders)).toThrow(KeyNotFoundError)
  })

  test('a rotated key that is erased leaves neither of its records on the disk', async () => {
    const name = names[0] ?? orders
    const before = Buffer.from(open.store.read(name)?.sealed ?? Buffer.of())
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    const end = new AbortController()
    await open.admin.finishRotation(end.signal, () => end.abort())
    const after = Buffer.from(open.store.read(name)?.sealed ?? Buffer.of())
    expect(after).not.toEqual(before)
    await open.ring.erase(name, admin)
    expect(everyByte().includes(before) || everyByte().includes(after)).toBe(false)
  })

  test('a store whose old root key was damaged does not open, with one line', async () => {
    await open.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    open.store.close()
    edit('UPDATE old_root SET sealed = zeroblob(61)')
    expect(() => openWith(own())).toThrow(/the root key that is being replaced can not be unsealed/)
    edit('DELETE FROM old_root')
    open = openWith(own())
    expect(() => open.ring.use(names[0] ?? orders)).toThrow(RecordDamagedError)
  })

  test('no row passes as one of another root key, whatever number is written into it', async () => {
    await rotate()
    fc.assert(
      fc.property(fc.nat(names.length - 1), fc.integer({ min: 1, max: 5 }), (index, generation) => {
        const row = open.store.read(names[index] ?? orders)
        if (row === undefined) throw new Error('the key is not there')
        const forged = { ...row, rootGeneration: generation }
        expect(open.seal.isAuthentic(forged)).toBe(generation === 2)
      }),
      { numRuns: 20 },
    )
  })

  test('keeps the dates of keys that wait for their deletion, and the time that they have waited', async () => {
    const name = names[0] ?? orders
    open.ring.schedule(name, 3_600_000, admin)
    const before = open.store.read(name)?.deletion
    const time = open.store.runningTime()
    await rotate()
    reopen()
    expect(before).toBeDefined()
    expect(open.store.read(name)?.deletion).toEqual(before)
    expect(open.ring.describe(name).state).toBe('pending')
    const after = open.store.runningTime()
    expect(after && { ...after, mac: time?.mac }).toEqual(time)
    expect(after && open.seal.isAuthenticRunningTime(2, after)).toBe(true)
    open.ring.cancelDeletion(name, admin)
  })

  test('marks the files of a folder of the Go KES anew, and leaves them as they are', async () => {
    const at = join(folder, 'kes')
    const openFolder = () => {
      const store = FsStore.openFolder(KeyFolder.resolve(at), join(folder, 'kes.db'))
      const seal = Seal.isSetUp(store) ? Seal.open(store, own()) : Seal.create(store, own())
      const journal = openJournal(store, seal)
      const ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
      const options = { store, seal, journal, holders: onlyHolder(seal), cost: CHEAP, ownSecret: own }
      return { store, ring, admin: new SealAdmin(options) }
    }
    const before = openFolder()
    before.ring.create(orders, admin)
    const value = readFileSync(join(at, orders))
    await before.admin.beginRotation({ secrets: new Map(), removed: [] }, admin)
    const rotated = await before.admin.finishRotation(NEVER)
    expect(rotated).toEqual({ resealed: 1, damaged: 0, isErased: true })
    before.store.close()
    const after = openFolder()
    after.ring.use(orders)
    expect(readFileSync(join(at, orders))).toEqual(value)
    expect(readdirSync(at)).toEqual([orders])
    after.store.close()
  })

  test('entries of the journal keep their key', async () => {
    const before = open.journal.publicKey.export({ format: 'pem', type: 'spki' })
    await rotate()
    reopen()
    expect(open.journal.publicKey.export({ format: 'pem', type: 'spki' })).toEqual(before)
    const [last] = open.journal.read(0, 10_000).slice(-1)
    expect(last && decodeEntry(last.entry).action).toBe('new root key')
  })
})
