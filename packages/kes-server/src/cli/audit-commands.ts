/** `kes audit`: verifies the files of an audit log without a server. */
import { basename } from 'node:path'
import type { AuditVerdict, SignedHead } from '../audit/verify.ts'
import type { KesCommand } from './command.ts'
import { readLines } from './file.ts'
import { type Io, printJson } from './io.ts'
import { CliError, Exit } from './outcome.ts'
import { paint } from './paint.ts'
import { Progress } from './progress.ts'

interface VerifyFlags {
  readonly publicKey?: string
  readonly journal?: string
  readonly expect?: string
  readonly from?: number
  readonly json?: boolean
}

export function addAuditCommands(program: KesCommand, io: Io): void {
  const group = program.command('audit').description('Verify the files of an audit log').usage('<command>')
  const command = group
    .command('verify')
    .description('Verify audit files with an exported journal, without a server')
    .usage('[options] --public-key <file> --journal <file> <file>…')
    .argument('[files...]')
    .option('--public-key <file>', "The journal's public key that was kept when the store was set up")
    .option('--journal <file>', "What 'kes journal export' printed, before the files were copied")
    .option('--expect <head>', "A head that 'kes journal head' printed before: the journal must contain it")
    .option('--from <number>', 'The number of the first event: earlier files are kept elsewhere', parseNumber)
    .addJsonOption('Print the verdict as JSON')
    .addHelpText(
      'after',
      `
The files are given in the order of their names, as in audit-*.jsonl. Exit code 0 if every event up to the last
signed head is as the server wrote it and none is missing, 1 otherwise. That events behind the last signed head were
cut off does not show, and that the journal was, only with --expect.`,
    )
  command.action(async (files: readonly string[], flags: VerifyFlags) => {
    if (files.length === 0) throw command.usageError('no audit file specified')
    if (flags.publicKey === undefined) throw command.usageError('no public key specified')
    if (flags.journal === undefined) throw command.usageError('no journal specified')
    const { AuditBrokenError } = await import('../audit/verify.ts')
    const { verifyAuditFiles } = await import('./verify-audit.ts')
    const { JournalBrokenError } = await import('../journal/verify.ts')
    const progress = new Progress(io, 'events', 50_000)
    try {
      const heads = await readHeads(command, flags.publicKey, flags.journal, flags.expect)
      const named = files.map((path) => ({ name: basename(path), lines: readLines(path) }))
      const verdict = await verifyAuditFiles(named, heads, flags.from, (count) => progress.show(count))
      progress.clear()
      printVerdict(io, files.length, verdict, flags.json === true)
    } catch (error) {
      progress.clear()
      const isJournal = error instanceof JournalBrokenError
      if (!(isJournal || error instanceof AuditBrokenError)) throw error
      const problem = error.message
      const place = isJournal ? { journal_entry: error.number } : error.place
      const what = isJournal ? 'The journal is broken:' : 'The audit log is broken:'
      if (flags.json) printJson(io, { verified: false, ...place, problem })
      else io.stdout.write(`${paint('red', what, io.stdout, io.env)} ${problem}\n`)
      throw new Exit(1)
    }
  })

  function parseNumber(text: string): number {
    if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text)
    throw command.usageError(`invalid argument "${text}" for "--from" flag: it is the number of an event`)
  }
}

/** The heads in a journal that is whole. */
async function readHeads(
  command: KesCommand,
  publicKeyFile: string,
  journalFile: string,
  expect: string | undefined,
): Promise<SignedHead[]> {
  const { readPublicKey } = await import('./public-key-file.ts')
  const { expectedHead } = await import('./verify-journal.ts')
  const { verifyHeads } = await import('./verify-audit.ts')
  const expected = expectedHead(command, expect)
  const heads = await verifyHeads(readLines(journalFile), readPublicKey(publicKeyFile), expected)
  if (heads.length > 0) return heads
  throw new CliError(`the journal in '${journalFile}' has no head of an audit file`, [
    'Its server has never written an audit file, or the journal is that of another server.',
  ])
}

function printVerdict(io: Io, files: number, verdict: AuditVerdict, isJson: boolean): void {
  const { first, last, signed, tornBytes } = verdict
  if (isJson) {
    printJson(io, { verified: true, files, first, last, signed, torn_bytes: tornBytes })
    return
  }
  const lines = [`Events ${first} to ${last} verified, up to the signed head of event ${signed}`]
  if (last > signed) lines.push(`${last - signed} events behind it are chained, but not signed yet`)
  if (tornBytes > 0) lines.push(`The last file ends in ${tornBytes} bytes of a line that is not whole`)
  io.stdout.write(`${lines.join('\n')}\n`)
}
