/** `kes key info` and `kes key ls`: what is known of keys. */
import type { DamagedKeyInfo, KeyInfo } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { formatTable, formatUtcTime } from './format.ts'
import { type Io, printJson } from './io.ts'
import { paintState, shownState } from './key-state.ts'
import { collect, printNames } from './name-list.ts'
import { paint } from './paint.ts'
import { withServers } from './with-servers.ts'

const DEFAULT_ALGORITHM = 'AES256'
const LABEL_COLUMNS = 12

export function addKeyInfoCommands(group: KesCommand, io: Io): void {
  addInfo(group, io)
  addList(group, io)
}

function addInfo(group: KesCommand, io: Io): void {
  const command = group
    .command('info')
    .description('Print information about a key')
    .usage('[options] <name>')
    .argument('[name]')
    .addClientOptions()
    .option('-l, --long', 'Print when the key was last used, too')
    .addJsonOption()
    .addColorOption()
  command.action(async (name: string | undefined, flags: ClientFlags & OutputFlags & { long?: boolean }) => {
    if (name === undefined) throw command.usageError('no key name specified')
    const lastUseOf = ({ lastUsedAt }: KeyInfo) => (flags.long ? lastUsedAt : undefined)
    const key = await withServers(io, flags, (servers) =>
      servers.call(
        { method: 'GET', path: `/v1/key/describe/${name}`, failure: 'failed to describe keys' },
        (client, options) => client.describeKey(name, options),
      ),
    )
    if (flags.json) return printJson(io, { ...infoDocument(key), last_used_at: lastUseOf(key) })
    const lastUse = lastUseOf(key)
    const lines = [
      ['Name', key.name],
      ['Algorithm', key.algorithm],
      ['Date', formatUtcTime(key.createdAt)],
      ...(key.createdBy === undefined ? [] : [['Owner', key.createdBy]]),
      ...(isEnabled(key) ? [] : [['State', shownState(stateOf(key))]]),
      ...(key.deletionAt === undefined ? [] : [['Deletion', formatUtcTime(key.deletionAt)]]),
      ...(lastUse === undefined ? [] : [['Last use', formatUtcTime(lastUse)]]),
    ].map(([label = '', value]) => {
      return `${paint('bold', label.padEnd(LABEL_COLUMNS), io.stdout, io.env, flags.color)}${value}`
    })
    io.stdout.write(lines.join('\n')) // KES ends this one without a newline.
  })
}

function addList(group: KesCommand, io: Io): void {
  const command = group
    .command('ls')
    .description("List keys; a prefix may end in '*'")
    .usage('[options] [<prefix>]')
    .argument('[prefix]')
    .addClientOptions()
    .option('-l, --long', 'Print state, algorithm, dates and owner of each key')
    .addJsonOption()
    .addColorOption()
  command.action(
    async (prefix: string | undefined, flags: ClientFlags & OutputFlags & { long?: boolean }) => {
      const path = `/v1/key/list/${prefix ?? ''}`
      const call = { method: 'GET', path, failure: 'failed to list keys' } as const
      await withServers(io, flags, async (servers) => {
        if (!flags.long) {
          const names = await servers.call(call, (client, options) =>
            collect(client.listKeys(prefix, options)),
          )
          return printNames(io, 'Key', names, flags)
        }
        const keys = await servers.call(call, (client, options) =>
          collect(client.listKeyDetails(prefix, options)),
        )
        if (flags.json) return printJson(io, keys.map(detailsDocument))
        printDetails(io, keys, flags)
      })
    },
  )
}

/** What few keys have gets a column only where one of them has it. */
interface Column {
  readonly title: string
  readonly isOptional?: boolean
  readonly text: (key: KeyInfo) => string
}

const DETAILS: readonly Column[] = [
  { title: 'Key', text: ({ name }) => name },
  { title: 'State', text: (key) => shownState(stateOf(key)) },
  { title: 'Algorithm', text: ({ algorithm }) => algorithm },
  { title: 'Created', text: ({ createdAt }) => formatUtcTime(createdAt) },
  { title: 'Last use', isOptional: true, text: ({ lastUsedAt = '' }) => formatUtcTime(lastUsedAt) },
  { title: 'Deletion', isOptional: true, text: ({ deletionAt = '' }) => formatUtcTime(deletionAt) },
  { title: 'Owner', text: ({ createdBy = '' }) => createdBy },
]

function printDetails(io: Io, keys: readonly (KeyInfo | DamagedKeyInfo)[], { color }: OutputFlags): void {
  if (keys.length === 0) return
  const columns = DETAILS.filter(
    ({ isOptional, text }) => !isOptional || keys.some((key) => !isDamaged(key) && text(key) !== ''),
  )
  const rows = keys.map((key) =>
    isDamaged(key) ? [key.name, key.state] : columns.map(({ text }) => text(key)),
  )
  const [header = '', ...lines] = formatTable([columns.map(({ title }) => title), ...rows])
  const painted = lines.map((line, index) => {
    const [name = '', state = ''] = rows[index] ?? []
    const start = line.indexOf(state, name.length)
    return line.slice(0, start) + paintState(io, state, color) + line.slice(start + state.length)
  })
  io.stdout.write(`${[paint('bold', header, io.stdout, io.env, color), ...painted].join('\n')}\n`)
}

/** KES's document, which leaves out the usual algorithm; a key that is not enabled has ours behind it. */
function infoDocument(key: KeyInfo) {
  return {
    name: key.name,
    ...(key.algorithm === DEFAULT_ALGORITHM ? {} : { algorithm: key.algorithm }),
    created_at: key.createdAt,
    created_by: key.createdBy,
    ...(isEnabled(key) ? {} : stateDocument(key)),
  }
}

function detailsDocument(key: KeyInfo | DamagedKeyInfo) {
  if (isDamaged(key)) return { name: key.name, state: key.state }
  const { name, algorithm, createdAt, createdBy } = key
  const made = { name, algorithm, created_at: createdAt, created_by: createdBy }
  return { ...made, ...stateDocument(key), last_used_at: key.lastUsedAt }
}

function stateDocument(key: KeyInfo) {
  return {
    state: stateOf(key),
    revision: key.revision,
    changed_at: key.changedAt,
    changed_by: key.changedBy,
    deletion_at: key.deletionAt,
  }
}

function isDamaged(key: KeyInfo | DamagedKeyInfo): key is DamagedKeyInfo {
  return !('algorithm' in key)
}

/** A Go KES knows no states: all its keys are enabled. */
function stateOf({ state }: KeyInfo): string {
  return state ?? 'enabled'
}

function isEnabled(key: KeyInfo): boolean {
  return stateOf(key) === 'enabled'
}
