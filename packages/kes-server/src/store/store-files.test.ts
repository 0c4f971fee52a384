import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseKeyName } from '../names.ts'
import { RecordSearch } from './record-search.ts'
import { SqliteStore } from './sqlite-store.ts'
import { StoreFiles } from './store-files.ts'

let directory: string
let path: string
let store: SqliteStore

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'store-files-'))
  path = join(directory, 'keys.db')
  store = SqliteStore.open(path)
})

afterEach(() => {
  store.close()
  rmSync(directory, { recursive: true })
})

function insert(text: string, sealed: Uint8Array): void {
  store.insert({
    keyId: randomBytes(16),
    name: parseKeyName(text),
    algorithm: 'AES256',
    createdAt: '2026-11-24T00:00:00Z',
    createdBy: '',
    sealed,
    state: 'enabled',
    revision: 1,
    changedAt: '2026-11-24T00:00:00Z',
    changedBy: '',
    journalEntry: 0,
    rootGeneration: 1,
    mac: randomBytes(32),
  })
}

/** Whether another process may write to a file of the store, or is kept out by this one's locks. */
function isLockedForOthers(file: string): boolean {
  const sqlite = createRequire(import.meta.url).resolve('better-sqlite3')
  const program = `const db = new (require(${JSON.stringify(sqlite)}))(${JSON.stringify(file)}, { timeout: 0 })
    try { db.exec('BEGIN IMMEDIATE'); console.log('free') } catch (error) { console.log(error.code) }`
  const said = execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' }).trim()
  if (said !== 'free' && said !== 'SQLITE_BUSY') throw new Error(said)
  return said === 'SQLITE_BUSY'
}

test('searching the files again and again drops none of the locks that SQLite holds', async () => {
  const files = new StoreFiles(path)
  for (let round = 0; round < 10; round++) await files.search(new RecordSearch(new Map()))
  expect(isLockedForOthers(`${path}.lock`)).toBe(true)

  store.transaction(() => {
    insert('a', randomBytes(93))
    expect(isLockedForOthers(path)).toBe(true)
  })
  files.close() // What must not happen while the store is open.
  expect(isLockedForOthers(`${path}.lock`)).toBe(false)
})

test('closing any other descriptor of a file drops its lock, which is why none is closed before the store', () => {
  expect(isLockedForOthers(`${path}.lock`)).toBe(true)
  closeSync(openSync(`${path}.lock`, 'r'))
  expect(isLockedForOthers(`${path}.lock`)).toBe(false)
})

test('a record is found in the log and, after a checkpoint, in the database, in slices of a large file too', async () => {
  const record = randomBytes(93)
  const search = async () => {
    const found = new RecordSearch(new Map([[1, [record]]]))
    await files.search(found)
    return found.found.has(1)
  }
  const files = new StoreFiles(path)
  expect(await search()).toBe(false)
  store.transaction(() => {
    for (let index = 0; index < 1000; index++) insert(`key-${index}`, randomBytes(3000))
  })
  insert('last', record)
  expect(statSync(path).size).toBeGreaterThan(2 ** 21)
  expect(await search()).toBe(true)
  await store.purge()
  expect(await search()).toBe(true)
})

test('other work has its turn between two slices', async () => {
  store.transaction(() => {
    for (let index = 0; index < 1000; index++) insert(`key-${index}`, randomBytes(8000))
  })
  const files = new StoreFiles(path)
  let turns = 0
  const counter = setInterval(() => {
    turns++
  }, 0)
  await files.search(new RecordSearch(new Map()))
  clearInterval(counter)
  expect(turns).toBeGreaterThan(1)
})

test('a search ends with an error once the files are closed', async () => {
  store.transaction(() => {
    for (let index = 0; index < 1000; index++) insert(`key-${index}`, randomBytes(3000))
  })
  const files = new StoreFiles(path)
  const search = files.search(new RecordSearch(new Map()))
  files.close()
  await expect(search).rejects.toThrow('closed')
})
