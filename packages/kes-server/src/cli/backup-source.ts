/** A backup's file, and what opens it and its keys, for the commands that read one. */
import { addDecryptOptions, type DecryptFlags, decryptFile } from './age-options.ts'
import type { KesCommand, OutputFlags } from './command.ts'
import type { Io } from './io.ts'
import { readSecret } from './secret-source.ts'

export interface OpenFlags extends OutputFlags, DecryptFlags {
  readonly unlockPassphraseFile?: string
  readonly unlockKeyFile?: string
  readonly config?: string
  readonly publicKey?: string
}

export function addOpenOptions(command: KesCommand): KesCommand {
  return addDecryptOptions(command)
    .option('--unlock-passphrase-file <file>', "A passphrase of the store: it opens the backup's keys")
    .option('--unlock-key-file <file>', "A key file of the store: it opens the backup's keys")
    .option('--public-key <file>', "The journal's public key that was kept when the store was set up")
}

/** The lines of the decrypted backup. */
export async function openBackup(io: Io, file: string, flags: OpenFlags, command: KesCommand) {
  const { linesOf } = await import('../backup/lines.ts')
  return linesOf(await decryptFile(io, file, flags, command, 'backup'))
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
