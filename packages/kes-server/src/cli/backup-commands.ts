/** `kes backup`: makes, verifies and restores backups of the key store. */
import type { BackupInfo } from '@latchkey/kms-client'
import { type ClientFlags, type KesCommand, type OutputFlags, repeatable } from './command.ts'
import { readLines, readTextFile } from './file.ts'
import { type Io, printJson } from './io.ts'
import { CliError, Exit } from './outcome.ts'
import { paint } from './paint.ts'
import { ProgressBar } from './progress-bar.ts'
import { askNewPassphrase, askPassphrase, readPassphrase, readSecret } from './secret-source.ts'
import { withServers } from './with-servers.ts'

export function addBackupCommands(program: KesCommand, io: Io): void {
  const group = program
    .command('backup')
    .description('Make, verify and restore backups of the key store')
    .usage('<command>')
  addCreate(group, io)
  addVerify(group, io)
  addRestore(group, io)
}

interface CreateFlags extends ClientFlags, OutputFlags {
  readonly recipient?: readonly string[]
  readonly recipientsFile?: readonly string[]
  readonly passphraseFile?: string
  readonly config?: string
}

function addCreate(group: KesCommand, io: Io): void {
  const command = group
    .command('create')
    .description('Make a backup, encrypted for age recipients or by a passphrase, while the server serves')
    .usage('[options] <file>')
    .argument('[file]')
    .addClientOptions()
    .option(
      '--recipient <recipient>',
      'Encrypt for this age recipient, such as age1…; may be repeated',
      repeatable,
    )
    .option('--recipients-file <file>', 'Encrypt for the recipients of this file, a line each', repeatable)
    .option('--passphrase-file <file>', "Encrypt by the passphrase of this file; '-' is the standard input")
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
    const { existsSync } = await import('node:fs')
    if (existsSync(file)) throw new CliError(`the file '${file}' exists already`)
    const { encrypterFor, writeBackupFile } = await import('../backup/age-file.ts')
    const encrypter = encrypterFor(await readBackupKey(io, flags, command))
    const bar = new ProgressBar(io, 'bytes')
    const write = async ({ bytes }: Pick<BackupInfo, 'bytes'>, pieces: AsyncIterable<Uint8Array>) => {
      await writeBackupFile(
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
    servers.call(call, async (client, options) => {
      const made = await client.createBackup(options)
      await write(made, client.readBackup(made, options))
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

async function readBackupKey(io: Io, flags: CreateFlags, command: KesCommand) {
  const { recipient = [], recipientsFile = [], passphraseFile } = flags
  const recipients = [...recipient, ...recipientsFile.flatMap((path) => linesOfFile(path))]
  if (recipient.length + recipientsFile.length > 0) {
    if (passphraseFile !== undefined)
      throw command.usageError('a backup is encrypted for recipients or by a passphrase, not both')
    if (recipients.length === 0) throw new CliError('the file of recipients names none')
    return { recipients }
  }
  const passphrase =
    passphraseFile === undefined
      ? await askNewPassphrase(io, 'Passphrase for the backup: ')
      : await readPassphrase(io, passphraseFile)
  if (passphrase.length < PASSPHRASE_BYTES_MIN)
    throw new CliError(`the passphrase has fewer than ${PASSPHRASE_BYTES_MIN} bytes`)
  return { passphrase: Buffer.from(passphrase).toString('utf8') }
}

const PASSPHRASE_BYTES_MIN = 8

async function* textLines(path: string): AsyncGenerator<string> {
  for await (const { bytes } of readLines(path)) yield bytes.toString('utf8')
}

/** As age's own files have them: comments begin with `#`. */
function linesOfFile(path: string): string[] {
  return readTextFile(path)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
}

interface OpenFlags extends OutputFlags {
  readonly identityFile?: readonly string[]
  readonly passphraseFile?: string
  readonly unlockPassphraseFile?: string
  readonly unlockKeyFile?: string
  readonly config?: string
  readonly publicKey?: string
}

function addOpenOptions(command: KesCommand): KesCommand {
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

async function openBackup(io: Io, file: string, flags: OpenFlags, command: KesCommand) {
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
async function storeSecret(io: Io, flags: OpenFlags, command: KesCommand) {
  const { unlockPassphraseFile: passphraseFile, unlockKeyFile: keyFile } = flags
  const given = await readSecret(io, { passphraseFile, keyFile }, command)
  const { asStoreSecret, readSqliteConfig } = await import('./offline-store.ts')
  if (given !== undefined) return () => asStoreSecret(given)
  if (flags.config === undefined) return undefined
  const { readSecret: readConfigured } = await import('../open-store.ts')
  const { unseal } = await readSqliteConfig(flags.config)
  return () => readConfigured(unseal)
}

async function publicKeyOf({ publicKey }: OpenFlags) {
  if (publicKey === undefined) return undefined
  const { readPublicKey } = await import('./public-key-file.ts')
  return readPublicKey(publicKey)
}

function addVerify(group: KesCommand, io: Io): void {
  const command = addOpenOptions(
    group
      .command('verify')
      .description('Check a backup, without a server: that it is whole, its journal and its keys')
      .usage('[options] <file>')
      .argument('[file]'),
  )
    .option('--config <file>', 'Take the secret that this config file names')
    .addJsonOption('Print the verdict as JSON')
    .addHelpText(
      'after',
      `
Exit code 0 if nothing is wrong, 1 otherwise. With a secret of the store every key is unsealed and compared with its row and
the journal; with the public key every signature of the journal is checked.`,
    )
  command.action(async (file: string | undefined, flags: OpenFlags) => {
    if (file === undefined) throw command.usageError('no backup file specified')
    const { BackupBrokenError, verifyBackup } = await import('../backup/verify-backup.ts')
    const { AgeError } = await import('../backup/age-file.ts')
    const { formatHead } = await import('../journal/verify.ts')
    const publicKey = await publicKeyOf(flags)
    const secret = await storeSecret(io, flags, command)
    const lines = await openBackup(io, file, flags, command)
    const bar = new ProgressBar(io, 'rows')
    const fail = (problem: string): never => {
      if (flags.json) printJson(io, { verified: false, problem })
      else io.stdout.write(`${paint('red', 'The backup is not good:', io.stdout, io.env)} ${problem}\n`)
      throw new Exit(1)
    }
    try {
      const verdict = await verifyBackup(lines, secret, publicKey, (done, total) => bar.show(done, total))
      bar.clear()
      const { header, keys, damaged, journalProblem, hasUnsealed, hasVerifiedJournal } = verdict
      if (journalProblem !== undefined) fail(`its journal is broken: ${journalProblem}`)
      if (damaged.length > 0) fail(`${damaged.length} of ${keys} keys are damaged: ${shown(damaged)}`)
      const head = formatHead(header.head)
      if (flags.json) {
        return printJson(io, {
          verified: true,
          id: header.id,
          made_at: header.madeAt,
          store_id: header.storeId,
          head,
          keys,
          keys_unsealed: hasUnsealed,
          journal_verified: hasVerifiedJournal,
        })
      }
      const unsealed = hasUnsealed ? 'each of them opens' : 'not opened: no secret of the store was given'
      const journal = hasVerifiedJournal
        ? 'every signature is good'
        : 'signatures not checked: no public key was given'
      io.stdout.write(
        `Backup ${header.id} of ${header.madeAt} is whole.\nKeys: ${keys} (${unsealed})\nJournal: up to ${head} (${journal})\n`,
      )
    } catch (error) {
      bar.clear()
      if (error instanceof BackupBrokenError || error instanceof AgeError) fail(error.message)
      throw error
    }
  })
}

interface RestoreFlags extends OpenFlags {
  readonly journal?: string
  readonly revive?: readonly string[]
  readonly replace?: boolean
}

function addRestore(group: KesCommand, io: Io): void {
  const command = addOpenOptions(
    group
      .command('restore')
      .description('Make the key store of a config file from a backup, while no server uses it')
      .usage('[options] --config <file> <file>')
      .argument('[file]')
      .option('--config <file>', "The server's config file: it names the store and the secret that opens it")
      .option('--journal <file>', "What 'kes journal export' has printed since: it is followed to its end"),
  )
    .option(
      '--revive <name>',
      'Bring back this key, which the journal says was erased; may be repeated',
      repeatable,
    )
    .option('--replace', 'Set a store that is there aside; it is kept under another name')
    .addJsonOption()
    .addHelpText(
      'after',
      `
A backup is old: keys in it may have been locked or erased since. With --journal and --public-key all that the journal
says is done again. Without, every key is disabled: enable those of which you know. An erased key comes back only
with --revive, disabled. Keys that were made after the backup are lost, and their names stay reserved.`,
    )
  command.action(async (file: string | undefined, flags: RestoreFlags) => {
    if (file === undefined) throw command.usageError('no backup file specified')
    if (flags.config === undefined) throw command.usageError('no config file specified')
    const { restore } = await import('../backup/restore.ts')
    const { explainLocked, readSqliteConfig } = await import('./offline-store.ts')
    const { parseKeyName } = await import('../names.ts')
    const { path, erasedNames } = await readSqliteConfig(flags.config)
    const secret = await storeSecret(io, flags, command)
    if (secret === undefined) throw new TypeError('a config names a secret')
    const bars = new Map([
      ['load', new ProgressBar(io, 'rows read')],
      ['verify', new ProgressBar(io, 'rows verified')],
      ['apply', new ProgressBar(io, 'keys disabled')],
    ])
    const clear = () => bars.get('load')?.clear()
    try {
      const report = await restore({
        lines: await openBackup(io, file, flags, command),
        path,
        replace: flags.replace ?? false,
        secret,
        erasedNames,
        publicKey: await publicKeyOf(flags),
        journal: flags.journal === undefined ? undefined : textLines(flags.journal),
        revive: (flags.revive ?? []).map(parseKeyName),
        onProgress: (step, done, total) => bars.get(step)?.show(done, total),
      })
      clear()
      await printReport(io, path, report, flags)
    } catch (error) {
      clear()
      throw explainLocked(error)
    }
  })
}

type Report = Awaited<ReturnType<typeof import('../backup/restore.ts').restore>>

async function printReport(io: Io, path: string, report: Report, { json }: OutputFlags): Promise<void> {
  const { formatHead } = await import('../journal/verify.ts')
  const { header, journalHead, keys, disabled, erased, revived, lost, damaged, warnings, kept } = report
  const head = formatHead(header.head)
  for (const warning of warnings) io.stderr.write(`WARNING: ${warning}\n`)
  if (json) {
    return printJson(io, {
      id: header.id,
      made_at: header.madeAt,
      head,
      journal_head: journalHead ? formatHead(journalHead) : null,
      keys,
      disabled,
      erased,
      revived,
      lost,
      damaged,
      kept: kept ?? null,
    })
  }
  const lines = [
    `Restored ${keys} keys of the backup of ${header.madeAt} to '${path}'.`,
    `The backup's journal ends with ${head}`,
  ]
  if (journalHead === undefined)
    lines.push(`${disabled} keys were disabled: without --journal nobody knows what has happened since.`)
  else lines.push(`The journal was followed up to ${formatHead(journalHead)}`)
  if (erased > 0) lines.push(`${erased} keys of the backup were erased since, and are not restored.`)
  if (revived.length > 0) lines.push(`Erased, and back, disabled: ${shown(revived)}`)
  if (lost.length > 0) lines.push(`Made after the backup, and lost, their names reserved: ${shown(lost)}`)
  if (damaged.length > 0) lines.push(`Damaged in the backup already: ${shown(damaged)}`)
  if (kept !== undefined)
    lines.push(`The store that was there is kept as '${kept}': remove it when you are done.`)
  io.stdout.write(`${lines.join('\n')}\n`)
}

const NAMES_MAX = 20

function shown(names: readonly string[]): string {
  const more = names.length > NAMES_MAX ? `, and ${names.length - NAMES_MAX} more` : ''
  return names.slice(0, NAMES_MAX).join(', ') + more
}
