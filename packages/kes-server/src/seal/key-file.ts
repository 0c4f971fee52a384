/** Makes and reads the file that opens a store, and refuses one that could not have stayed secret. */
import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { UnfitSecretError } from './seal-errors.ts'

export const KEY_FILE_BYTES_MIN = 32
const KEY_FILE_BYTES_MAX = 64 * 1024
const OTHERS_ANY = 0o077

/**
 * @returns all bytes of the file, a newline at its end included; the caller wipes them.
 * @throws {@link UnfitSecretError} if it can't be read, is no regular file, has fewer than 32 or more than 65,536
 *   bytes, or if other users may read or write it.
 */
export function readKeyFile(path: string): Buffer {
  let file: number
  try {
    // Without O_NONBLOCK a named pipe would hold the start until someone writes to it.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const why = messageOf(cause)
    throw new UnfitSecretError(`the key file '${path}' can not be read (${why})`, { cause })
  }
  try {
    assertFit(file, path) // By descriptor: what is checked is what is read.
    return readFileSync(file)
  } finally {
    closeSync(file)
  }
}

/**
 * Makes a file of 32 random bytes that only its owner may read; one that is there stays.
 *
 * @throws {@link UnfitSecretError} if it can't be made.
 */
export function createKeyFile(path: string): void {
  const bytes = randomBytes(KEY_FILE_BYTES_MIN)
  try {
    writeFileSync(path, bytes, { flag: 'wx', mode: 0o600, flush: true })
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EEXIST') return
    const why = messageOf(cause)
    throw new UnfitSecretError(`the key file '${path}' can not be made (${why})`, { cause })
  } finally {
    bytes.fill(0)
  }
}

function assertFit(file: number, path: string): void {
  const stats = fstatSync(file)
  if (!stats.isFile()) throw new UnfitSecretError(`the key file '${path}' is not a regular file`)
  if (process.platform !== 'win32' && stats.mode & OTHERS_ANY) {
    throw new UnfitSecretError(`the key file '${path}' is open to other users: run chmod 600 '${path}'`)
  }
  if (stats.size < KEY_FILE_BYTES_MIN || stats.size > KEY_FILE_BYTES_MAX) {
    throw new UnfitSecretError(
      `the key file '${path}' has ${stats.size} bytes: it must have ${KEY_FILE_BYTES_MIN} to ${KEY_FILE_BYTES_MAX}`,
    )
  }
}
