/** `kes backup verify`: checks a backup without a server. */
import { addOpenOptions, type OpenFlags, openBackup, publicKeyOf, storeSecret } from './backup-source.ts'
import type { KesCommand } from './command.ts'
import { type Io, printJson } from './io.ts'
import { shown } from './name-list.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'
import { ProgressBar } from './progress-bar.ts'

export function addBackupVerifyCommand(group: KesCommand, io: Io): void {
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
