import { spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { KesError } from '../errors.ts'
import { parseKeyName } from '../names.ts'
import type { KeyRow } from './key-store.ts'
import { APPLICATION_ID, migrateTo, SCHEMA_VERSION } from './migrate.ts'
import { StoreOpenError } from './open-errors.ts'
import { SqliteStore } from './sqlite-store.ts'

let directory: string
let path: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'open-store-'))
  path = join(directory, 'keys.db')
})
afterEach(() => {
  rmSync(directory, { recursive: true })
})

function keyRow(name: string): KeyRow {
  const at = '2026-11-24T01:42:04Z'
  return {
    keyId: randomBytes(16),
    name: parseKeyName(name),
    algorithm: 'AES256',
    createdAt: at,
    createdBy: 'alice',
    sealed: randomBytes(93),
    state: 'enabled',
    revision: 1,
    changedAt: at,
    changedBy: 'alice',
    journalEntry: 0,
    rootGeneration: 1,
    mac: randomBytes(32),
  }
}

function edit(sql: string): void {
  const db = new Database(path).unsafeMode() // May edit the schema, too.
  db.exec(sql)
  db.close()
}

/** The one line that an operator gets, about a store that is unchanged. */
function refusal(): string {
  const before = existsSync(path) && statSync(path).isFile() ? readFileSync(path) : undefined
  try {
    SqliteStore.open(path).close()
  } catch (error) {
    expect(error).toBeInstanceOf(StoreOpenError)
    const { message } = error as StoreOpenError
    expect(message).not.toContain('\n')
    expect(message).toContain(path)
    if (before !== undefined) expect(readFileSync(path).equals(before)).toBe(true)
    return message
  }
  throw new Error('the store opened')
}

describe('a new store', () => {
  test('is made with its directories, for its owner only', () => {
    const deep = join(directory, 'a', 'b', 'keys.db')
    const store = SqliteStore.open(deep)
    store.insert(keyRow('a'))
    for (const file of readdirSync(join(directory, 'a', 'b'))) {
      expect(statSync(join(directory, 'a', 'b', file)).mode & 0o777, file).toBe(0o600)
    }
    expect(statSync(join(directory, 'a')).mode & 0o777).toBe(0o700)
    expect(statSync(join(directory, 'a', 'b')).mode & 0o777).toBe(0o700)
    expect(store.warnings).toEqual([])
    store.close()
  })

  test.each(['an empty file', 'a file with an empty schema'])('is made over %s', (kind) => {
    writeFileSync(path, '', { mode: 0o600 })
    if (kind !== 'an empty file') edit('PRAGMA journal_mode = WAL')
    const store = SqliteStore.open(path)
    store.insert(keyRow('a'))
    store.close()
  })

  test('names itself to other programs', () => {
    SqliteStore.open(path).close()
    expect(readFileSync(path).readUInt32BE(68)).toBe(APPLICATION_ID)
    expect(readFileSync(path).readUInt32BE(60)).toBe(SCHEMA_VERSION)
    expect(readFileSync(path).readUInt16BE(16)).toBeGreaterThanOrEqual(4096)
  })

  test('works on every connection with the settings that durability and erasing rest on', () => {
    for (const [at, journalMode] of [
      [path, 'wal'],
      [':memory:', 'memory'],
    ] as const) {
      const spy = vi.spyOn(Database.prototype, 'pragma')
      const store = at === path ? SqliteStore.open(path) : SqliteStore.inMemory()
      const db = (spy.mock.contexts as Database.Database[]).findLast(({ open }) => open) as Database.Database
      spy.mockRestore()
      const settings = ['journal_mode', 'synchronous', 'secure_delete', 'foreign_keys', 'trusted_schema']
      expect(settings.map((name) => db.pragma(name, { simple: true }))).toEqual([journalMode, 2, 1, 1, 0])
      expect(db.pragma('cell_size_check', { simple: true })).toBe(1)
      store.close()
    }
  })
})

describe('what can not be a store is refused in one line', () => {
  test('a directory', () => {
    mkdirSync(path)
    expect(refusal()).toMatch(/it is a directory$/)
  })

  test('a device', () => {
    symlinkSync('/dev/null', path)
    expect(refusal()).toMatch(/it is not a regular file$/)
  })

  test('a symbolic link that leads nowhere', () => {
    symlinkSync(join(directory, 'none'), path)
    expect(refusal()).toMatch(/leads nowhere$/)
  })

  test('a file with two names', () => {
    SqliteStore.open(path).close()
    linkSync(path, join(directory, 'second'))
    expect(refusal()).toMatch(/hard link/)
  })

  test('a path below a file', () => {
    writeFileSync(path, '')
    expect(() => SqliteStore.open(join(path, 'keys.db'))).toThrow(/its directory can not be made/)
  })

  test('a file that is no database', () => {
    writeFileSync(path, 'kes:v1:'.repeat(1000), { mode: 0o600 })
    expect(refusal()).toMatch(/not a SQLite database/)
  })

  test("another program's database", () => {
    edit('CREATE TABLE bookmarks (x)')
    expect(refusal()).toMatch(/another program's database$/)
  })

  test('the store of a newer server, which is left as it is', () => {
    SqliteStore.open(path).close()
    edit(`PRAGMA user_version = ${SCHEMA_VERSION + 1}`)
    const [newer, known] = [SCHEMA_VERSION + 1, SCHEMA_VERSION]
    expect(refusal()).toContain(`a newer server has written it (schema ${newer}, this server knows ${known})`)
  })

  test('the store of a newer server that was killed, whose log is left as it is', () => {
    SqliteStore.open(path).close()
    const copy = join(directory, 'copy.db')
    const db = new Database(path)
    db.pragma(`user_version = ${SCHEMA_VERSION + 1}`)
    copyFileSync(path, copy)
    copyFileSync(`${path}-wal`, `${copy}-wal`)
    db.close()
    const log = readFileSync(`${copy}-wal`)
    chmodSync(copy, 0o600)
    path = copy
    expect(refusal()).toMatch(/a newer server has written it/)
    expect(readFileSync(`${copy}-wal`).equals(log)).toBe(true)
  })

  test('a store with pages smaller than 4 KiB', () => {
    edit(`PRAGMA page_size = 1024; PRAGMA application_id = ${APPLICATION_ID}; CREATE TABLE x (y)`)
    expect(() => SqliteStore.open(path)).toThrow(/page_size = 1024/)
  })
})

describe('permissions', () => {
  test('a store that other users may read opens with a warning and the command that helps', () => {
    SqliteStore.open(path).close()
    chmodSync(path, 0o644)
    chmodSync(directory, 0o777)
    const store = SqliteStore.open(path)
    expect(store.warnings).toEqual([
      expect.stringContaining(`run chmod 600 '${path}'`),
      expect.stringContaining(`run chmod 700 '${directory}'`),
    ])
    store.close()
  })

  // File modes bind everyone but root, so root tries as another user.
  const isRoot = process.getuid?.() === 0
  const nobody = 65_534
  function openAsUser(): string {
    const module = new URL('sqlite-store.ts', import.meta.url).href
    const program = `
      ${isRoot ? `process.setgid(${nobody}); process.setuid(${nobody})` : ''}
      try { SqliteStore.open(${JSON.stringify(path)}); console.log('open') }
      catch (error) { console.log(error.name, error.message) }`
    const evaluated = `const { SqliteStore } = await import(${JSON.stringify(module)})\n${program}`
    return spawnSync(process.execPath, ['--input-type=module', '--eval', evaluated], {
      encoding: 'utf8',
    }).stdout
  }
  function giveAway(): void {
    if (isRoot) for (const each of [directory, path, `${path}.lock`]) chownSync(each, nobody, nobody)
  }

  test('a read-only file, a read-only directory and a file of another user are refused', () => {
    SqliteStore.open(path).close()
    giveAway()
    chmodSync(path, 0o400)
    expect(openAsUser()).toMatch(/^StoreOpenError .*it or its directory is not writable for this user/)
    chmodSync(path, 0o600)
    chmodSync(directory, 0o500)
    expect(openAsUser()).toMatch(/^StoreOpenError .*it or its directory is not writable for this user/)
    chmodSync(directory, 0o700)
    chmodSync(path, 0o000)
    expect(openAsUser()).toMatch(/^StoreOpenError .*it or its directory is not writable for this user/)
    chmodSync(path, 0o600)
    expect(openAsUser()).toBe('open\n')
  })
})

describe('damage', () => {
  function makeStore(): KeyRow[] {
    const rows = Array.from({ length: 200 }, (_, index) => keyRow(`key-${String(index).padStart(3, '0')}`))
    const store = SqliteStore.open(path)
    store.transaction(() => {
      for (const row of rows) store.insert(row)
    })
    store.close()
    return rows
  }

  /** Every key is right, or was hit itself, or its reading is refused; a listing hides none that is right. */
  function expectNoHarm(rows: readonly KeyRow[], damaged: Buffer): void {
    writeFileSync(path, damaged)
    let store: SqliteStore
    try {
      store = SqliteStore.open(path)
    } catch (error) {
      expect(error).toBeInstanceOf(StoreOpenError)
      expect((error as StoreOpenError).message).toContain(path)
      return
    }
    try {
      // Bytes of a row's own text or blob may differ: the MAC and the sealed record tell.
      const found = rows.map((row) => readOrError(store, row))
      const wrong = found.filter((row, index) => JSON.stringify(row) !== JSON.stringify(rows[index]))
      expect(wrong.length).toBeLessThanOrEqual(1)
      expect(store.names('', undefined, 1000)).toHaveLength(rows.length)
    } finally {
      store.close()
    }
  }

  function readOrError(store: SqliteStore, row: KeyRow): KeyRow | string | undefined {
    try {
      return store.read(row.name)
    } catch (error) {
      expect(error).toBeInstanceOf(KesError)
      return String(error)
    }
  }

  test('one flipped bit anywhere is a clean refusal or touches one key at most', { timeout: 30_000 }, () => {
    const rows = makeStore()
    const intact = readFileSync(path)
    const bits = fc.oneof(
      fc.nat(intact.length * 8 - 1),
      fc.nat(100 * 8),
      fc.nat(100 * 8).map((n) => n + 4096 * 8),
    )
    fc.assert(
      fc.property(bits, (bit) => {
        const damaged = Buffer.from(intact)
        damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        expectNoHarm(rows, damaged)
      }),
      { numRuns: 150 },
    )
  })

  test.each([
    ['a trigger', "CREATE TRIGGER t AFTER INSERT ON keys BEGIN DELETE FROM keys WHERE name = 'a'; END"],
    ['a table', 'CREATE TABLE notes (x)'],
    ['a column', 'ALTER TABLE keys ADD COLUMN x TEXT'],
    ['another index', 'CREATE INDEX by_creator ON keys (created_by)'],
  ])('a schema that was edited by hand, here by %s, is refused', (_, sql) => {
    makeStore()
    edit(sql)
    expect(refusal()).toMatch(/its tables are not as this server makes them/)
  })

  test('a flipped bit in the schema that leaves valid SQL is refused, and the store is not left open', () => {
    makeStore()
    const bytes = readFileSync(path)
    bytes.write('creator_by', bytes.indexOf('created_by'))
    writeFileSync(path, bytes)
    expect(refusal()).toMatch(/damaged/)
    expect(readdirSync(directory).sort()).toEqual(['keys.db', 'keys.db.lock'])
  })

  test("statistics of ANALYZE are no one's damage", () => {
    makeStore()
    edit('ANALYZE')
    SqliteStore.open(path).close()
  })

  test('a page of zeros or noise, or a file cut short, is a clean refusal', () => {
    const rows = makeStore()
    const intact = readFileSync(path)
    for (let page = 0; page < intact.length / 4096; page++) {
      const damaged = Buffer.from(intact)
      damaged.set(page % 2 === 0 ? Buffer.alloc(4096) : randomBytes(4096), page * 4096)
      writeFileSync(path, damaged)
      expectNoHarm(rows, damaged)
    }
    expectNoHarm(rows, intact.subarray(0, intact.length - 4096))
    expectNoHarm(rows, intact.subarray(0, 5000))
    expectNoHarm(rows, intact.subarray(0, 50))
  })

  test('a name missing from the index is a damaged store, not a missing key', () => {
    makeStore()
    const bytes = readFileSync(path)
    for (let at = bytes.indexOf('key-100'); at >= 0; at = bytes.indexOf('key-100', at + 1)) {
      const damaged = Buffer.from(bytes)
      damaged.write('key-10x', at)
      writeFileSync(path, damaged)
      expect(refusal()).toMatch(/is damaged \(.*index.*\): restore it from a backup/)
    }
  })

  test('a value of another type in one row is a warning at open and a refusal of that row', () => {
    const rows = makeStore()
    const schema = (change: string) =>
      edit(`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = ${change} WHERE name = 'keys'`)
    schema("replace(sql, ' STRICT', '')")
    edit("UPDATE keys SET revision = 'two' WHERE name = 'key-007'")
    schema("sql || ' STRICT'")
    const store = SqliteStore.open(path)
    expect(store.warnings).toEqual([expect.stringContaining('keys.revision')])
    const listed = store.rows('key-00', undefined, 10)
    expect(listed.map((row) => ('damaged' in row ? 'damaged' : row.name))).toEqual(
      rows.slice(0, 10).map(({ name }) => (name === 'key-007' ? 'damaged' : name)),
    )
    store.erase(parseKeyName('key-007'), undefined)
    store.close()
    SqliteStore.open(path).close()
  })
})

describe('a killed server', () => {
  test('loses no key that it acknowledged, and has none by halves', async () => {
    const module = new URL('sqlite-store.ts', import.meta.url).href
    const program = `
      import { writeSync } from 'node:fs'
      const { SqliteStore } = await import(${JSON.stringify(module)})
      const store = SqliteStore.open(${JSON.stringify(path)})
      const row = ${JSON.stringify({ ...keyRow('x'), keyId: [], sealed: [], mac: [] })}
      for (let n = store.count(); ; n++) {
        const bytes = { keyId: Buffer.alloc(16, n), sealed: Buffer.alloc(93, n), mac: Buffer.alloc(32, n) }
        store.insert({ ...row, ...bytes, name: 'key-' + String(n).padStart(6, '0') })
        writeSync(1, n + '\\n')
      }`
    let total = 0
    for (const delayMs of [5, 20, 45]) {
      const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      let output = ''
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        if (output === '') setTimeout(() => child.kill('SIGKILL'), delayMs)
        output += text
      })
      await once(child, 'close')
      const acknowledged = output.split('\n').slice(0, -1).map(Number)
      expect(acknowledged.length).toBeGreaterThan(0)

      const store = SqliteStore.open(path)
      const last = acknowledged.at(-1) ?? 0
      expect(acknowledged[0]).toBe(total)
      expect(store.count()).toBeGreaterThanOrEqual(last + 1)
      for (const [n, row] of store.rows('', undefined, 100_000).entries()) {
        expect(row).toMatchObject({ name: `key-${String(n).padStart(6, '0')}`, sealed: Buffer.alloc(93, n) })
      }
      total = store.count()
      store.close()
    }
  })
})

describe('a look at a store', () => {
  test('reads it without making, changing or locking anything', () => {
    const store = SqliteStore.open(path)
    store.insert(keyRow('a'))
    store.close()
    const before = readdirSync(directory)
    const content = readFileSync(path)
    const look = SqliteStore.openToLook(path)
    expect(look?.counts()).toMatchObject({ enabled: 1, disabled: 0 })
    expect(() => look?.insert(keyRow('b'))).toThrow(KesError)
    SqliteStore.open(path).close()
    look?.close()
    expect(readdirSync(directory)).toEqual(before)
    expect(readFileSync(path).equals(content)).toBe(true)
  })

  test('leaves one of an older schema as it is', () => {
    const db = new Database(path)
    migrateTo(db, path, SCHEMA_VERSION - 1)
    db.close()
    const content = readFileSync(path)
    expect(SqliteStore.openToLook(path)).toBeUndefined()
    expect(readFileSync(path).equals(content)).toBe(true)
  })

  test.each([
    ['a newer server', `PRAGMA user_version = ${SCHEMA_VERSION + 1}`, 'a newer server has written it'],
    ['another program', 'PRAGMA application_id = 1', "it is another program's database"],
    ['somebody who edited it', 'CREATE TABLE more (id INTEGER)', 'is damaged or was edited'],
  ])('refuses one of %s', (_, sql, why) => {
    SqliteStore.open(path).close()
    edit(sql)
    expect(() => SqliteStore.openToLook(path)).toThrow(why)
  })
})
