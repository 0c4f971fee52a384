/** `kes backup create`: through a running server, or of a store that no server uses. */
import type { BackupInfo } from '@latchkey/kms-client'
import { addEncryptOptions, type EncryptFlags, readAgeKey } from './age-options.ts'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { type Io, printJson } from './io.ts'
import { ProgressBar } from './progress-bar.ts'
import { withServers } from './with-servers.ts'

interface CreateFlags extends ClientFlags, OutputFlags, EncryptFlags {
  readonly config?: string
}

export function addBackupCreateCommand(group: KesCommand, io: Io): void {
  const command = addEncryptOptions(
    group
      .command('create')
      .description('Make a backup, encrypted for age recipients or by a passphrase, while the server serves')
      .usage('[options] <file>')
      .argument('[file]')
      .addClientOptions(),
  )
    .option('--config <file>', 'Read the store of this config file, while no server uses it')
    .addJsonOption()
    .addHelpText(
      'after',
      `
Asks the server of KES_SERVER, as the admin; without a recipient it asks for a passphrase. The keys in a backup are sealed
as they are in the store: to use them takes a passphrase or key file of the store as well.`,
    )
  command.action(async (file: string | undefined, flags: CreateFlags) => {
    if (file === undefined) throw command.usageError('no backup file specified')
    const { assertCanMake } = await import('./file.ts')
    assertCanMake(file)
    const { encrypterFor, writeAgeFile } = await import('../backup/age-file.ts')
    const encrypter = encrypterFor(await readAgeKey(io, flags, command, 'backup'))
    const bar = new ProgressBar(io, 'bytes')
    const write = async ({ bytes }: Pick<BackupInfo, 'bytes'>, pieces: AsyncIterable<Uint8Array>) => {
      await writeAgeFile(
        file,
        encrypter,
        counted(pieces, (done) => bar.show(done, bytes)),
      )
      bar.clear()
    }
    const made = await (flags.config === undefined
      ? makeOnline(io, flags, write)
      : makeOffline(flags.config, write))
    if (flags.json)
      return printJson(io, { id: made.id, made_at: made.madeAt, head: made.head, keys: made.keys })
    const keys = made.keys === 1 ? '1 key' : `${made.keys} keys`
    io.stdout.write(
      `Backup ${made.id} of ${keys} was written to '${file}'.\nIts journal ends with ${made.head}\n`,
    )
  })
}

type Write = (made: BackupInfo, pieces: AsyncIterable<Uint8Array>) => Promise<void>

function makeOnline(io: Io, flags: CreateFlags, write: Write): Promise<BackupInfo> {
  const call = { method: 'PUT', path: '/v1/backup/create', failure: 'failed to make a backup' } as const
  return withServers(io, flags, (servers) =>
    servers.call(call, async (client, options, { stay }) => {
      const made = await client.createBackup(options)
      stay()
      try {
        await write(made, client.readBackup(made, options))
      } catch (error) {
        await Promise.allSettled([client.dropBackup(made.id)]) // It would go by itself, a minute later.
        throw error
      }
      return made
    }),
  )
}

/** Whoever can read the config and the store is nobody to the store: the journal says that it was done on the spot. */
const LOCAL = { identity: '', ip: '' }

async function makeOffline(config: string, write: Write): Promise<BackupInfo> {
  const { explainLocked, explainStoreError, readExistingKeystore, withStore } = await import(
    './offline-store.ts'
  )
  const { BackupDesk } = await import('../backup/backup-desk.ts')
  const { formatHead } = await import('../journal/verify.ts')
  const keystore = await readExistingKeystore(config)
  try {
    return await withStore(keystore, async ({ store, journal }) => {
      const desk = new BackupDesk(store, journal, { by: 'local operator' })
      const { header, bytes } = await desk.make(LOCAL)
      const { id, madeAt, head, tables } = header
      const keys = tables.find(({ name }) => name === 'keys')?.rows ?? 0
      const made = { id, madeAt, head: formatHead(head), keys, bytes }
      await write(
        made,
        piecesOf(bytes, (offset) => desk.read(id, offset)),
      )
      desk.close()
      return made
    })
  } catch (error) {
    throw explainStoreError(explainLocked(error), 'failed to make a backup')
  }
}

async function* piecesOf(bytes: number, read: (offset: number) => Buffer): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes; ) {
    const piece = read(offset)
    yield piece
    offset += piece.length
  }
}

async function* counted(
  chunks: AsyncIterable<Uint8Array>,
  onBytes: (done: number) => void,
): AsyncGenerator<Uint8Array> {
  let done = 0
  for await (const chunk of chunks) {
    yield chunk
    done += chunk.length
    onBytes(done)
  }
}
