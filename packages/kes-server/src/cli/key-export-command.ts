/** `kes key export`, and `kes key import --sealed`: a single key on its way from one store to another. */
import { parseKeyName } from '../names.ts'
import {
  addDecryptOptions,
  addEncryptOptions,
  type DecryptFlags,
  decryptFile,
  type EncryptFlags,
  readAgeKey,
} from './age-options.ts'
import type { KesCommand } from './command.ts'
import { assertCanMake } from './file.ts'
import type { Io } from './io.ts'
import { explainStoreError, readExistingKeystore, withStore } from './offline-store.ts'

export function addKeyExportCommand(group: KesCommand, io: Io): void {
  const command = addEncryptOptions(
    group
      .command('export')
      .description('Write one key to a file, sealed for age recipients or by a passphrase')
      .usage('[options] --config <file> <name> <file>')
      .argument('[name]')
      .argument('[file]')
      .option('--config <file>', "The server's config file"),
  ).addHelpText(
    'after',
    `
The server must be stopped: no call of its API gives a key away. The journal says when, and for whom, a key was exported.
Whoever can open the file has the key, and all that was encrypted with it. 'kes key import --sealed' reads it.`,
  )
  command.action(async (name: string | undefined, file: string | undefined, flags: ExportFlags) => {
    if (name === undefined) throw command.usageError('no key name specified')
    if (file === undefined) throw command.usageError('no file specified')
    if (flags.config === undefined) throw command.usageError('no config file specified')
    assertCanMake(file)
    const keystore = await readExistingKeystore(flags.config)
    const { encrypterFor, writeAgeFile } = await import('../backup/age-file.ts')
    const { encodeSealedKey, exportKey } = await import('../keyring/sealed-key.ts')
    const { wipeKey } = await import('../keyring/key-transfer.ts')
    const seal = await readAgeKey(io, flags, command, 'key')
    const encrypter = encrypterFor(seal)
    const recipients = 'passphrase' in seal ? 'a passphrase' : seal.recipients.join(' ')
    await withStore(keystore, async (opened) => {
      const key = await attempt(`failed to export key "${name}"`, () =>
        exportKey(opened, parseKeyName(name), recipients),
      )
      const text = encodeSealedKey(key)
      wipeKey(key)
      try {
        await writeAgeFile(file, encrypter, once(text))
      } finally {
        text.fill(0)
      }
    })
  })
}

interface ExportFlags extends EncryptFlags {
  readonly config?: string
}

export interface SealedImportFlags extends DecryptFlags {
  readonly sealed?: string
  readonly config?: string
  readonly reuse?: boolean
}

export function addSealedImportOptions(command: KesCommand): KesCommand {
  return addDecryptOptions(
    command
      .option(
        '--sealed <file>',
        "Import the key of a file that 'kes key export' made, with the server stopped",
      )
      .option('--config <file>', "With --sealed: the server's config file")
      .option('--reuse', 'With --sealed: take the name of an erased key'),
  )
}

/** @param newName - undefined: the name that the key had. */
export async function importSealed(
  io: Io,
  newName: string | undefined,
  flags: SealedImportFlags & { readonly sealed: string },
  command: KesCommand,
): Promise<void> {
  if (flags.config === undefined) throw command.usageError('no config file specified')
  const keystore = await readExistingKeystore(flags.config)
  const { decodeSealedKey, importKey } = await import('../keyring/sealed-key.ts')
  const { wipeKey } = await import('../keyring/key-transfer.ts')
  const text = Buffer.concat(
    await Array.fromAsync(await decryptFile(io, flags.sealed, flags, command, 'key')),
  )
  try {
    const key = decodeSealedKey(text)
    try {
      await withStore(keystore, (opened) =>
        attempt(`failed to import "${newName ?? key.name}"`, () =>
          importKey(opened, key, parseKeyName(newName ?? key.name), flags.reuse ?? false),
        ),
      )
    } finally {
      wipeKey(key)
    }
  } finally {
    text.fill(0)
  }
}

async function attempt<T>(failure: string, body: () => T): Promise<T> {
  try {
    return body()
  } catch (error) {
    throw explainStoreError(error, failure)
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
