/** `kes backup restore`: makes a store from a backup, while no server uses its place. */
import { addOpenOptions, type OpenFlags, openBackup, publicKeyOf, storeSecret } from './backup-source.ts'
import { type KesCommand, type OutputFlags, repeatable } from './command.ts'
import { readLines } from './file.ts'
import { type Io, printJson } from './io.ts'
import { shown } from './name-list.ts'
import { CliError } from './outcome.ts'
import { ProgressBar } from './progress-bar.ts'

interface RestoreFlags extends OpenFlags {
  readonly journal?: string
  readonly revive?: readonly string[]
  readonly replace?: boolean
}

export function addBackupRestoreCommand(group: KesCommand, io: Io): void {
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
    const { explainLocked, explainStoreError, readSqliteConfig } = await import('./offline-store.ts')
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
      throw explainStoreError(explainSecret(explainLocked(error)), 'failed to restore the backup')
    }
  })
}

/** A secret that was changed since the backup was made. */
function explainSecret(error: unknown): unknown {
  if (!(error instanceof Error && /^Wrong(?:Passphrase|KeyFile)Error$/.test(error.name))) return error
  return new CliError(`the backup can not be opened: ${error.message}`, [
    'It is opened by a secret that the store had when it was made: name one with --unlock-passphrase-file or --unlock-key-file.',
  ])
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

async function* textLines(path: string): AsyncGenerator<string> {
  for await (const { bytes } of readLines(path)) yield bytes.toString('utf8')
}
