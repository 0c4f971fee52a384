/** Passphrases and key files for a command: from a file, the standard input or a prompt, never from an argument. */
import { readFileSync } from 'node:fs'
import type { SealSecret } from '@latchkey/kms-client'
import { readPassphraseFile } from '../seal/passphrase-file.ts'
import { UnfitSecretError } from '../seal/seal-errors.ts'
import type { KesCommand } from './command.ts'
import { fileError } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

const STDIN = '-'
/** What a decoder makes of bytes that are no UTF-8. */
const REPLACEMENT = '\ufffd'

export interface SecretFlags {
  readonly passphraseFile?: string | undefined
  readonly keyFile?: string | undefined
}

/**
 * @param read - reads the key file.
 * @returns the secret of the file that was named; undefined if none was.
 * @throws {@link CliError}, and what `read` throws.
 */
export async function readSecret(
  io: Io,
  flags: SecretFlags,
  command: KesCommand,
  read: (path: string) => Buffer | Promise<Buffer> = readKeyFile,
): Promise<SealSecret | undefined> {
  const { passphraseFile, keyFile } = flags
  if (passphraseFile !== undefined && keyFile !== undefined)
    throw command.usageError('a passphrase and a key file are two secrets: name one')
  if (passphraseFile !== undefined) return { passphrase: await readPassphrase(io, passphraseFile) }
  return keyFile === undefined ? undefined : { keyFile: await read(keyFile) }
}

/**
 * The first of the standard input's lines, or the bytes of a file as a server reads them.
 *
 * @throws {@link CliError}
 */
export async function readPassphrase(io: Io, path: string): Promise<Uint8Array> {
  if (path !== STDIN) return readPassphraseOf(path)
  const [line = ''] = (await io.readStdin()).split(/\r?\n/)
  if (line === '') throw new CliError('the passphrase in the standard input is empty')
  if (line.includes(REPLACEMENT))
    throw new CliError('the passphrase in the standard input is not UTF-8: put it into a file')
  return Buffer.from(line)
}

function readPassphraseOf(path: string): Uint8Array {
  try {
    return readPassphraseFile(path)
  } catch (error) {
    throw error instanceof UnfitSecretError ? new CliError(error.message) : error
  }
}

export async function askPassphrase(io: Io, prompt: string): Promise<Uint8Array> {
  return Buffer.from(await io.readPassword(prompt))
}

/** Asks twice. @throws {@link CliError} if the answers differ. */
export async function askNewPassphrase(io: Io, prompt: string): Promise<Uint8Array> {
  const passphrase = await io.readPassword(prompt)
  if ((await io.readPassword('The same again: ')) !== passphrase)
    throw new CliError("passphrases don't match")
  return Buffer.from(passphrase)
}

/** As a server reads it at its start, and what that refuses. @throws {@link CliError}, UnfitSecretError */
export async function readNewKeyFile(path: string): Promise<Buffer> {
  const { readKeyFile: readAtStart } = await import('../open-store.ts')
  try {
    return readAtStart(path)
  } catch (error) {
    throw error instanceof Error && error.cause !== undefined ? fileError(path, error.cause) : error
  }
}

/** One that opens a store already, from wherever it comes. @throws {@link CliError} */
export function readKeyFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw fileError(path, error)
  }
}
