/** SQLite's result codes (https://www.sqlite.org/rescode.html) as sentences that an operator can act on. */
import Database from 'better-sqlite3'
import { KesError, RecordDamagedError, type StoreAction, StoreError } from '../errors.ts'
import { StoreOpenError } from './open-errors.ts'

/** Longest code first: `SQLITE_IOERR_WRITE` is more than `SQLITE_IOERR`. */
const REASONS: readonly (readonly [prefix: string, reason: string])[] = [
  ['SQLITE_NOTADB', 'it is not a SQLite database'],
  ['SQLITE_CORRUPT', 'it is damaged: restore it from a backup'],
  ['SQLITE_READONLY', 'it or its directory is read-only for this user'],
  ['SQLITE_PERM', 'this user may not open it'],
  ['SQLITE_AUTH', 'this user may not open it'],
  ['SQLITE_CANTOPEN', 'it, or a file beside it, can not be opened: check the path and the permissions'],
  ['SQLITE_FULL', 'there is no space left on its disk'],
  ['SQLITE_IOERR', 'its disk answered with an error'],
  ['SQLITE_NOLFS', 'its disk does not take files of this size'],
  ['SQLITE_BUSY', 'another process is writing to it'],
  ['SQLITE_LOCKED', 'another process is writing to it'],
  ['SQLITE_PROTOCOL', 'its locks do not work: is it on a network file system?'],
]

function reason(error: InstanceType<typeof Database.SqliteError>): string {
  const known = REASONS.find(([prefix]) => error.code.startsWith(prefix))
  return `${known === undefined ? 'SQLite refused' : known[1]} (${error.code}: ${error.message})`
}

/** @returns `error` itself if it is not SQLite's. */
export function asOpenError(path: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error
  return new StoreOpenError(path, `the store '${path}' can not be opened: ${reason(error)}`, { cause: error })
}

/** Of a file that is being made. @returns `error` itself if it is not SQLite's. */
export function asWriteError(path: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error
  return new StoreOpenError(path, `the store '${path}' can not be written: ${reason(error)}`, {
    cause: error,
  })
}

/** Whether a row is at fault, and not the file that it was written to. */
export function isOfRow(error: unknown): boolean {
  return !(error instanceof Database.SqliteError) || /^SQLITE_(?:CONSTRAINT|MISMATCH|TOOBIG)/.test(error.code)
}

/** As the key API reports a failure at run time. @returns `error` itself if it is not SQLite's. */
export function asStoreError(action: StoreAction, error: unknown): unknown {
  if (error instanceof KesError || !(error instanceof Database.SqliteError)) return error
  const options = { detail: `the store failed: ${reason(error)}`, cause: error }
  return isDamage(error) && action === 'read key'
    ? new RecordDamagedError(action, options)
    : new StoreError(action, options)
}

export function isUniqueViolation(error: unknown): boolean {
  return (
    error instanceof Database.SqliteError &&
    (error.code === 'SQLITE_CONSTRAINT_UNIQUE' || error.code === 'SQLITE_CONSTRAINT_PRIMARYKEY')
  )
}

export function isDamage(error: unknown): boolean {
  return error instanceof Database.SqliteError && /^SQLITE_(?:CORRUPT|NOTADB)/.test(error.code)
}

export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY')
}

/** Also of an error that was made from SQLite's. */
export function isDiskFull(error: unknown): boolean {
  const cause = error instanceof KesError ? error.cause : error
  return cause instanceof Database.SqliteError && /^SQLITE_(?:FULL|IOERR_SHMSIZE)/.test(cause.code)
}
