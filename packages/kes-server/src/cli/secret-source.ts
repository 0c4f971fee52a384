/** Passphrases and key files for a command: from a file, the standard input or a prompt, never from an argument. */
import { readFileSync } from 'node:fs'
import type { SealSecret } from '@latchkey/kms-client'
import type { KesCommand } from './command.ts'
import { fileError, readTextFile } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'

const STDIN = '-'

export interface SecretFlags {
  readonly passphraseFile?: string | undefined
  readonly keyFile?: string | undefined
}

/** @returns the secret of the file that was named; undefined if none was. @throws {@link CliError} */
export async function readSecret(
  io: Io,
  flags: SecretFlags,
  command: KesCommand,
): Promise<SealSecret | undefined> {
  const { passphraseFile, keyFile } = flags
  if (passphraseFile !== undefined && keyFile !== undefined)
    throw command.usageError('a passphrase and a key file are two secrets: name one')
  if (passphraseFile !== undefined) return { passphrase: await readPassphrase(io, passphraseFile) }
  return keyFile === undefined ? undefined : { keyFile: readKeyFile(keyFile) }
}

/** The first of the standard input's lines, or the whole file without a newline at its end. */
export async function readPassphrase(io: Io, path: string): Promise<Uint8Array> {
  const text = path === STDIN ? ((await io.readStdin()).split('\n')[0] ?? '') : readTextFile(path)
  const passphrase = text.replace(/\r?\n$|\r$/, '')
  if (passphrase === '')
    throw new CliError(`the passphrase in ${path === STDIN ? 'the standard input' : path} is empty`)
  return Buffer.from(passphrase)
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

export function readKeyFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    throw fileError(path, error)
  }
}
