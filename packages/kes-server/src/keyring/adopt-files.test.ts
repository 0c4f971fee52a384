// A folder that the Go KES and this server use in turn.
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { KeyDisabledError, KeyExistsError, KeyNotFoundError, RecordDamagedError } from '../errors.ts'
import type { Journal } from '../journal/journal.ts'
import { JournalVerifier } from '../journal/verify.ts'
import { isName, type KeyName, parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { decodeStoredKey, encodeStoredKey } from '../seal/stored-key.ts'
import { FsStore } from '../store/fs-store.ts'
import { KeyFolder } from '../store/key-folder.ts'
import { adoptFile, adoptFiles } from './adopt-files.ts'
import { describeFindings, type FolderFindings } from './folder-findings.ts'
import { KeyRing } from './key-ring.ts'
import { openJournal } from './open-journal.ts'

const BY = { identity: 'b'.repeat(64), ip: '127.0.0.1' }
const a = parseKeyName('a')
const b = parseKeyName('b')
const secret = randomBytes(32)

let root: string
let folder: string
let store: FsStore
let seal: Seal
let journal: Journal
let ring: KeyRing
let findings: FolderFindings

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'adopt-files-'))
  folder = join(root, 'keys')
  open()
})

afterEach(() => {
  store.close()
  rmSync(root, { recursive: true })
})

function open(): void {
  store = FsStore.openFolder(KeyFolder.resolve(folder), join(root, 'keys.db'))
  const unseal = { kind: 'key file', bytes: Buffer.from(secret) } as const
  seal = Seal.isSetUp(store) ? Seal.open(store, unseal) : Seal.create(store, unseal)
  journal = openJournal(store, seal)
  findings = adoptFiles(store, seal, journal)
  ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
}

/** What happens to the folder while this server is down. */
function whileClosed(change: () => void): void {
  store.close()
  change()
  open()
}

/** As the Go KES writes a new key. */
function makeKey(name: KeyName): string {
  const [secretKey, hmacKey] = [randomBytes(32), randomBytes(32)]
  const text = encodeStoredKey({
    algorithm: 'AES256',
    secretKey,
    hmacKey,
    createdAt: '2026-01-02T03:04:05.123456789Z',
    createdBy: 'c'.repeat(64),
  })
  write(name, text)
  return text
}

function write(name: string, text: string | Buffer): void {
  writeFileSync(join(folder, name), text, { mode: 0o600 })
}

function remove(name: KeyName): void {
  rmSync(join(folder, name))
}

function actions(name: KeyName): string[] {
  return ring.history(name, 0, 100).map(({ entry }) => `${entry.action} ${entry.state}`)
}

function found(): Partial<FolderFindings> {
  return Object.fromEntries(Object.entries(findings).filter(([, value]) => value !== 0 && value.length !== 0))
}

interface Vectors {
  keys: { name: string; stored_value: string; algorithm: string; created_at: string; created_by: string }[]
  rows: {
    id: string
    key_name: string
    context: string | null
    plaintext?: string
    ciphertext: string
    decrypts: boolean
  }[]
}

describe('the folder of a Go KES', () => {
  test('opens: every key decrypts what it has encrypted there, and is described as there', () => {
    const { keys, rows } = readVectors<Vectors>('ciphertexts.json')
    whileClosed(() => {
      for (const { name, stored_value } of keys) write(name, stored_value)
    })
    expect([...findings.adopted].sort()).toEqual(keys.map(({ name }) => name).sort())
    for (const key of keys) {
      expect(ring.describe(parseKeyName(key.name))).toMatchObject({
        algorithm: key.algorithm,
        createdAt: key.created_at,
        createdBy: key.created_by,
        state: 'enabled',
      })
      expect(readFileSync(join(folder, key.name), 'utf8')).toBe(key.stored_value)
    }
    const decrypted = rows.filter(({ decrypts }) => decrypts)
    expect(decrypted.length).toBeGreaterThan(50)
    for (const { key_name, ciphertext, context, plaintext = '' } of decrypted) {
      const { cipher } = ring.use(parseKeyName(key_name))
      const [sealed, associated] = [ciphertext, context ?? ''].map((text) => Buffer.from(text, 'base64'))
      expect(
        cipher.decrypt(sealed ?? Buffer.alloc(0), associated ?? Buffer.alloc(0)).toString('base64'),
      ).toBe(plaintext)
    }
  })

  test('gives the keys of every form that KES reads, and none of the others', () => {
    const { rows } = readVectors<{
      rows: { id: string; stored: string; valid: boolean; has_hmac_key: boolean }[]
    }>('stored-keys.json')
    whileClosed(() => {
      for (const { id, stored } of rows) write(id, stored)
    })
    const ids = (valid: boolean) => rows.filter((row) => row.valid === valid).map(({ id }) => id)
    expect([...findings.adopted].sort()).toEqual(ids(true).sort())
    expect([...findings.unreadable].sort()).toEqual(ids(false).sort())
    for (const { id, valid, has_hmac_key } of rows) {
      if (valid) expect(ring.use(parseKeyName(id)).hmac !== undefined).toBe(has_hmac_key)
      else expect(() => ring.use(parseKeyName(id))).toThrow(RecordDamagedError)
    }
  })

  test('gets keys of this server’s making in KES’s form, byte for byte', () => {
    ring.create(a, BY)
    const text = readFileSync(join(folder, a), 'utf8')
    const key = decodeStoredKey(text)
    expect(encodeStoredKey(key)).toBe(text)
    expect(key).toMatchObject({ createdBy: BY.identity, createdAt: ring.describe(a).createdAt })
    expect(key.hmacKey).toHaveLength(32)
  })

  test('and its keys stay as they are over a restart', () => {
    ring.create(a, BY)
    ring.setState(a, 'disabled', BY)
    whileClosed(() => makeKey(b))
    expect(found()).toEqual({ adopted: ['b'] })
    whileClosed(() => undefined)
    expect(found()).toEqual({})
    expect(() => ring.use(a)).toThrow(KeyDisabledError)
    expect(ring.use(b).hmac).toBeDefined()
    expect(actions(b)).toEqual(['adopt enabled'])
    const verifier = new JournalVerifier(journal.publicKey)
    for (const { entry, ...stored } of journal.read(0, 1000)) verifier.nextFiled({ bytes: entry, ...stored })
    verifier.end()
  })
})

describe('while this server was down,', () => {
  test('a key whose file went is refused, and served again when the file is back', () => {
    ring.create(a, BY)
    const text = readFileSync(join(folder, a))
    whileClosed(() => remove(a))
    expect(found()).toEqual({ missing: ['a'] })
    expect(() => ring.use(a)).toThrow(RecordDamagedError)
    expect(ring.names('', undefined, 10)).toEqual(['a'])
    write(a, text)
    expect(ring.use(a).hmac).toBeDefined()
    whileClosed(() => undefined)
    expect(found()).toEqual({})
  })

  test('a key whose file went can be erased, and keeps its name', async () => {
    ring.create(a, BY)
    whileClosed(() => remove(a))
    const { entry } = await ring.erase(a, BY)
    expect(entry).toMatchObject({ action: 'erase', createdBy: BY.identity })
    expect(() => ring.use(a)).toThrow(KeyNotFoundError)
  })

  test.each([
    ['another key', () => makeKey(a)],
    ['a part of its file', () => write(a, readFileSync(join(folder, a)).subarray(0, -1))],
    ['an empty file', () => write(a, '')],
    ['the file of another key of this store', () => write(a, readFileSync(join(folder, b)))],
  ])('a key that got %s is refused, and can be disabled and erased', async (_, change) => {
    ring.create(a, BY)
    ring.create(b, BY)
    whileClosed(change)
    expect(found()).toEqual({ changed: ['a'] })
    expect(() => ring.use(a)).toThrow(RecordDamagedError)
    expect(ring.use(b).hmac).toBeDefined()
    ring.setState(a, 'disabled', BY)
    await ring.erase(a, BY)
    expect(readdirSync(folder)).toEqual(['b'])
  })

  test('a key that was replaced is served once an operator has said so, as another key', () => {
    ring.create(a, BY)
    ring.setState(a, 'disabled', BY)
    ring.setState(a, 'enabled', BY)
    whileClosed(() => makeKey(a))
    adoptFile(store, seal, journal, a)
    expect(ring.use(a).hmac).toBeDefined()
    expect(ring.describe(a)).toMatchObject({ createdBy: 'c'.repeat(64), revision: 4 })
    expect(actions(a)).toEqual(['create enabled', 'disable disabled', 'enable enabled', 'adopt enabled'])
    whileClosed(() => undefined)
    expect(found()).toEqual({})
  })

  test('a disabled key that was replaced stays disabled', () => {
    ring.create(a, BY)
    ring.setState(a, 'disabled', BY)
    whileClosed(() => makeKey(a))
    adoptFile(store, seal, journal, a)
    expect(() => ring.use(a)).toThrow(KeyDisabledError)
    ring.setState(a, 'enabled', BY)
    expect(ring.use(a).hmac).toBeDefined()
  })

  test('an erased key whose file was put back is refused, until an operator says otherwise', async () => {
    ring.create(a, BY)
    const text = readFileSync(join(folder, a))
    await ring.erase(a, BY)
    whileClosed(() => write(a, text))
    expect(found()).toEqual({ revived: ['a'] })
    expect(() => ring.use(a)).toThrow(KeyNotFoundError)
    adoptFile(store, seal, journal, a)
    expect(ring.use(a).hmac).toBeDefined()
    expect(actions(a)).toEqual(['create enabled', 'erase erased', 'adopt enabled'])
  })

  test('a new key under the name of an erased one is taken over', async () => {
    ring.create(a, BY)
    await ring.erase(a, BY)
    whileClosed(() => makeKey(a))
    expect(found()).toEqual({ adopted: ['a'] })
    expect(ring.use(a).hmac).toBeDefined()
    await ring.erase(a, BY)
    expect(actions(a)).toEqual(['create enabled', 'erase erased', 'adopt enabled', 'erase erased'])
  })

  test('files that hold no key, or have no key’s name, harm nobody', () => {
    whileClosed(() => {
      makeKey(b)
      write(a, 'no key')
      write('not-a-name-', 'x')
      write('.hidden', 'x')
    })
    expect(found()).toEqual({ adopted: ['b'], unreadable: ['a'], foreign: 2 })
    expect(ring.names('', undefined, 10)).toEqual(['b'])
    for (const ask of [() => ring.use(a), () => ring.describe(a)]) expect(ask).toThrow(RecordDamagedError)
    expect(() => ring.create(a, BY)).toThrow(KeyExistsError)
    rmSync(join(folder, a))
    expect(() => ring.use(a)).toThrow(KeyNotFoundError)
    expect(isName('not-a-name-')).toBe(false)
  })

  test('files that others may read are told of', () => {
    ring.create(a, BY)
    whileClosed(() => {
      chmodSync(join(folder, a), 0o640)
      makeKey(b)
      chmodSync(join(folder, b), 0o604)
    })
    expect(found()).toEqual({ adopted: ['b'], open: ['a', 'b'] })
  })
})

describe('an erase that was cut off', () => {
  test('after its commit takes the file with it at the next start', async () => {
    ring.create(a, BY)
    store.finishErasure = () => Promise.reject(new Error('killed'))
    await expect(ring.erase(a, BY)).rejects.toThrow('killed')
    expect(readdirSync(folder)).toEqual(['a'])

    whileClosed(() => undefined)
    expect(found()).toEqual({})
    expect(() => ring.use(a)).toThrow(KeyNotFoundError)
    expect(await store.purge()).toBe(true)
    expect(readdirSync(folder)).toEqual([])
    await ring.erase(a, BY)
  })

  test('leaves a key alone that another program has made under the name since', async () => {
    ring.create(a, BY)
    store.finishErasure = () => Promise.reject(new Error('killed'))
    await expect(ring.erase(a, BY)).rejects.toThrow('killed')
    whileClosed(() => makeKey(a))
    expect(found()).toEqual({ adopted: ['a'] })
    await store.purge()
    expect(ring.use(a).hmac).toBeDefined()
  })
})

test('a file that appears while the server runs is no key yet, and its name is taken', () => {
  makeKey(a)
  expect(() => ring.use(a)).toThrow(KeyNotFoundError)
  expect(() => ring.create(a, BY)).toThrow('key already exists')
  whileClosed(() => undefined)
  expect(ring.use(a).hmac).toBeDefined()
})

test('no file to take over is an error, and nothing changes', () => {
  ring.create(a, BY)
  remove(a)
  expect(() => adoptFile(store, seal, journal, a)).toThrow(RecordDamagedError)
  expect(actions(a)).toEqual(['create enabled'])
})

test('an operator is told of each kind of finding, with some of the names', () => {
  const many = Array.from({ length: 7 }, (_, index) => parseKeyName(`key-${index}`))
  const told = { adopted: many, missing: [a], changed: [], revived: [], unreadable: [], open: [], foreign: 2 }
  expect(describeFindings(told, '/keys')).toEqual([
    "keys in '/keys' found in the folder and taken over: 7 ('key-0', 'key-1', 'key-2', 'key-3', 'key-4', …)",
    "keys in '/keys' without a file: refused until the file is back; 'kes key rm' erases such a key if it was deleted " +
      "on purpose: 1 ('a')",
    "entries of '/keys' whose names are not those of keys, and which are ignored: 2",
  ])
})
