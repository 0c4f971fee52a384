/** `kes key history`: what the journal says of a key, also after it was erased. */
import type { JournalEntry } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { formatTable, formatUtcTime } from './format.ts'
import { type Io, printJson } from './io.ts'
import { collect } from './name-list.ts'
import { CliError } from './outcome.ts'
import { paint } from './paint.ts'
import type { Servers } from './servers.ts'
import { withServers } from './with-servers.ts'

interface HistoryFlags extends ClientFlags, OutputFlags {
  readonly receipt?: string
}

export function addKeyHistoryCommand(group: KesCommand, io: Io): void {
  const command = group
    .command('history')
    .description('Print who made, changed and erased a key, when and from where')
    .usage('[options] <name>')
    .argument('[name]')
    .option('--receipt <file>', 'Write the signed receipt of its last erasure to a new file instead')
    .addClientOptions()
    .addJsonOption()
    .addColorOption()
  command.action(async (name: string | undefined, flags: HistoryFlags) => {
    if (name === undefined) throw command.usageError('no key name specified')
    const { receipt } = flags
    if (receipt !== undefined) {
      return await withServers(io, flags, (servers) => writeReceipt(servers, name, receipt))
    }
    const path = `/v1/key/history/${name}`
    const failure = `failed to read the history of key "${name}"`
    const entries = await withServers(io, flags, (servers) =>
      servers.call({ method: 'GET', path, failure }, (client, options) =>
        collect(client.keyHistory(name, options)),
      ),
    )
    if (flags.json) return printJson(io, entries.map(document))
    const rows = entries.map(({ number, time, action, state, identity, ip, detail }) => [
      String(number),
      formatUtcTime(time),
      action,
      state,
      ip,
      identity || String(detail?.scheduled_by ?? ''),
    ])
    const [header = '', ...lines] = formatTable([['Entry', 'Time', 'Action', 'State', 'From', 'By'], ...rows])
    io.stdout.write(`${[paint('bold', header, io.stdout, io.env, flags.color), ...lines].join('\n')}\n`)
  })
}

async function writeReceipt(servers: Servers, name: string, file: string): Promise<void> {
  const { writeFileAtomically } = await import('./file.ts')
  const path = `/v1/key/history/${name}`
  const failure = `failed to read the receipt of key "${name}"`
  const { document } = await servers.call({ method: 'GET', path, failure }, (client, options) =>
    client.erasureReceipt(name, options),
  )
  if (!writeFileAtomically(file, document, { mode: 0o600, replace: false })) {
    throw new CliError(`the file '${file}' exists already`)
  }
}

/** As the server sends it. */
function document(entry: JournalEntry) {
  return {
    number: entry.number,
    time: entry.time,
    action: entry.action,
    name: entry.name,
    key_id: entry.keyId,
    algorithm: entry.algorithm ?? null,
    state: entry.state,
    revision: entry.revision,
    identity: entry.identity,
    ip: entry.ip,
    created_at: entry.createdAt,
    created_by: entry.createdBy,
    fingerprint: entry.fingerprint ?? null,
    store_id: entry.storeId,
    previous: entry.previous,
    ...(entry.detail === undefined ? {} : { detail: entry.detail }),
    entry: Buffer.from(entry.entry).toString('base64'),
    signature: Buffer.from(entry.signature).toString('base64'),
  }
}
