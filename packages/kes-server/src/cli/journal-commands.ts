/** `kes journal`: takes the journal from a server, and verifies it without one. */
import type { ClientFlags, KesCommand } from './command.ts'
import { readLines } from './file.ts'
import { type Io, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'
import { Progress } from './progress.ts'
import { withServers } from './with-servers.ts'

export function addJournalCommands(program: KesCommand, io: Io): void {
  const group = program
    .command('journal')
    .description('Export and verify the journal of all changes')
    .usage('<command>')
  addHead(group, io)
  addExport(group, io)
  addVerify(group, io)
  addKey(group, io)
}

function addHead(group: KesCommand, io: Io): void {
  const command = group
    .command('head')
    .description('Print the head of the journal. Kept elsewhere, it shows later whether entries were cut off')
    .usage('[options]')
    .addClientOptions()
    .addJsonOption()
  command.action(async (flags: ClientFlags & { json?: boolean }) => {
    const { storeId, number, hash, publicKey } = await readHead(io, flags)
    const head = `${number}:${hash}`
    if (flags.json) printJson(io, { head, number, hash, store_id: storeId, public_key: publicKey })
    else io.stdout.write(`${head}\n`)
  })
}

function addKey(group: KesCommand, io: Io): void {
  const command = group
    .command('key')
    .description("Print the journal's public key. To verify, take the file that was kept at set-up instead")
    .usage('[options]')
    .addClientOptions()
  command.action(async (flags: ClientFlags) => {
    const { publicKey } = await readHead(io, flags)
    io.stdout.write(publicKey)
  })
}

function readHead(io: Io, flags: ClientFlags) {
  const call = {
    method: 'GET',
    path: '/v1/journal/head',
    failure: 'failed to read the head of the journal',
  } as const
  return withServers(io, flags, (servers) =>
    servers.call(call, (client, options) => client.journalHead(options)),
  )
}

function addExport(group: KesCommand, io: Io): void {
  const command = group
    .command('export')
    .description('Print all entries, a line of JSON each')
    .usage('[options]')
    .addClientOptions()
  command.action(async (flags: ClientFlags) => {
    const call = {
      method: 'GET',
      path: '/v1/journal/entries',
      failure: 'failed to export the journal',
    } as const
    await withServers(io, flags, (servers) =>
      servers.call(call, async (client, options, { stay }) => {
        for await (const { number, name, entry, signature } of client.journalEntries(options)) {
          stay()
          printJson(io, { number, name, entry: base64(entry), signature: base64(signature) })
        }
      }),
    )
  })
}

interface VerifyFlags {
  readonly publicKey?: string
  readonly expect?: string
  readonly json?: boolean
}

function addVerify(group: KesCommand, io: Io): void {
  const command = group
    .command('verify')
    .description('Verify an exported journal, without a server')
    .usage('[options] --public-key <file> <file>')
    .argument('[file]')
    .option('--public-key <file>', 'The public key that was kept when the store was set up')
    .option('--expect <head>', "A head that 'kes journal head' printed before: the journal must contain it")
    .addJsonOption('Print the verdict as JSON')
    .addHelpText(
      'after',
      `
Exit code 0 if every entry is as it was signed and none is missing, 1 otherwise. That the last entries were cut
off shows only with --expect.`,
    )
  command.action(async (file: string | undefined, flags: VerifyFlags) => {
    if (file === undefined) throw command.usageError('no journal file specified')
    if (flags.publicKey === undefined) throw command.usageError('no public key specified')
    const { readPublicKey } = await import('./public-key-file.ts')
    const { expectedHead, verifyJournal } = await import('./verify-journal.ts')
    const { formatHead, JournalBrokenError } = await import('../journal/verify.ts')
    const expected = expectedHead(command, flags.expect)
    const publicKey = readPublicKey(flags.publicKey)
    const progress = new Progress(io, 'entries', 1000)
    try {
      const head = await verifyJournal(readLines(file), publicKey, expected, ({ number }) =>
        progress.show(number),
      )
      progress.clear()
      if (flags.json) printJson(io, { verified: true, entries: head.number, head: formatHead(head) })
      else io.stdout.write(`${head.number} entries verified, up to the head ${formatHead(head)}\n`)
    } catch (error) {
      progress.clear()
      if (!(error instanceof JournalBrokenError)) throw error
      const { number, message: problem } = error
      if (flags.json) printJson(io, { verified: false, entry: number, problem })
      else io.stdout.write(`${paint('red', 'The journal is broken:', io.stdout, io.env)} ${problem}\n`)
      throw new Exit(1)
    }
  })
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
