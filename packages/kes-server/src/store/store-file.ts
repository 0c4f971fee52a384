/**
 * The store's file: where it really is, and whether this user may use it.
 *
 * Nothing here opens an existing file. POSIX drops all of a process's locks on a file as soon as the process closes
 * any descriptor of it, so `node:fs` must never close what a SQLite connection of this process has locked
 * (https://www.sqlite.org/howtocorrupt.html, section 2.2).
 */
import {
  accessSync,
  closeSync,
  constants,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { messageOf } from '../message-of.ts'
import { StoreOpenError } from './open-errors.ts'

const OTHERS_WRITE = 0o022
const OTHERS_ANY = 0o077

/**
 * The file's path without symbolic links, so that all names of one store meet at one lock. Makes the directory
 * (0700, with its parents) if there is none; the file itself need not exist.
 *
 * @throws {@link StoreOpenError} if the path can't be a store's.
 */
export function resolveStorePath(path: string): string {
  const explain = (why: string, cause?: unknown) =>
    new StoreOpenError(path, `the store '${path}' can not be opened: ${why}`, { cause })
  let directory: string
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    directory = realpathSync(dirname(path))
  } catch (error) {
    throw explain(`its directory can not be made (${messageOf(error)})`, error)
  }

  const own = lstatSync(path, { throwIfNoEntry: false })
  const found = statSync(path, { throwIfNoEntry: false })
  if (own !== undefined && found === undefined) throw explain('it is a symbolic link that leads nowhere')
  if (found?.isDirectory()) throw explain('it is a directory')
  if (found !== undefined && !found.isFile()) throw explain('it is not a regular file')
  if (found !== undefined && found.nlink > 1) {
    // SQLite names the files beside it after the path, so the second name would miss what the first has written.
    throw explain('the file has more than one name (hard link): remove the others')
  }

  const real = found === undefined ? join(directory, basename(path)) : realpathSync(path)
  try {
    accessSync(dirname(real), constants.R_OK | constants.W_OK | constants.X_OK)
    if (found !== undefined) accessSync(real, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw explain(`it or its directory is not writable for this user (${messageOf(error)})`, error)
  }
  return real
}

/** Makes an empty file that only its owner can read, unless there is a file. */
export function createPrivateFile(path: string): void {
  try {
    const file = openSync(path, 'wx', 0o600)
    closeSync(file)
    syncDirectory(dirname(path))
  } catch (error) {
    if (isCode(error, 'EEXIST')) return
    throw new StoreOpenError(path, `the file '${path}' can not be made (${messageOf(error)})`, {
      cause: error,
    })
  }
}

/** Writes a file beside the store, readable by its owner only: the whole or nothing. For whoever has the store's lock. */
export function writePrivateFile(path: string, content: string | Uint8Array): void {
  const temporary = `${path}.tmp`
  rmSync(temporary, { force: true }) // Left by a process that was killed.
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o600, flush: true })
    renameSync(temporary, path)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** What an operator should know about the permissions of the store's file and directory; empty if all is well. */
export function permissionWarnings(path: string): string[] {
  if (process.platform === 'win32') return []
  const warnings: string[] = []
  const directory = dirname(path)
  if (statSync(path).mode & OTHERS_ANY) {
    warnings.push(`the store '${path}' is open to other users: run chmod 600 '${path}'`)
  }
  if (statSync(directory).mode & OTHERS_WRITE) {
    warnings.push(`other users can replace files in '${directory}': run chmod 700 '${directory}'`)
  }
  return warnings
}

/** A new file survives a power cut only once its directory has been written. */
export function syncDirectory(path: string): void {
  if (process.platform === 'win32') return
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
