/** `kes policy test` and `kes policy explain`: may somebody call an API, and why. */

import { type Caller, explainRequest, type Verdict } from '../http/explain-request.ts'
import type { Identity } from '../names.ts'
import type { ClientFlags, KesCommand } from './command.ts'
import { type Io, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'
import { withServers } from './with-servers.ts'

const LABEL_COLUMNS = 12

interface Flags extends ClientFlags {
  readonly config?: string
  readonly json?: boolean
}

/** A request that somebody might make. */
interface Question {
  readonly identity: string
  readonly method: string
  readonly path: string
}

export function addPolicyTestCommands(group: KesCommand, io: Io): void {
  addCommand(
    group,
    io,
    'test',
    'Tell whether an identity may call an API: exit code 0 if so, 1 if not',
    (verdict) => {
      const [style, word] = verdict.isAllowed ? (['green', 'allowed'] as const) : (['red', 'denied'] as const)
      io.stdout.write(`${paint(style, word, io.stdout, io.env)}\n`)
    },
  )
  addCommand(
    group,
    io,
    'explain',
    'Say which rule decides about a call, the nearest one if none does, and what to change',
    (verdict, question, policy) => printExplanation(io, verdict, question, policy),
  )
}

type Print = (verdict: Verdict, question: Question, policy: string | undefined) => void

function addCommand(group: KesCommand, io: Io, name: string, description: string, print: Print): void {
  const command = group
    .command(name)
    .description(description)
    .usage('[options] <identity> <method> <path>')
    .argument('[identity]')
    .argument('[method]')
    .argument('[path]')
    .option('--config <file>', 'Ask this config file, not the server')
    .addClientOptions()
    .addJsonOption()
    .addHelpText(
      'after',
      `
Examples:
  kes policy ${name} 3ecfcdf3… PUT /v1/key/generate/my-key
  kes policy ${name} --config kes.yml "$(kes identity of app.crt)" PUT /v1/key/generate/my-key`,
    )
  command.action(async (identity?: string, method?: string, path?: string, flags: Flags = {}) => {
    if (identity === undefined) throw command.usageError('no identity specified')
    if (method === undefined) throw command.usageError('no method specified')
    if (path === undefined) throw command.usageError('no path specified')
    const { APIS } = await import('../http/routes.ts')
    const { normalizeIdentity } = await import('../names.ts')
    const known = normalizeIdentity(identity)
    const { caller, isOpen } = await (flags.config === undefined
      ? askServer(io, known, flags)
      : askConfig(flags.config, known))
    const verdict = explainRequest(caller, method, path, APIS, isOpen)
    if (flags.json) {
      const { isAllowed: allowed, ...rest } = verdict
      printJson(io, { allowed, policy: caller.policy?.name, ...rest })
    } else print(verdict, { identity, method: method.toUpperCase(), path }, caller.policy?.name)
    if (!verdict.isAllowed) throw new Exit(1)
  })
}

interface Rules {
  readonly caller: Caller
  readonly isOpen: (apiPath: string) => boolean
}

async function askConfig(file: string, identity: Identity): Promise<Rules> {
  const { readServerConfig } = await import('./offline-store.ts')
  const { PolicySet } = await import('../policy/policy.ts')
  const config = await readServerConfig(file)
  const set = new PolicySet({ admin: config.adminIdentity, policies: config.policies })
  const { certHeader, identities } = config.tls.proxy
  const isProxy = certHeader !== undefined && identities.includes(identity)
  return {
    caller: { isAdmin: set.isAdmin(identity), policy: set.policyOf(identity), isProxy },
    isOpen: (path) => [...config.api].some(([each, { skipAuth }]) => each === path && skipAuth),
  }
}

/** A server tells whom its policies are for, but not which APIs it leaves open. */
async function askServer(io: Io, identity: Identity, flags: Flags): Promise<Rules> {
  const { IdentityNotFoundError } = await import('@latchkey/kms-client')
  const { Policy } = await import('../policy/policy.ts')
  const { parsePolicyName } = await import('../names.ts')
  const caller = await withServers(io, flags, async (servers): Promise<Caller> => {
    const path = `/v1/identity/describe/${identity}`
    const info = await servers.call({ method: 'GET', path }, (client, options) =>
      client.describeIdentity(identity, options).catch((error: unknown) => {
        if (error instanceof IdentityNotFoundError) return undefined
        throw error
      }),
    )
    if (info?.policy === undefined) return { isAdmin: info?.isAdmin ?? false, policy: undefined }
    const name = info.policy
    const { allow, deny } = await servers.call(
      { method: 'GET', path: `/v1/policy/read/${name}` },
      (client, options) => client.readPolicy(name, options),
    )
    return { isAdmin: false, policy: new Policy(parsePolicyName(name), allow, deny) }
  })
  return { caller, isOpen: () => false }
}

function printExplanation(io: Io, verdict: Verdict, question: Question, policy: string | undefined): void {
  const { isAllowed, status, reason, nearest, hint } = verdict
  const answer = isAllowed ? `allowed: ${reason}` : `denied (${status}): ${reason}`
  const rows = [
    ['Identity', question.identity],
    ['Policy', policy ?? '-'],
    ['Request', `${question.method} ${question.path}`],
    ['Answer', paint(isAllowed ? 'green' : 'red', answer, io.stdout, io.env)],
    ...(nearest === undefined ? [] : [['Nearest', `rule '${nearest}', which does not match`]]),
    ...(hint === undefined ? [] : [['To allow it', hint]]),
  ]
  for (const [label = '', value] of rows) {
    io.stdout.write(`${paint('bold', label.padEnd(LABEL_COLUMNS), io.stdout, io.env)}${value}\n`)
  }
}
