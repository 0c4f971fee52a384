import type Database from 'better-sqlite3'
import { isBusy } from './sqlite-errors.ts'

/**
 * Runs `body` without waiting for another program inside of SQLite, which would stop the whole process.
 *
 * @param busyTimeoutMs - how long the connection waits otherwise.
 * @returns false if one is in the way, or `body` says so. @throws what else `body` does.
 */
export function withoutWaiting(db: Database.Database, busyTimeoutMs: number, body: () => unknown): boolean {
  db.pragma('busy_timeout = 0')
  try {
    return body() !== false
  } catch (error) {
    if (isBusy(error)) return false
    throw error
  } finally {
    db.pragma(`busy_timeout = ${busyTimeoutMs}`)
  }
}
