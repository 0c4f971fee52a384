/** `kes policy`: what the server's configuration allows whom. */
import type { Policy } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand, OutputFlags } from './command.ts'
import { formatLocalTime } from './format.ts'
import { type Io, isForPeople, printJson } from './io.ts'
import { list } from './list-command.ts'
import { paint } from './paint.ts'
import { addPolicyTemplateCommand } from './policy-template-command.ts'
import { addPolicyTestCommands } from './policy-test-commands.ts'
import { withServers } from './with-servers.ts'

const LABEL_COLUMNS = 12

export function addPolicyCommands(program: KesCommand, io: Io): void {
  const group = program.command('policy').description('Inspect policies').usage('<command>')
  addInfo(group, io)
  group
    .command('ls')
    .description('List policies')
    .usage('[options] [<pattern>]')
    .argument('[pattern]')
    .addClientOptions()
    .addJsonOption()
    .addColorOption()
    .action((pattern: string | undefined, flags: ClientFlags & OutputFlags) =>
      list(io, 'policy', pattern, flags),
    )
  addShow(group, io)
  addPolicyTestCommands(group, io)
  addPolicyTemplateCommand(group, io)
}

function addInfo(group: KesCommand, io: Io): void {
  const command = group
    .command('info')
    .description('Print information about a policy')
    .usage('[options] <name>')
    .argument('[name]')
    .addClientOptions()
    .addJsonOption()
    .addColorOption()
  command.action(async (name: string | undefined, flags: ClientFlags & OutputFlags) => {
    if (name === undefined) throw command.usageError('no policy name specified')
    const policy = await withServers(io, flags, (servers) =>
      servers.call({ method: 'GET', path: `/v1/policy/describe/${name}` }, (client, options) =>
        client.describePolicy(name, options),
      ),
    )
    if (flags.json) {
      return printJson(io, { name: policy.name, created_at: policy.createdAt, created_by: policy.createdBy })
    }
    const rows = [
      ['Name', policy.name],
      ['Date', formatLocalTime(policy.createdAt)],
      ...(policy.createdBy === undefined ? [] : [['Created by', policy.createdBy]]),
    ]
    for (const [label = '', value] of rows) {
      const title = paint('bold', label.padEnd(LABEL_COLUMNS), io.stdout, io.env, flags.color)
      io.stdout.write(`${title}${value}\n`)
    }
  })
}

function addShow(group: KesCommand, io: Io): void {
  const command = group
    .command('show')
    .description('Print the rules of a policy')
    .usage('[options] <name>')
    .argument('[name]')
    .addClientOptions()
    .addJsonOption()
  command.action(async (name: string | undefined, flags: ClientFlags & OutputFlags) => {
    if (name === undefined) throw command.usageError('no policy name specified')
    const policy = await withServers(io, flags, (servers) =>
      servers.call(
        { method: 'GET', path: `/v1/policy/read/${name}`, failure: `failed to show policy '${name}'` },
        (client, options) => client.readPolicy(name, options),
      ),
    )
    const isIndented = isForPeople(io)
    if (flags.json || !isIndented) return printJson(io, rulesDocument(policy), { isIndented })
    printRules(io, policy)
  })
}

function printRules(io: Io, { allow, deny, createdAt, createdBy }: Policy): void {
  const section = (heading: string, style: 'green' | 'red', patterns: readonly string[]) =>
    patterns.length === 0
      ? []
      : [paint(style, heading, io.stdout, io.env), ...[...patterns].sort().map((pattern) => `  · ${pattern}`)]
  const lines = [
    ...section('Allow:', 'green', allow),
    ...section('Deny:', 'red', deny),
    `Created at: ${formatLocalTime(createdAt)}`,
    ...(createdBy === undefined ? [] : [`Created by: ${createdBy}`]),
  ]
  io.stdout.write(`${lines.join('\n')}\n`)
}

/** As the server has it, where patterns are the fields of objects. */
function rulesDocument({ allow, deny, createdAt, createdBy }: Policy) {
  return { ...ruleMaps({ allow, deny }), created_at: createdAt, created_by: createdBy }
}

export function ruleMaps({ allow, deny }: Pick<Policy, 'allow' | 'deny'>) {
  const mapOf = (patterns: readonly string[]) =>
    Object.fromEntries([...patterns].sort().map((each) => [each, {}]))
  return {
    ...(allow.length === 0 ? {} : { allow: mapOf(allow) }),
    ...(deny.length === 0 ? {} : { deny: mapOf(deny) }),
  }
}
