// The folder as the Go KES would find it, and the database as a thief would.
import { randomBytes } from 'node:crypto'
import fs, {
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  ErasePendingError,
  KeyExistsError,
  KeyNameReservedError,
  StoreError,
  StoreUnreachableError,
} from '../errors.ts'
import { parseKeyName } from '../names.ts'
import { FsStore } from './fs-store.ts'
import { KeyFolder } from './key-folder.ts'
import type { ErasedName, KeyRow } from './key-store.ts'
import { StoreLockedError } from './open-errors.ts'
import { SqliteStore } from './sqlite-store.ts'

const VALUE = 'what KES keeps of a key'
const MARK = Buffer.alloc(33, 7)
const a = parseKeyName('a')
const b = parseKeyName('b')

let root: string
let folder: string
let database: string
let store: FsStore

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'fs-store-'))
  folder = join(root, 'keys')
  database = join(root, 'keys.db')
  open()
})

afterEach(() => {
  vi.restoreAllMocks()
  syncBuiltinESMExports()
  store.close()
  rmSync(root, { recursive: true })
})

function open(): void {
  store = FsStore.openFolder(KeyFolder.resolve(folder), database, { eraseTimeoutMs: 20_000 })
}

function reopen(): void {
  store.close()
  open()
}

function row(name = a, value = VALUE): KeyRow {
  return {
    keyId: randomBytes(16),
    name,
    algorithm: 'AES256',
    createdAt: '2026-01-01T00:00:00Z',
    createdBy: 'me',
    sealed: Buffer.concat([MARK, Buffer.from(value)]),
    state: 'enabled',
    revision: 1,
    changedAt: '2026-01-01T00:00:00Z',
    changedBy: 'me',
    journalEntry: 1,
    rootGeneration: 1,
    mac: randomBytes(32),
  }
}

function tombstone(name = a): ErasedName {
  return { name, keyId: randomBytes(16), erasedAt: '', erasedBy: '', rootGeneration: 1, mac: randomBytes(32) }
}

/** All bytes that stand beside the folder. */
function bytesBeside(): Buffer {
  const files = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isFile())
  return Buffer.concat(files.map(({ name }) => readFileSync(join(root, name))))
}

function pathOf(name = a): string {
  return join(folder, name)
}

describe('a key that is made', () => {
  test('is one file with its value, which only its owner may read, and nothing else in the folder', () => {
    store.insert(row())
    expect(readdirSync(folder)).toEqual(['a'])
    expect(readFileSync(pathOf(), 'utf8')).toBe(VALUE)
    expect(statSync(pathOf()).mode & 0o777).toBe(0o600)
    expect(statSync(pathOf()).nlink).toBe(1)
    expect(readdirSync(`${folder}.latchkey.new`)).toEqual([])
  })

  test('is read back whole, also by the next process', () => {
    const made = row()
    store.insert(made)
    expect(store.read(a)).toEqual(made)
    reopen()
    expect(store.read(a)).toEqual(made)
    expect(store.rows('', undefined, 10)).toEqual([made])
  })

  test('leaves no byte of its value in the database', () => {
    store.insert(row())
    store.replace({ ...row(), revision: 2 }, 1)
    expect(bytesBeside().includes(MARK)).toBe(true)
    expect(bytesBeside().includes('what KES')).toBe(false)
  })

  test('never replaces a file, whoever made it', () => {
    writeFileSync(pathOf(), 'of another program')
    expect(() => store.insert(row())).toThrow(KeyExistsError)
    expect(readFileSync(pathOf(), 'utf8')).toBe('of another program')
    expect(store.has(a)).toBe(false)
  })

  test('is not there after a transaction that failed, in the folder neither', () => {
    expect(() =>
      store.transaction(() => {
        store.insert(row(a))
        store.insert(row(b))
        throw new RangeError('changed my mind')
      }),
    ).toThrow(RangeError)
    expect(readdirSync(folder)).toEqual([])
    expect(store.count()).toBe(0)
  })

  test('stays when a part of the transaction that came after it failed alone', () => {
    store.transaction(() => {
      store.insert(row(a))
      expect(() =>
        store.transaction(() => {
          store.insert(row(b))
          throw new RangeError('this part only')
        }),
      ).toThrow(RangeError)
    })
    expect(readdirSync(folder)).toEqual(['a'])
    expect(store.names('', undefined, 10)).toEqual(['a'])
  })

  test('is written to the disk, name and all, before its row is', () => {
    const steps: string[] = []
    const sync = vi.spyOn(KeyFolder.prototype, 'sync').mockImplementation(() => {
      const other = new Database(database, { readonly: true })
      steps.push(`${readdirSync(folder)}, rows: ${other.prepare('SELECT count(*) FROM keys').pluck().get()}`)
      other.close()
    })
    store.insert(row())
    expect(steps).toEqual(['a, rows: 0'])
    expect(sync).toHaveBeenCalledOnce()
  })

  test('is not there if its folder can not be synced', () => {
    vi.spyOn(KeyFolder.prototype, 'sync').mockImplementation(() => {
      throw new StoreError('create key')
    })
    expect(() => store.insert(row())).toThrow(StoreError)
    expect(readdirSync(folder)).toEqual([])
    expect(store.has(a)).toBe(false)
  })

  test('can not have a name that leads out of the folder', () => {
    expect(() => store.insert({ ...row(), name: '../a' as typeof a })).toThrow(StoreError)
    expect(existsSync(join(root, 'a'))).toBe(false)
    expect(store.read('../keys.db' as typeof a)).toBeUndefined()
  })
})

describe('a key that is changed', () => {
  test('has another row and the same file', () => {
    store.insert(row())
    const before = statSync(pathOf())
    const { sealed, ...rest } = store.read(a) ?? row()
    store.replace({ ...rest, sealed, state: 'disabled', revision: 2 }, 1)
    expect(store.read(a)).toMatchObject({ state: 'disabled', revision: 2, sealed })
    expect(statSync(pathOf()).ino).toBe(before.ino)
    expect(statSync(pathOf()).mtimeMs).toBe(before.mtimeMs)
  })

  test.each([
    ['missing', () => rmSync(pathOf())],
    ['a folder', () => [rmSync(pathOf()), mkdirSync(pathOf())]],
    ['a link', () => [renameSync(pathOf(), join(root, 'moved')), symlinkSync(join(root, 'moved'), pathOf())]],
    ['larger than KES reads', () => writeFileSync(pathOf(), Buffer.alloc(2 ** 20 + 1))],
  ])('is disabled although its file is %s', (_, spoil) => {
    const { sealed, ...rest } = row()
    store.insert({ ...rest, sealed })
    spoil()
    const found = store.read(a)
    expect(found?.sealed).toEqual(MARK)
    store.replace({ ...rest, sealed: found?.sealed ?? sealed, state: 'disabled', revision: 2 }, 1)
    expect(store.read(a)?.state).toBe('disabled')
  })

  test('puts no byte of its file into a database whose mark was cut short', () => {
    store.insert(row())
    const other = new Database(database)
    other.exec("UPDATE keys SET sealed = x'02'")
    other.close()
    const found = store.read(a)
    expect(found?.sealed).toEqual(Buffer.concat([Buffer.alloc(33), Buffer.from(VALUE)]))
    store.replace({ ...row(), sealed: found?.sealed ?? MARK, revision: 2 }, 1)
    expect(bytesBeside().includes('what KES')).toBe(false)
  })
})

describe('a key that is erased', () => {
  test('has no file any more, nor its bytes beside the folder', async () => {
    store.insert(row())
    store.erase(a, tombstone())
    await store.finishErasure(a)
    expect(readdirSync(folder)).toEqual([])
    expect(readdirSync(`${folder}.latchkey.new`)).toEqual([])
    expect(store.isErasing(a)).toBe(false)
    expect(() => store.insert(row())).toThrow(KeyNameReservedError)
  })

  test('is overwritten where it stood, so that another name of the file shows zeros', async () => {
    store.insert(row())
    linkSync(pathOf(), join(root, 'other-name'))
    store.erase(a, undefined)
    await store.finishErasure(a)
    expect(readFileSync(join(root, 'other-name'))).toEqual(Buffer.alloc(VALUE.length))
  })

  test('goes although its file may not be written to', async () => {
    store.insert(row())
    chmodSync(pathOf(), 0o400)
    store.erase(a, undefined)
    await store.finishErasure(a)
    expect(readdirSync(folder)).toEqual([])
  })

  test('is pending, and gone for every reader, while its file can not be removed', async () => {
    store.insert(row())
    const remove = vi.spyOn(KeyFolder.prototype, 'remove').mockImplementation(() => {
      throw new Error('EIO')
    })
    store.erase(a, tombstone())
    await expect(store.finishErasure(a)).rejects.toThrow(ErasePendingError)
    await expect(store.purge()).rejects.toThrow('EIO')
    expect(store.read(a)).toBeUndefined()
    expect(store.has(a)).toBe(false)
    expect(store.isErasing(a)).toBe(true)
    expect(store.mayHoldErased(a)).toBe(true)

    remove.mockRestore()
    expect(await store.purge()).toBe(true)
    expect(store.mayHoldErased(a)).toBe(false)
    expect(readdirSync(folder)).toEqual([])
    await store.finishErasure(a)
    expect(store.isErasing(a)).toBe(false)
  })

  test('does not take the file of the key that is made under its name next with it', async () => {
    store.insert(row())
    vi.spyOn(KeyFolder.prototype, 'remove').mockImplementationOnce(() => {
      throw new Error('EIO')
    })
    store.erase(a, undefined)
    await expect(store.finishErasure(a)).rejects.toThrow(ErasePendingError)
    store.insert(row(a, 'another key'))
    await store.finishErasure(a)
    expect(await store.purge()).toBe(true)
    expect(readFileSync(pathOf(), 'utf8')).toBe('another key')
  })

  test('is back, file and row, if the transaction fails', () => {
    const made = row()
    store.insert(made)
    expect(() =>
      store.transaction(() => {
        store.erase(a, tombstone())
        throw new RangeError('changed my mind')
      }),
    ).toThrow(RangeError)
    expect(store.read(a)).toEqual(made)
  })
})

describe('the folder', () => {
  test('may hold files that the store does not know: such a name is neither free nor usable', () => {
    writeFileSync(pathOf(), VALUE)
    expect(store.read(a)).toBeUndefined()
    expect(() => store.insert(row())).toThrow(KeyExistsError)
    expect(store.names('', undefined, 10)).toEqual([])
  })

  test('is asked for by status, and not taken for another one in its place', async () => {
    await store.status()
    renameSync(folder, `${folder}.away`)
    await expect(store.status()).rejects.toThrow(StoreUnreachableError)
    mkdirSync(folder)
    await expect(store.status()).rejects.toThrow(StoreUnreachableError)
    rmSync(folder, { recursive: true })
    renameSync(`${folder}.away`, folder)
    await store.status()
  })

  test('belongs to one process', () => {
    expect(() => FsStore.openFolder(folder, database)).toThrow(StoreLockedError)
    expect(() => SqliteStore.open(database)).toThrow(StoreLockedError)
  })

  test('is read by other processes beside the one that writes', async () => {
    const made = row()
    store.insert(made)
    const beside = FsStore.openFolderBeside(store.folder.path, store.path, process.pid)
    expect(beside.recordForm).toBe('kes')
    expect(beside.read(a)).toEqual(made)
    expect(() => beside.insert(row(b))).toThrow(StoreError)
    expect(readdirSync(folder)).toEqual(['a'])
    store.erase(a, undefined)
    expect(beside.read(a)).toBeUndefined()
    await store.finishErasure(a)
    beside.close()
  })

  test('answers "no such key" to who has read the row of a key that is erased that moment', () => {
    store.insert(row())
    vi.spyOn(store.folder, 'read').mockImplementationOnce(() => {
      store.erase(a, undefined)
      return undefined
    })
    expect(store.read(a)).toBeUndefined()
  })

  test('loses what a killed process was about to place, or to overwrite', () => {
    store.close()
    writeFileSync(join(`${folder}.latchkey.new`, 'key-1-1'), VALUE)
    open()
    expect(readdirSync(`${folder}.latchkey.new`)).toEqual([])
  })

  test('keeps the file whose second name a killed process had no time to remove', () => {
    store.insert(row())
    store.close()
    linkSync(pathOf(), join(`${folder}.latchkey.new`, 'key-1-1'))
    open()
    expect(readdirSync(`${folder}.latchkey.new`)).toEqual([])
    expect(readFileSync(pathOf(), 'utf8')).toBe(VALUE)
  })

  test('takes hidden files for a moment where none can be linked into it from beside', async () => {
    store.close()
    rmSync(`${folder}.latchkey.new`, { recursive: true })
    writeFileSync(`${folder}.latchkey.new`, 'a file in the way')
    writeFileSync(join(folder, '.latchkey-1-1'), VALUE)
    open()
    store.insert(row(a))
    store.insert(row(b))
    expect(readdirSync(folder)).toEqual(['a', 'b'])
    store.erase(a, undefined)
    await store.finishErasure(a)
    expect(readdirSync(folder)).toEqual(['b'])
    expect(readFileSync(`${folder}.latchkey.new`, 'utf8')).toBe('a file in the way')
  })

  test('takes hidden files, too, once it turns out that no link leads into it from beside', async () => {
    vi.spyOn(fs, 'linkSync').mockImplementationOnce(() => {
      throw Object.assign(new Error('cross-device link'), { code: 'EXDEV' })
    })
    syncBuiltinESMExports()
    store.insert(row(a))
    vi.restoreAllMocks()
    syncBuiltinESMExports()
    expect(readdirSync(folder)).toEqual(['a'])
    const staged = vi.spyOn(fs, 'renameSync')
    syncBuiltinESMExports()
    store.erase(a, undefined)
    await store.finishErasure(a)
    expect(staged).toHaveBeenCalledWith(pathOf(), expect.stringContaining(join(folder, '.latchkey-')))
    expect(readdirSync(folder)).toEqual([])
  })

  test('that is a file is refused in KES’s words', () => {
    writeFileSync(join(root, 'file'), '')
    expect(() => KeyFolder.resolve(join(root, 'file'))).toThrow(
      `fs: '${join(root, 'file')}' is not a directory`,
    )
    expect(() => KeyFolder.resolve(join(root, 'file', 'keys'))).toThrow('is not a directory')
  })

  test('is made with its parents, for its owner alone, and told of if others can write to it', () => {
    const deep = join(root, 'x', 'y')
    KeyFolder.resolve(deep)
    expect(statSync(deep).mode & 0o777).toBe(0o700)
    expect(KeyFolder.open(deep).warnings).toEqual([])
    chmodSync(deep, 0o777)
    expect(KeyFolder.open(deep).warnings).toEqual([expect.stringContaining(`chmod 700 '${deep}'`)])
  })
})
