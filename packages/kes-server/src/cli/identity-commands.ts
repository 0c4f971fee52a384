/** `kes identity`: makes API keys, tells identities, and asks a server about them. */
import type { IdentityInfo, SelfInfo } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { formatUtcTime } from './format.ts'
import { type Io, isForPeople, printJson } from './io.ts'
import { list } from './list-command.ts'
import { CliError } from './outcome.ts'
import { paint } from './paint.ts'
import { ruleMaps } from './policy-commands.ts'
import { withServers } from './with-servers.ts'

const EXPIRY_MS = 720 * 3_600_000
const LABEL_COLUMNS = 12

export function addIdentityCommands(program: KesCommand, io: Io): void {
  const group = program
    .command('identity')
    .description(
      'Manage identities. Without a command: make an API key; with an API key or a PEM file: tell its identity',
    )
    .summary('Manage identities')
    .usage('[<command>] | [<API key or PEM file>]')
    .argument('[source]')
    .action(async (source: string | undefined) => {
      if (source === undefined) return await printNewApiKey(io)
      const { identityOrApiKeyOf } = await import('./identity-source.ts')
      const { identity, apiKey } = await identityOrApiKeyOf(io, source)
      if (apiKey === undefined) printIdentity(io, identity)
      else printSecret(io, apiKey, identity)
    })
  addNew(group, io)
  addOf(group, io)
  addInfo(group, io)
  group
    .command('ls')
    .description('List identities')
    .usage('[options] [<pattern>]')
    .argument('[pattern]')
    .addClientOptions()
    .addJsonOption()
    .addColorOption()
    .action((pattern: string | undefined, flags: ClientFlags & OutputFlags) =>
      list(io, 'identity', pattern, flags),
    )
}

interface NewFlags {
  readonly key?: string
  readonly cert?: string
  readonly ip?: string[]
  readonly dns?: string[]
  readonly expiry?: number
  readonly encrypt?: boolean
  readonly force?: boolean
}

function addNew(group: KesCommand, io: Io): void {
  const addList = (text: string, before: string[] = []) => [
    ...before,
    ...text.split(',').map((each) => each.trim()),
  ]
  group
    .command('new')
    .description('Make a new identity: an API key, and the same as files for TLS')
    .usage('[options] [<subject>]')
    .argument('[subject]')
    .option('--key <path>', 'Write the private key to this file')
    .option('--cert <path>', 'Write the certificate to this file')
    .option('--ip <addresses>', 'Put these IP addresses into the certificate (repeatable)', addList)
    .option('--dns <names>', 'Put these DNS names into the certificate (repeatable)', addList)
    .addDurationOption('--expiry <duration>', 'How long the certificate is valid (default: 720h)')
    .option('--encrypt', 'Encrypt the private key with a password')
    .option('-f, --force', 'Overwrite files')
    .action(async (subject: string | undefined, flags: NewFlags) => {
      const { key, cert, ip = [], dns = [], expiry = EXPIRY_MS, encrypt = false, force = false } = flags
      const { newIdentity } = await import('./new-identity.ts')
      await newIdentity(io, {
        subject,
        files: filesOf(flags, key, cert),
        ipAddresses: ip,
        dnsNames: dns,
        expiryMs: expiry,
        isEncrypted: encrypt,
        replace: force,
      })
    })
}

/** Both files or none, and the options that only concern files not without them. */
function filesOf(flags: NewFlags, key: string | undefined, cert: string | undefined) {
  if (key !== undefined && cert !== undefined) return { key, cert }
  if (key !== undefined) {
    throw new CliError("private key file specified but no certificate file. Set the '--cert' flag")
  }
  if (cert !== undefined) {
    throw new CliError("certificate file specified but no private key file. Set the '--key' flag")
  }
  for (const flag of ['ip', 'dns', 'expiry', 'encrypt', 'force'] as const) {
    if (flags[flag] === undefined) continue
    throw new CliError(
      `'--${flag}' requires a private key and certificate file. Set the '--cert' and '--key' flag`,
    )
  }
  return undefined
}

function addOf(group: KesCommand, io: Io): void {
  const command = group
    .command('of')
    .description('Tell the identity of an API key or certificate')
    .usage('<API key or certificate file>')
    .argument('[source]')
  command.action(async (source: string | undefined) => {
    if (source === undefined) throw command.usageError('no API key or certificate specified')
    const { identityOf } = await import('./identity-source.ts')
    printIdentity(io, identityOf(source))
  })
}

function addInfo(group: KesCommand, io: Io): void {
  group
    .command('info')
    .description("Print information about an identity; by default one's own")
    .usage('[options] [<identity>]')
    .argument('[identity]')
    .addClientOptions()
    .addJsonOption()
    .addColorOption()
    .action(async (asked: string | undefined, flags: ClientFlags & OutputFlags) => {
      const { normalizeIdentity } = await import('../names.ts')
      const identity = asked === undefined ? undefined : normalizeIdentity(asked)
      const info = await withServers(
        io,
        flags,
        (servers): Promise<IdentityInfo & Partial<SelfInfo>> =>
          identity === undefined
            ? servers.call({ method: 'GET', path: '/v1/identity/self/describe' }, (client, options) =>
                client.describeSelf(options),
              )
            : servers.call({ method: 'GET', path: `/v1/identity/describe/${identity}` }, (client, options) =>
                client.describeIdentity(identity, options),
              ),
      )
      printInfo(io, { ...info, identity: info.identity ?? identity ?? '' }, flags)
    })
}

type AnyIdentityInfo = IdentityInfo & Partial<SelfInfo> & { readonly identity: string }

function printInfo(io: Io, info: AnyIdentityInfo, { json, color }: OutputFlags): void {
  if (json) {
    printJson(io, infoDocument(info))
    return
  }
  const rows = [
    ['Identity', info.identity],
    ...(info.policy === undefined ? [] : [['Policy', info.policy]]),
    ['Created At', formatUtcTime(info.createdAt)],
    ['Role', info.isAdmin ? 'Admin' : 'User'],
    ...(info.createdBy === undefined ? [] : [['Created By', info.createdBy]]),
  ]
  for (const [label = '', value] of rows) {
    io.stdout.write(`${paint('bold', label.padEnd(LABEL_COLUMNS), io.stdout, io.env, color)}${value}\n`)
  }
}

/** The server's fields, with the identity in front. */
function infoDocument({
  identity,
  isAdmin,
  createdAt,
  createdBy,
  policy,
  allow = [],
  deny = [],
}: AnyIdentityInfo) {
  return {
    identity,
    ...(isAdmin ? { admin: true } : {}),
    policy,
    created_at: createdAt,
    created_by: createdBy,
    ...ruleMaps({ allow, deny }),
  }
}

async function printNewApiKey(io: Io): Promise<void> {
  const { ApiKey } = await import('@latchkey/kms-client')
  const apiKey = ApiKey.generate()
  printSecret(io, apiKey.toString(), apiKey.identity)
}

/** For programs the value alone, without a newline. */
function printIdentity(io: Io, identity: string): void {
  io.stdout.write(isForPeople(io) ? `\nIdentity:\n\n   ${identity}\n\n` : identity)
}

function printSecret(io: Io, apiKey: string, identity: string): void {
  io.stdout.write(isForPeople(io) ? box(['API key', `  ${apiKey}`, '', 'Identity', `  ${identity}`]) : apiKey)
}

function box(lines: readonly string[]): string {
  const width = Math.max(...lines.map((line) => line.length)) + 2
  const rule = '─'.repeat(width)
  const rows = lines.map((line) => `│ ${line.padEnd(width - 1)}│`)
  return `${[`╭${rule}╮`, ...rows, `╰${rule}╯`].join('\n')}\n`
}
