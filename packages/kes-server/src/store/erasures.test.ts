import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ErasePendingError, KeyNotFoundError } from '../errors.ts'
import { KeyRing } from '../keyring/key-ring.ts'
import { openJournal } from '../keyring/open-journal.ts'
import { type KeyName, parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { SqliteStore } from './sqlite-store.ts'

const PAGE_BYTES = 4096
const NOBODY = { identity: '', ip: '' }
const BY = { identity: 'b'.repeat(64), ip: '127.0.0.1' }

let directory: string
let path: string
let store: SqliteStore
let ring: KeyRing

const secret = () => ({ kind: 'key file', bytes: Buffer.alloc(32, 7) }) as const
const name = (text: string) => parseKeyName(text)

/** No erase that can end takes so long, however busy the machine. */
const PATIENT_MS = 20_000
/** For one that can't. */
const IMPATIENT_MS = 300

function open(eraseTimeoutMs = PATIENT_MS): void {
  store = SqliteStore.open(path, { eraseTimeoutMs })
  const seal = Seal.isSetUp(store) ? Seal.open(store, secret()) : Seal.create(store, secret())
  ring = new KeyRing(store, seal, openJournal(store, seal), { erasedNames: 'reserved' })
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'erasures-'))
  path = join(directory, 'keys.db')
  open()
})

afterEach(() => {
  vi.restoreAllMocks()
  store.close()
  rmSync(directory, { recursive: true })
})

/** Imports a key of known bytes. @returns them, and how they are sealed. */
function importKey(text: string, by = BY) {
  const secretKey = randomBytes(32)
  const material = Buffer.from(secretKey)
  ring.create(name(text), by, {}, { algorithm: 'AES256', secretKey })
  return { name: name(text), material, sealed: sealedOf(name(text)) }
}

function sealedOf(key: KeyName): Buffer {
  return Buffer.from(store.read(key)?.sealed ?? [])
}

/** All bytes of the store, as a thief of its directory has them. Drops this process's locks on its files. */
function everyByte(): Buffer {
  return Buffer.concat(readdirSync(directory).map((file) => readFileSync(join(directory, file))))
}

/** Where a run of 11 bytes of the record stands in the files: looked for without the server's own search. */
function remainders(record: Uint8Array, bytes: Buffer): number[] {
  const runs = Array.from({ length: record.length - 10 }, (_, from) => record.subarray(from, from + 11))
  return runs.map((run) => bytes.indexOf(run)).filter((at) => at >= 0)
}

/** Writes bytes where no row stands: between the pointers to a page's cells and the cells. */
function plantInFreePart(bytes: Uint8Array): void {
  const file = openSync(path, 'r+')
  const page = Buffer.alloc(PAGE_BYTES)
  try {
    for (
      let start = PAGE_BYTES;
      readSync(file, page, 0, PAGE_BYTES, start) === PAGE_BYTES;
      start += PAGE_BYTES
    ) {
      const isTableLeaf = page[0] === 0x0d // https://www.sqlite.org/fileformat.html, section 1.6
      const freeStart = 8 + 2 * page.readUInt16BE(3)
      if (!isTableLeaf || page.readUInt16BE(5) - freeStart < bytes.length) continue
      writeSync(file, bytes, 0, bytes.length, start + freeStart)
      return
    }
  } finally {
    closeSync(file)
  }
  throw new Error('no page has room')
}

/** Edits the closed store's file, then opens it again. */
function whileClosed(edit: () => void): void {
  store.close()
  edit()
  open()
}

function countRebuilds(): () => number {
  const spy = vi.spyOn(Database.prototype, 'exec')
  return () => spy.mock.calls.filter(([sql]) => sql === 'VACUUM').length
}

function reopen(eraseTimeoutMs: number): void {
  store.close()
  open(eraseTimeoutMs)
}

/** Another process that reads the store on the snapshot of now, until it is killed. */
async function startReader(): Promise<ChildProcess> {
  const sqlite = createRequire(import.meta.url).resolve('better-sqlite3')
  const program = `const db = new (require(${JSON.stringify(sqlite)}))(${JSON.stringify(path)})
    db.exec('BEGIN'); db.prepare('SELECT count(*) FROM keys').get(); console.log('reading'); setInterval(() => {}, 1e6)`
  const reader = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(reader.stdout, 'data')
  return reader
}

async function stop(process: ChildProcess): Promise<void> {
  process.kill('SIGKILL')
  await once(process, 'exit')
}

describe('after an erase', () => {
  test('no file holds a run of 11 bytes of the record, or the key, whatever pages were split and rebuilt', async () => {
    const live = new Map<string, ReturnType<typeof importKey>>()
    let made = 0
    const make = () => {
      const text = `key-${(made * 7919) % 1009}-${made++}`
      live.set(text, importKey(text, made % 3 === 0 ? NOBODY : BY))
    }
    store.transaction(() => {
      for (let index = 0; index < 1500; index++) make()
    })
    const gone: ReturnType<typeof importKey>[] = []
    for (let round = 0; round < 40; round++) {
      const names = [...live.keys()]
      const chosen = Array.from(
        { length: 12 },
        (_, index) => names[(round * 389 + index * 61) % names.length],
      )
      store.transaction(() => {
        for (let index = 0; index < 10; index++) make()
        for (const neighbour of names.filter((_, index) => index % 7 === round % 7)) {
          ring.setState(
            name(neighbour),
            round % 2 === 0 ? 'disabled' : 'enabled',
            round % 3 === 0 ? NOBODY : BY,
          )
        }
      })
      const erased = [...new Set(chosen)].flatMap((text = '') => live.get(text) ?? [])
      await Promise.all(erased.map((key) => ring.erase(key.name, BY)))
      for (const key of erased) live.delete(key.name)
      gone.push(...erased)
    }
    expect(gone.length).toBeGreaterThan(400)
    const bytes = everyByte()
    expect(gone.filter(({ material }) => bytes.includes(material))).toEqual([])
    expect(
      gone.filter(({ sealed }) => sealed.length !== 93 || bytes.includes(sealed.subarray(1, 12))),
    ).toEqual([])
    expect(gone.slice(-40).flatMap(({ sealed }) => remainders(sealed, bytes))).toEqual([])
    expect([...live.values()].filter(({ sealed }) => !bytes.includes(sealed))).toEqual([])
  }, 60_000)

  test.each([
    ['the whole record', 0, 93],
    ['the nonce', 1, 13],
    ['11 bytes of the ciphertext', 40, 51],
    ['the last 11 bytes of the tag', 82, 93],
  ])(
    '%s in the free part of a page, which the checkpoint leaves there, is found and removed',
    async (_, from, to) => {
      const { sealed } = importKey('a')
      importKey('b')
      const rest = sealed.subarray(from, to)
      whileClosed(() => plantInFreePart(rest))
      const rebuilds = countRebuilds()

      store.erase(name('a'), undefined)
      const db = new Database(path)
      expect(db.pragma('wal_checkpoint(TRUNCATE)', { simple: true })).toBe(0)
      db.close()
      expect(everyByte().includes(rest)).toBe(true)
      await store.finishErasure(name('a'))
      expect(rebuilds()).toBe(1)
      expect(remainders(sealed, everyByte())).toEqual([])
      expect(ring.use(name('b')).hmac).toBeDefined()
    },
  )

  test('the database is not rebuilt where the search finds nothing', async () => {
    for (const each of ['a', 'b', 'c']) importKey(each)
    const rebuilds = countRebuilds()
    await ring.erase(name('b'), BY)
    expect(rebuilds()).toBe(0)
  })

  test('the name is remembered as erased and nothing else: a second one is answered as for a name that never was', async () => {
    importKey('a')
    await ring.erase(name('a'), BY)
    expect(store.isErasing(name('a'))).toBe(false)
    expect(() => ring.erase(name('a'), BY)).toThrow(KeyNotFoundError)
  })

  test('a key whose row holds the record of another key goes, and the other stays', async () => {
    importKey('a')
    const { sealed } = importKey('b')
    whileClosed(() => {
      const db = new Database(path)
      db.exec("UPDATE keys SET sealed = (SELECT sealed FROM keys WHERE name = 'b') WHERE name = 'a'")
      db.close()
    })
    await ring.erase(name('a'), BY)
    expect(sealedOf(name('b'))).toEqual(sealed)
    await ring.erase(name('b'), BY)
    expect(remainders(sealed, everyByte())).toEqual([])
  })

  test.each([
    ['nothing', "x''"],
    ['zeros', 'zeroblob(93)'],
    ['what stands in other columns', 'CAST(created_at AS BLOB)'],
  ])('a key whose record was overwritten with %s goes', async (_, value) => {
    importKey('a')
    importKey('b')
    whileClosed(() => {
      const db = new Database(path)
      db.exec(`UPDATE keys SET created_at = '2026-11-24T00:00:00Z'`)
      db.exec(`UPDATE keys SET sealed = ${value} WHERE name = 'a'`)
      db.close()
    })
    await ring.erase(name('a'), BY)
    expect(store.has(name('a'))).toBe(false)
  })
})

describe('while another program reads the store', () => {
  test('an erase is refused as pending, the key is gone, and it ends once the program does', async () => {
    reopen(IMPATIENT_MS)
    const { sealed } = importKey('a')
    const reader = await startReader()
    try {
      const started = performance.now()
      await expect(ring.erase(name('a'), BY)).rejects.toThrow(ErasePendingError)
      expect(performance.now() - started).toBeGreaterThan(IMPATIENT_MS - 10)
      expect(() => ring.use(name('a'))).toThrow(KeyNotFoundError)
      expect(() => ring.describe(name('a'))).toThrow(KeyNotFoundError)
      await expect(ring.erase(name('a'), BY)).rejects.toThrow(ErasePendingError)
      expect(await store.purge()).toBe(false)
    } finally {
      await stop(reader)
    }
    expect(remainders(sealed, everyByte())).not.toEqual([])
    expect(await store.purge()).toBe(true)
    expect(remainders(sealed, everyByte())).toEqual([])

    await ring.erase(name('a'), BY) // Who was told "pending" learns that it is done.
    expect(() => ring.erase(name('a'), BY)).toThrow(KeyNotFoundError)
  })

  test('an erase waits for a program that ends in time', async () => {
    const { sealed } = importKey('a')
    const reader = await startReader()
    const erased = ring.erase(name('a'), BY)
    await stop(reader)
    await erased
    expect(remainders(sealed, everyByte())).toEqual([])
  })

  test('a restart goes on with what is pending, and finds what the process before could still have found', async () => {
    reopen(IMPATIENT_MS)
    const { sealed } = importKey('a')
    const { material } = importKey('b')
    const reader = await startReader()
    await expect(ring.erase(name('a'), BY)).rejects.toThrow(ErasePendingError)
    await stop(reader)
    whileClosed(() => plantInFreePart(sealed.subarray(20, 60)))
    expect(store.isErasing(name('a'))).toBe(true)
    expect(() => ring.use(name('a'))).toThrow(KeyNotFoundError)
    expect(await store.purge()).toBe(true)
    const bytes = everyByte()
    expect(remainders(sealed, bytes)).toEqual([])
    expect(bytes.includes(material)).toBe(false)
    await ring.erase(name('a'), BY)
    expect(store.isErasing(name('a'))).toBe(false)
  })

  test('what is remembered of the record is its ends, and not as they stand in it', async () => {
    const { sealed } = importKey('a')
    store.erase(name('a'), undefined)
    const db = new Database(path, { readonly: true })
    const row = db.prepare('SELECT name, is_clean, head, tail FROM erasures').get()
    db.close()
    const inverted = (bytes: Buffer) => Buffer.from(bytes.map((byte) => byte ^ 0xff))
    expect(row).toEqual({
      name: 'a',
      is_clean: 0,
      head: inverted(sealed.subarray(0, 13)),
      tail: inverted(sealed.subarray(-16)),
    })
    await store.finishErasure(name('a'))
  })
})

describe('a disk that fails', () => {
  test('a rebuild for which there is no space leaves the erase pending, loses nothing and is repeated', async () => {
    const { sealed } = importKey('a')
    importKey('b')
    whileClosed(() => plantInFreePart(sealed))
    const exec = vi.spyOn(Database.prototype, 'exec').mockImplementationOnce(() => {
      throw new Database.SqliteError('database or disk is full', 'SQLITE_FULL')
    })
    const started = performance.now()
    await expect(ring.erase(name('a'), BY)).rejects.toMatchObject({
      status: 503,
      cause: { code: 'SQLITE_FULL' },
    })
    expect(performance.now() - started).toBeLessThan(PATIENT_MS) // What waiting does not help is not waited for.
    expect(exec).toHaveBeenCalledWith('VACUUM')
    expect(ring.use(name('b'))).toBeDefined()
    expect(everyByte().includes(sealed)).toBe(true)

    await ring.erase(name('a'), BY)
    expect(remainders(sealed, everyByte())).toEqual([])
    expect(ring.use(name('b'))).toBeDefined()
  })

  test('a rebuild whose log finds no room on the disk leaves every key, and the next start completes it', async () => {
    const { sealed } = importKey('a')
    const others = Array.from({ length: 200 }, (_, index) => importKey(`key-${index}`))
    store.close()
    plantInFreePart(sealed)
    // Files may not grow beyond the size of the database; the log of a rebuild is larger than that.
    const program = `
      import { SqliteStore } from ${JSON.stringify(new URL('sqlite-store.ts', import.meta.url).href)}
      const store = SqliteStore.open(${JSON.stringify(path)})
      store.erase('a', undefined)
      await store.finishErasure('a').catch(({ code, cause }) => console.log(code, cause.code))`
    const node = [process.execPath, '--input-type=module', '--eval', program]
    const script = `ulimit -f ${statSync(path).size / 512} && exec "$@"`
    const said = execFileSync('sh', ['-c', script, 'sh', ...node], { encoding: 'utf8' })
    expect(said).toMatch(/^ErasePending SQLITE_(?:IOERR|FULL)/)

    open()
    expect(store.isErasing(name('a'))).toBe(true)
    expect(await store.purge()).toBe(true)
    expect(remainders(sealed, everyByte())).toEqual([])
    for (const other of others) expect(sealedOf(other.name)).toEqual(other.sealed)
  })

  test('files that were replaced under the server are not taken for clean', async () => {
    reopen(IMPATIENT_MS)
    importKey('a')
    renameSync(`${path}-wal`, `${path}-wal.old`)
    writeFileSync(`${path}-wal`, '')
    await expect(ring.erase(name('a'), BY)).rejects.toThrow(ErasePendingError)
  })

  test('a store that is closed meanwhile leaves the erase pending', async () => {
    importKey('a')
    const reader = await startReader()
    const erased = ring.erase(name('a'), BY)
    store.close()
    await expect(erased).rejects.toThrow(ErasePendingError)
    await stop(reader)
    open()
    expect(store.isErasing(name('a'))).toBe(true)
  })
})

describe('several at once', () => {
  test('erases that come together share a round, and each ends', async () => {
    const keys = Array.from({ length: 50 }, (_, index) => importKey(`key-${index}`))
    const pragma = vi.spyOn(Database.prototype, 'pragma')
    await Promise.all(keys.map((key) => ring.erase(key.name, BY)))
    const checkpoints = pragma.mock.calls.filter(([text]) => text.startsWith('wal_checkpoint'))
    expect(checkpoints.length).toBeLessThanOrEqual(3)
    const bytes = everyByte()
    expect(keys.flatMap(({ sealed }) => remainders(sealed, bytes))).toEqual([])
  })

  test('two calls for one key both end, and a third is told that there is none', async () => {
    importKey('a')
    await Promise.all([ring.erase(name('a'), BY), ring.erase(name('a'), BY)])
    expect(() => ring.erase(name('a'), BY)).toThrow(KeyNotFoundError)
  })

  test('an erase that is undone with its transaction leaves the key, and nothing to do', async () => {
    const { sealed } = importKey('a')
    expect(() =>
      store.transaction(() => {
        store.erase(name('a'), undefined)
        throw new RangeError('changed my mind')
      }),
    ).toThrow(RangeError)
    const rebuilds = countRebuilds()
    expect(await store.purge()).toBe(true)
    expect(rebuilds()).toBe(0)
    expect(sealedOf(name('a'))).toEqual(sealed)
  })

  test('a key made anew under a name that is still being erased is another key', async () => {
    reopen(IMPATIENT_MS)
    const first = importKey('a')
    const reader = await startReader()
    await expect(ring.erase(name('a'), BY)).rejects.toThrow(ErasePendingError)
    await stop(reader)
    ring.create(name('a'), BY, { reuse: true })
    const second = sealedOf(name('a'))
    expect(await store.purge()).toBe(true)
    expect(remainders(first.sealed, everyByte())).toEqual([])
    expect(sealedOf(name('a'))).toEqual(second)
    reopen(PATIENT_MS)
    await ring.erase(name('a'), BY)
    expect(() => ring.erase(name('a'), BY)).toThrow(KeyNotFoundError)
  })
})

test('a purge goes on until nothing is due, in as many rounds as it takes', async () => {
  const names = Array.from({ length: 1100 }, (_, number) => name(`key-${number}`))
  store.transaction(() => {
    for (const each of names) ring.create(each, BY)
  })
  const records = [names[0], names[1099]].map((each) => sealedOf(each ?? name('none')))
  store.transaction(() => {
    for (const each of names) store.erase(each, undefined)
  })
  expect(await store.purge()).toBe(true)
  const bytes = everyByte()
  expect(records.map((record) => remainders(record, bytes))).toEqual([[], []])
})
