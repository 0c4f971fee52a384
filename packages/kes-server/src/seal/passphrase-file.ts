/** Reads a passphrase from a file, as a container's secret mount has it. */
import { readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { UnfitSecretError } from './seal-errors.ts'

const PASSPHRASE_BYTES_MAX = 64 * 1024
const NEWLINE = 0x0a
const RETURN = 0x0d

/**
 * The bytes of the file without one newline at their end; the caller wipes them. Who may read the file is not
 * looked at: secret mounts are readable to all users of their container.
 *
 * @throws {@link UnfitSecretError} if the file can't be read, is empty, or has over 64 KiB.
 */
export function readPassphraseFile(path: string): Buffer {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (cause) {
    const why = messageOf(cause)
    throw new UnfitSecretError(`the passphrase file '${path}' can not be read (${why})`, { cause })
  }
  let end = bytes.length
  if (bytes[end - 1] === NEWLINE) end -= bytes[end - 2] === RETURN ? 2 : 1
  if (end < 1 || end > PASSPHRASE_BYTES_MAX) {
    bytes.fill(0)
    throw new UnfitSecretError(`the passphrase file '${path}' must have 1 to ${PASSPHRASE_BYTES_MAX} bytes`)
  }
  return bytes.subarray(0, end)
}
