/** Opens a SQLite connection as every part of Latchkey must have it: durable, erasing, mistrustful of the file. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { assertKnownSchema, assertSchema, isOlderSchema, migrate } from './migrate.ts'
import { StoreOpenError } from './open-errors.ts'
import { asOpenError } from './sqlite-errors.ts'
import { prepareStatements, type Statements } from './statements.ts'

export const IN_MEMORY = ':memory:'
const PAGE_BYTES_MIN = 4096

/** Most are per connection and none is SQLite's default everywhere, so each is set and then read back. */
const SETTINGS: readonly (readonly [pragma: string, value: string, readBack: unknown])[] = [
  ['synchronous', 'FULL', 2], // A commit is on the disk when it returns. WAL's default may lose the last ones.
  ['fullfsync', 'ON', 1], // The same on macOS, whose fsync alone doesn't reach the disk.
  ['checkpoint_fullfsync', 'ON', 1],
  ['secure_delete', 'ON', 1], // Deleted content is overwritten with zeros.
  ['foreign_keys', 'ON', 1],
  ['trusted_schema', 'OFF', 0], // A crafted schema can't call functions with side effects.
  ['cell_size_check', 'ON', 1], // A damaged page is noticed when it is loaded.
  ['temp_store', 'MEMORY', 2], // No row in a temporary file.
]

/** What `integrity_check` says of content, not structure: the row concerned is refused when it is read. */
const ROW_PROBLEM = /^(?:NULL|NUMERIC|TEXT|non-\w+) value in \w+\.\w+$/
const PROBLEMS_MAX = 100

export interface Connection {
  readonly db: Database.Database
  readonly statements: Statements
  readonly warnings: readonly string[]
}

/**
 * @param path - an existing file, perhaps empty, or {@link IN_MEMORY}.
 * @param busyTimeoutMs - how long a write waits for another process's.
 * @throws {@link StoreOpenError} if the file can't be used; nothing has been written to it then, unless it was an
 *   empty file or its migration failed.
 */
export function openConnection(path: string, busyTimeoutMs: number): Connection {
  let db: Database.Database | undefined
  try {
    if (path !== IN_MEMORY) assertOurs(path)
    db = new Database(path, { fileMustExist: path !== IN_MEMORY, timeout: busyTimeoutMs })
    configure(db, path)
    const warnings = checkIntegrity(db, path)
    migrate(db, path)
    assertSchema(db, path)
    const statements = prepareStatements(db)
    return { db, statements, warnings }
  } catch (error) {
    if (db?.open) db.close()
    throw asOpenError(path, error)
  }
}

/**
 * A connection beside that of the process that writes, in a process that only reads: it can neither change a row nor
 * move the log into the file.
 *
 * @throws {@link StoreOpenError}
 */
export function openReadingConnection(path: string, busyTimeoutMs: number): Omit<Connection, 'warnings'> {
  let db: Database.Database | undefined
  try {
    db = new Database(path, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs })
    assertKnownSchema(db, path)
    for (const setting of SETTINGS) applySetting(db, path, setting)
    return { db, statements: prepareStatements(db) }
  } catch (error) {
    if (db?.open) db.close()
    throw asOpenError(path, error)
  }
}

/**
 * A connection for a look at a store that may be in use, or in no state to be used. It must not have been opened in this
 * process.
 *
 * @returns undefined if an older server has made it.
 * @throws {@link StoreOpenError}
 */
export function openConnectionToLook(path: string, busyTimeoutMs: number): Connection | undefined {
  let db: Database.Database | undefined
  try {
    db = existsSync(`${path}-wal`)
      ? new Database(path, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs })
      : new Database(contentOf(path), { readonly: true })
    assertKnownSchema(db, path)
    const warnings = checkIntegrity(db, path)
    if (isOlderSchema(db)) {
      db.close()
      return undefined
    }
    assertSchema(db, path)
    return { db, statements: prepareStatements(db), warnings }
  } catch (error) {
    if (db?.open) db.close()
    throw asOpenError(path, error)
  }
}

/** Where the header says how the file is written and read: 2 with a write-ahead log, 1 without. */
const FORMAT_AT = 18

/**
 * The database as a copy in memory, for a file without a log. SQLite would make the log, also to read, and leave it
 * behind.
 */
function contentOf(path: string): Buffer {
  const content = readFileSync(path)
  if (content.length > FORMAT_AT + 1) content.fill(1, FORMAT_AT, FORMAT_AT + 2)
  return content
}

/** Looks through a connection that can't write: the last ordinary one would move the log into the file at its end. */
function assertOurs(path: string): void {
  if (statSync(path).size === 0) return
  const db = new Database(path, { readonly: true, fileMustExist: true })
  try {
    assertKnownSchema(db, path)
  } finally {
    db.close()
  }
}

function configure(db: Database.Database, path: string): void {
  db.pragma(`page_size = ${PAGE_BYTES_MIN}`) // Has an effect on a new file only.
  for (const setting of SETTINGS) applySetting(db, path, setting)
  const mode = db.pragma('journal_mode = WAL', { simple: true })
  assertSetting(path, 'journal_mode', mode, mode === (path === IN_MEMORY ? 'memory' : 'wal'))
  const pageBytes = db.pragma('page_size', { simple: true })
  assertSetting(path, 'page_size', pageBytes, Number(pageBytes) >= PAGE_BYTES_MIN)
}

function applySetting(db: Database.Database, path: string, setting: (typeof SETTINGS)[number]): void {
  const [pragma, value, readBack] = setting
  db.pragma(`${pragma} = ${value}`)
  const found = db.pragma(pragma, { simple: true })
  assertSetting(path, pragma, found, found === readBack)
}

function assertSetting(path: string, pragma: string, found: unknown, isRight: boolean): void {
  if (isRight) return
  throw new StoreOpenError(path, `the store '${path}' can not be opened: SQLite keeps ${pragma} = ${found}`)
}

/**
 * `integrity_check` rather than `quick_check`: only the former finds a name that is missing from the index. Such a
 * key would answer "does not exist", and clients create what does not exist.
 */
function checkIntegrity(db: Database.Database, path: string): string[] {
  const found = db.prepare(`PRAGMA integrity_check(${PROBLEMS_MAX})`).pluck().all().map(String)
  const problems = found.flatMap((text) => text.split('\n')).filter((text) => text !== 'ok')
  const fatal = problems.find((text) => !ROW_PROBLEM.test(text))
  if (fatal !== undefined) {
    throw new StoreOpenError(
      path,
      `the store '${path}' is damaged (${fatal}): restore it from a backup, or repair a copy with "sqlite3 .recover"`,
    )
  }
  return problems.map((text) => `the store '${path}' has damaged rows, which are refused: ${text}`)
}
