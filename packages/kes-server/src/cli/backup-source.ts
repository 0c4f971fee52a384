/** A backup's file, and what opens it and its keys, for the commands that read one. */
import { type KesCommand, type OutputFlags, repeatable } from './command.ts'
import { readTextFile } from './file.ts'
import type { Io } from './io.ts'
import { CliError } from './outcome.ts'
import { askPassphrase, readPassphrase, readSecret } from './secret-source.ts'

export interface OpenFlags extends OutputFlags {
  readonly identityFile?: readonly string[]
  readonly passphraseFile?: string
  readonly unlockPassphraseFile?: string
  readonly unlockKeyFile?: string
  readonly config?: string
  readonly publicKey?: string
}

export function addOpenOptions(command: KesCommand): KesCommand {
  return command
    .option(
      '--identity-file <file>',
      'Decrypt with the age identities of this file; may be repeated',
      repeatable,
    )
    .option('--passphrase-file <file>', "Decrypt by the passphrase of this file; '-' is the standard input")
    .option('--unlock-passphrase-file <file>', "A passphrase of the store: it opens the backup's keys")
    .option('--unlock-key-file <file>', "A key file of the store: it opens the backup's keys")
    .option('--public-key <file>', "The journal's public key that was kept when the store was set up")
}

/** The lines of the decrypted backup. */
export async function openBackup(io: Io, file: string, flags: OpenFlags, command: KesCommand) {
  const { readBackupFile } = await import('../backup/age-file.ts')
  const { linesOf } = await import('../backup/lines.ts')
  const { identityFile = [], passphraseFile } = flags
  if (identityFile.length > 0 && passphraseFile !== undefined)
    throw command.usageError('a backup is decrypted with identities or by a passphrase, not both')
  const { existsSync } = await import('node:fs')
  if (!existsSync(file)) throw new CliError(`open ${file}: no such file or directory`)
  if (identityFile.length > 0) {
    return linesOf(readBackupFile(file, { identities: identityFile.flatMap((path) => linesOfFile(path)) }))
  }
  const passphrase =
    passphraseFile === undefined
      ? await askPassphrase(io, 'Passphrase of the backup: ')
      : await readPassphrase(io, passphraseFile)
  return linesOf(readBackupFile(file, { passphrase: Buffer.from(passphrase).toString('utf8') }))
}

/** What opens the backup's keys: named by an option, or by the config. */
export async function storeSecret(io: Io, flags: OpenFlags, command: KesCommand) {
  const { unlockPassphraseFile: passphraseFile, unlockKeyFile: keyFile } = flags
  const given = await readSecret(io, { passphraseFile, keyFile }, command)
  const { asStoreSecret, readSqliteConfig } = await import('./offline-store.ts')
  if (given !== undefined) return () => asStoreSecret(given)
  if (flags.config === undefined) return undefined
  const { readSecret: readConfigured } = await import('../open-store.ts')
  const { unseal } = await readSqliteConfig(flags.config)
  return () => readConfigured(unseal)
}

export async function publicKeyOf({ publicKey }: OpenFlags) {
  if (publicKey === undefined) return undefined
  const { readPublicKey } = await import('./public-key-file.ts')
  return readPublicKey(publicKey)
}

/** As age's own files have them: comments begin with `#`. */
export function linesOfFile(path: string): string[] {
  return readTextFile(path)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

const NAMES_MAX = 20

/** Some of many names. */
export function shown(names: readonly string[]): string {
  const more = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : ''
  return names.slice(0, NAMES_MAX).join(', ') + more
}
