/** `kes ls`: lists keys, policies or identities. It alone takes server and API key as options. */
import type { KesCommand, OutputFlags } from './command.ts'
import type { Io } from './io.ts'
import { collect, printNames } from './name-list.ts'
import { CliError } from './outcome.ts'
import type { ServerFlags } from './servers.ts'
import { withServers } from './with-servers.ts'

interface ListFlags extends ServerFlags, OutputFlags {
  readonly identity?: boolean
  readonly policy?: boolean
}

export function addListCommand(program: KesCommand, io: Io): void {
  program
    .command('ls')
    .description('List keys, policies and identities')
    .usage('[options] [<prefix>]')
    .argument('[prefix]')
    .option('-a, --api-key <key>', 'API key; others can see it here, so prefer the environment variable')
    .option('-s, --server <host>', 'Use this server instead of the one in the environment')
    .addClientOptions()
    .addJsonOption()
    .addColorOption()
    .option('-i, --identity', 'List identities')
    .option('-p, --policy', 'List policies')
    .action(async (pattern: string | undefined, flags: ListFlags) => {
      if (flags.policy && flags.identity) {
        throw new CliError("'-p / --policy' and '-i / --identity' must not be used at the same time")
      }
      await list(io, flags.policy ? 'policy' : flags.identity ? 'identity' : 'key', pattern, flags)
    })
}

const KINDS = {
  key: { header: 'Key', plural: 'keys' },
  policy: { header: 'Policy', plural: 'policies' },
  identity: { header: 'Identity', plural: 'identities' },
} as const

export async function list(
  io: Io,
  kind: keyof typeof KINDS,
  prefix: string | undefined,
  flags: ServerFlags & OutputFlags,
): Promise<void> {
  const { header, plural } = KINDS[kind]
  const names = await withServers(io, flags, (servers) =>
    servers.call(
      { method: 'GET', path: `/v1/${kind}/list/${prefix ?? ''}`, failure: `failed to list ${plural}` },
      (client, options) => {
        if (kind === 'policy') return collect(client.listPolicies(prefix, options))
        if (kind === 'identity') return collect(client.listIdentities(prefix, options))
        return collect(client.listKeys(prefix, options))
      },
    ),
  )
  printNames(io, header, names, flags)
}
