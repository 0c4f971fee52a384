/** The options by which a command encrypts a file in the format of age, and decrypts one. */
import { isUtf8 } from 'node:buffer'
import { existsSync } from 'node:fs'
import type { AgeKey } from '../backup/age-file.ts'
import { type KesCommand, repeatable } from './command.ts'
import { readTextFile } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'
import { askNewPassphrase, askPassphrase, readPassphrase } from './secret-source.ts'

const PASSPHRASE_BYTES_MIN = 8

export interface EncryptFlags {
  readonly recipient?: readonly string[]
  readonly recipientsFile?: readonly string[]
  readonly passphraseFile?: string
}

export interface DecryptFlags {
  readonly identityFile?: readonly string[]
  readonly passphraseFile?: string
}

export function addEncryptOptions(command: KesCommand): KesCommand {
  return command
    .option(
      '--recipient <recipient>',
      'Encrypt for this age recipient, such as age1…; may be repeated',
      repeatable,
    )
    .option('--recipients-file <file>', 'Encrypt for the recipients of this file, a line each', repeatable)
    .option('--passphrase-file <file>', "Encrypt by the passphrase of this file; '-' is the standard input")
}

/** Asks for a passphrase if no option says anything. @param what - such as `backup`. */
export async function readAgeKey(
  io: Io,
  flags: EncryptFlags,
  command: KesCommand,
  what: string,
): Promise<AgeKey> {
  const { recipient = [], recipientsFile = [], passphraseFile } = flags
  const recipients = [...recipient, ...recipientsFile.flatMap((path) => linesOfFile(path))]
  if (recipient.length + recipientsFile.length > 0) {
    if (passphraseFile !== undefined)
      throw command.usageError(`a ${what} is encrypted for recipients or by a passphrase, not both`)
    if (recipients.length === 0) throw new CliError('the file of recipients names none')
    return { recipients }
  }
  const passphrase =
    passphraseFile === undefined
      ? await askNewPassphrase(io, `Passphrase for the ${what}: `)
      : await readPassphrase(io, passphraseFile)
  if (passphrase.length < PASSPHRASE_BYTES_MIN)
    throw new CliError(`the passphrase has fewer than ${PASSPHRASE_BYTES_MIN} bytes`)
  return { passphrase: textOf(passphrase) }
}

export function addDecryptOptions(command: KesCommand): KesCommand {
  return command
    .option(
      '--identity-file <file>',
      'Decrypt with the age identities of this file; may be repeated',
      repeatable,
    )
    .option('--passphrase-file <file>', "Decrypt by the passphrase of this file; '-' is the standard input")
}

/** The decrypted text. Asks for a passphrase if no option says anything. @param what - such as `backup`. */
export async function decryptFile(
  io: Io,
  file: string,
  flags: DecryptFlags,
  command: KesCommand,
  what: string,
): Promise<AsyncGenerator<Uint8Array>> {
  const { readAgeFile } = await import('../backup/age-file.ts')
  const { identityFile = [], passphraseFile } = flags
  if (identityFile.length > 0 && passphraseFile !== undefined)
    throw command.usageError(`a ${what} is decrypted with identities or by a passphrase, not both`)
  if (!existsSync(file)) throw new CliError(`open ${file}: no such file or directory`)
  if (identityFile.length > 0) {
    return readAgeFile(file, { identities: identityFile.flatMap((path) => linesOfFile(path)) }, what)
  }
  const passphrase =
    passphraseFile === undefined
      ? await askPassphrase(io, `Passphrase of the ${what}: `)
      : await readPassphrase(io, passphraseFile)
  return readAgeFile(file, { passphrase: textOf(passphrase) }, what)
}

/** What age takes. @throws {@link CliError} */
function textOf(passphrase: Uint8Array): string {
  if (!isUtf8(passphrase)) throw new CliError('the passphrase of an age file must be UTF-8')
  return Buffer.from(passphrase).toString('utf8')
}

/** As age's own files have them: comments begin with `#`. */
function linesOfFile(path: string): string[] {
  return readTextFile(path)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
