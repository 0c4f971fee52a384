/** `kes migrate`: copies keys from one key store to another, while no server has either open. */
import { Option } from 'commander'
import type { MigrationOptions, MigrationResult } from '../keyring/migration.ts'
import type { KesCommand } from './command.ts'
import { parseGlob } from './glob.ts'
import type { Io } from './io.ts'
import { withSource } from './migration-source.ts'
import { shown } from './name-list.ts'
import { explainStoreError, isMade, readServerConfig, warnOf, withStore } from './offline-store.ts'
import { CliError } from './outcome.ts'
import { ProgressBar } from './progress-bar.ts'

interface MigrateFlags {
  readonly from?: string
  readonly to?: string
  readonly force?: boolean
  readonly merge?: boolean
  readonly dryRun?: boolean
  readonly insecure?: boolean
  readonly server?: string
  readonly enclave?: string
  readonly apiKey?: string
}

/** KES can also migrate to a server of another product. */
const OTHER_SERVER = [
  ['insecure', '-k, --insecure', '-k / --insecure'],
  ['server', '-s, --server <host>', '-s / --server'],
  ['enclave', '-e, --enclave <name>', '-e / --enclave'],
  ['apiKey', '-a, --api-key <key>', '-a / --api-key'],
] as const

export function addMigrateCommand(program: KesCommand, io: Io): void {
  const command = program
    .command('migrate')
    .description('Copy keys from one key store to another')
    .usage('[options] --from <config or folder> --to <config> [<pattern>]')
    .argument('[pattern]')
    .option('--from <path>', "The config file of the source's server, or the folder of keys of a Go KES")
    .option('--to <config>', "The config file of the target's server")
    .option('-f, --force', 'Replace keys that the target has under the same names')
    .option('--merge', 'Keep keys that the target has under the same names')
    .option('--dry-run', 'Say what would be copied, and copy nothing')
    .addHelpText(
      'after',
      `
Both servers must be stopped. Keys are copied whole: with their HMAC keys, dates and creators, and whether they are
disabled. Each is read back and compared. The source stays as it is. To go on with a migration that was interrupted,
run the same command again.

A folder alone is for keys of a Go KES. What a Latchkey knows of a folder beyond its keys, such as locks, is found through
its config file.

Examples:
  kes migrate --from old.yml --to new.yml             All keys
  kes migrate --from ./keys --to new.yml 'minio-*'    Some of the keys in the folder of a Go KES`,
    )
  for (const [, flags] of OTHER_SERVER) command.addOption(new Option(flags).hideHelp())
  command.action(async (pattern = '*', flags: MigrateFlags) => {
    const { from, to } = checkFlags(flags)
    const chosen = parseGlob(pattern)
    if (chosen === undefined)
      throw command.usageError(`invalid pattern "${pattern}": syntax error in pattern`)
    const { keystore, keysOptions } = await readServerConfig(to)
    const isDryRun = flags.dryRun === true
    const result = await withSource(io, from, keystore, async (source) => {
      const { migrateKeys } = await import('../keyring/migration.ts')
      const progress = new ProgressBar(io, 'keys')
      const options: MigrationOptions = {
        isChosen: (name) => chosen.test(name),
        onConflict: flags.force ? 'replace' : flags.merge ? 'skip' : 'stop',
        erasedNames: keysOptions.erasedNames,
        isDryRun,
        onProgress: (done, total) => progress.show(done, total),
        interruption: io.interruption,
      }
      io.stdout.write('Starting key migration:\n\n')
      try {
        if (isDryRun && !(await isMade(keystore))) return await migrateKeys(source, undefined, options)
        return await withStore(keystore, (target) => {
          warnOf(io, target)
          return migrateKeys(source, target, options)
        })
      } catch (error) {
        throw await explain(io, error)
      } finally {
        progress.clear()
      }
    })
    report(io, result, isDryRun)
  })
}

/** In the order in which KES finds something wrong. */
function checkFlags(flags: MigrateFlags): { from: string; to: string } {
  const { from, to, force = false, merge = false } = flags
  if (from === undefined) throw new CliError("no source specified. Use '--from' flag")
  if (force && merge) throw new CliError("'--force' and '--merge' flags are mutually exclusive")
  if (to === undefined) {
    const hints =
      flags.server === undefined ? [] : ['This version migrates from one key store to another only']
    throw new CliError("missing migration target. Use '--to'", hints)
  }
  for (const [field, , shown] of OTHER_SERVER) {
    if (flags[field] !== undefined) throw new CliError(`cannot use '${shown}' and '--to' flag`)
  }
  return { from, to }
}

async function explain(io: Io, error: unknown): Promise<unknown> {
  const { MigrationConflictError } = await import('../keyring/migration.ts')
  if (error instanceof MigrationConflictError) {
    return new CliError(error.message, [
      `The target has other keys of these names, or has reserved them: ${shown(error.names)}`,
      'Nothing was copied. To keep them: --merge. To replace them: --force',
    ])
  }
  if (io.interruption.aborted) {
    return new CliError('the migration was interrupted', ['To go on, run the same command again'])
  }
  return explainStoreError(error, 'the migration has stopped')
}

/** The first line is KES's. */
function report(io: Io, result: MigrationResult, isDryRun: boolean): void {
  const { migrated, present, reserved, skipped, pending, damaged } = result
  const count = String(migrated).padStart(6)
  const lines = [
    isDryRun
      ? `Would migrate ${count} keys.`
      : migrated === 0
        ? 'Migration succeeded! No keys migrated.'
        : `Migrated ${count} keys successfully!`,
  ]
  if (present > 0) lines.push(`The target had ${present} of the keys already.`)
  if (skipped.length > 0)
    lines.push(`The target has other keys of these names, which stay: ${shown(skipped)}`)
  if (reserved > 0) lines.push(`Names of erased keys that are reserved in the target: ${reserved}`)
  if (pending.length > 0) {
    lines.push(`Pending deletion in the source, and disabled in the target: ${shown(pending)}`)
  }
  io.stdout.write(`${lines.join('\n')}\n`)
  if (damaged.length === 0) return
  throw new CliError(`keys that can not be read in the source were not copied: ${shown(damaged)}`)
}
