/**
 * The text of a backup, or of a single key, ↔ the encrypted file, in the format of age (https://age-encryption.org/v1): for recipients, whose
 * identities decrypt it, or for a passphrase.
 */

import { randomUUID } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { Decrypter, Encrypter } from 'age-encryption'
import { diskProblemOf } from '../message-of.ts'

/** Who may read a file. */
export type AgeKey = { readonly passphrase: string } | { readonly recipients: readonly string[] }
/** What opens it. */
export type AgeUnlock = { readonly passphrase: string } | { readonly identities: readonly string[] }

/** What the operator reads, in one line. */
export class AgeError extends Error {
  override readonly name = 'AgeError'
}

export function encrypterFor(key: AgeKey): Encrypter {
  const encrypter = new Encrypter()
  if ('passphrase' in key) encrypter.setPassphrase(key.passphrase)
  else {
    for (const recipient of key.recipients) {
      try {
        encrypter.addRecipient(recipient)
      } catch (cause) {
        throw new AgeError(`'${recipient}' is no age recipient, such as age1…`, { cause })
      }
    }
  }
  return encrypter
}

/**
 * Writes all of the text, or nothing: the file has its name only once it is whole and on the disk.
 *
 * @throws {@link AgeError} if there is a file of this name, or none can be written.
 */
export async function writeAgeFile(
  path: string,
  encrypter: Encrypter,
  text: AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`)
  try {
    const file = openSync(temporary, 'wx', 0o600)
    try {
      const encrypted = await encrypter.encrypt(ReadableStream.from(text) as ReadableStream<Uint8Array>)
      for await (const chunk of encrypted) writeWhole(file, chunk)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    linkSync(temporary, path)
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') throw new AgeError(`the file '${path}' exists already`, { cause: error })
    throw new AgeError(`the file '${path}' can not be written: ${diskProblemOf(error)}`, { cause: error })
  } finally {
    if (existsSync(temporary)) rmSync(temporary)
  }
}

function writeWhole(file: number, chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at)
}

/**
 * The text of a file, as it is decrypted.
 *
 * @param what - as errors call it.
 * @throws {@link AgeError} if nothing that is given opens it, or a bit of it was changed, or it is cut off.
 */
export async function* readAgeFile(
  path: string,
  unlock: AgeUnlock,
  what: string,
): AsyncGenerator<Uint8Array> {
  const decrypter = decrypterOf(unlock)
  const stream = createReadStream(path)
  let isOpen = false
  try {
    const source = ReadableStream.from(stream) as ReadableStream<Uint8Array>
    const text = await decrypter.decrypt(source)
    isOpen = true
    yield* text
  } catch (error) {
    throw explain(error, isOpen, what)
  } finally {
    stream.destroy()
  }
}

function decrypterOf(unlock: AgeUnlock): Decrypter {
  const decrypter = new Decrypter()
  if ('passphrase' in unlock) decrypter.addPassphrase(unlock.passphrase)
  else {
    for (const identity of unlock.identities) {
      try {
        decrypter.addIdentity(identity)
      } catch (cause) {
        throw new AgeError('an identity is none of age, such as AGE-SECRET-KEY-1…', { cause })
      }
    }
  }
  return decrypter
}

/** The errors of the format say little. */
function explain(error: unknown, isOpen: boolean, what: string): unknown {
  if (!(error instanceof Error) || error instanceof AgeError) return error
  if ('syscall' in error)
    return new AgeError(`the ${what} can not be read: ${diskProblemOf(error)}`, { cause: error })
  return isOpen
    ? new AgeError(`the ${what} is damaged or cut off`, { cause: error })
    : new AgeError(`the ${what} is no age file, is damaged, or is not for this passphrase or identity`, {
        cause: error,
      })
}
