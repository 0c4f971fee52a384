/** Who a client is to the server, what it may do there, and whether the key that it wants can be used. */
import {
  CertificateRequiredError,
  IdentityNotFoundError,
  KesApiError,
  KeyDisabledError,
  KeyNotFoundError,
  KeyPendingDeletionError,
  NotAllowedError,
  type SelfInfo,
} from '@latchkey/kms-client'
import { type Caller, explainRequest } from '../../http/explain-request.ts'
import { APIS } from '../../http/routes.ts'
import { messageOf } from '../../message-of.ts'
import { parsePolicyName } from '../../names.ts'
import { Policy } from '../../policy/policy.ts'
import type { Client } from '../io.ts'
import { shellWord } from '../shell-word.ts'
import type { Findings } from './findings.ts'

const TIMEOUT_MS = 5_000
/** What MinIO does with its key; it creates the key only where there is none. */
const USES = ['create', 'generate', 'decrypt'] as const
type Use = (typeof USES)[number]

interface Call {
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

/** @param key - undefined if nobody asks about one. */
export async function examineAccess(
  findings: Findings,
  client: Client,
  identity: string,
  key: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const call = { signal, timeoutMs: TIMEOUT_MS }
  try {
    const { version } = await client.version(call)
    findings.ok('api', `the server answers, version ${version}`)
  } catch (error) {
    findings.problem('api', `the server does not answer: ${messageOf(error)}`, {
      advice:
        "if it closes the connection, it verifies client certificates ('tls.auth: on'): its log says why",
    })
    return
  }
  await examineReadiness(findings, client, call)
  const self = await describeSelf(findings, client, identity, call)
  if (self === undefined) return
  if (key === undefined) {
    findings.ok('key', 'no key was looked at: name one with --key')
    return
  }
  const denied = self === 'unknown' ? [] : examinePolicy(findings, self, key)
  await examineKey(findings, client, key, denied, call)
}

async function examineReadiness(findings: Findings, client: Client, call: Call): Promise<void> {
  try {
    await client.ready(call)
    findings.ok('store', 'the server is ready: its key store answers')
  } catch (error) {
    if (!(error instanceof KesApiError) || error.status < 500) return // Not everybody may ask.
    findings.problem('store', `the server is not ready: ${error.message}`, {
      advice: "on the server's machine, look at its log and its store",
      commands: ['kes doctor --config /etc/latchkey/kes.yml'],
    })
  }
}

/** @returns undefined for nobody; `unknown` for one whom a Go KES does not tell who he is. */
async function describeSelf(
  findings: Findings,
  client: Client,
  identity: string,
  call: Call,
): Promise<SelfInfo | 'unknown' | undefined> {
  try {
    const self = await client.describeSelf(call)
    const role = self.isAdmin ? 'the admin' : `one of policy '${self.policy ?? ''}'`
    findings.ok('identity', `the server knows this client as ${role}`)
    return self
  } catch (error) {
    const remedy = {
      advice:
        "add it to the 'identities' of a policy in the server's config, and have the server read that again",
      commands: [`identities: [${identity}]`, 'systemctl reload latchkey'],
    }
    if (error instanceof IdentityNotFoundError) {
      if (await isGoKes(client, call)) {
        findings.ok('identity', 'a Go KES tells nobody but its admin who he is')
        return 'unknown'
      }
      const text = `the server knows the identity ${identity} neither as its admin nor from a policy`
      findings.problem('identity', text, remedy)
    } else if (error instanceof CertificateRequiredError) {
      findings.problem(
        'identity',
        `the server sees no identity in what this client presents: ${error.message}`,
        {
          advice: "present one certificate that is no CA's, or an API key",
        },
      )
    } else findings.problem('identity', `the server does not say who this client is: ${messageOf(error)}`)
    return undefined
  }
}

/** It lacks the calls that are Latchkey's alone: to a caller without rights, too. */
async function isGoKes(client: Client, call: Call): Promise<boolean> {
  try {
    await client.journalHead(call)
    return false
  } catch (error) {
    return error instanceof KesApiError && error.status === 404
  }
}

/** @returns what is denied. */
function examinePolicy(findings: Findings, self: SelfInfo, key: string): Use[] {
  const policy =
    self.policy === undefined ? undefined : new Policy(parsePolicyName(self.policy), self.allow, self.deny)
  const caller: Caller = { isAdmin: self.isAdmin, policy }
  const verdicts = USES.map((use) => {
    const path = `/v1/key/${use}/${key}`
    // What `skip_auth` opens is not told to clients: then the use itself shows it.
    return { use, path, verdict: explainRequest(caller, 'PUT', path, APIS, () => false) }
  })
  const denied = verdicts.filter(({ verdict }) => !verdict.isAllowed)
  for (const { use, path, verdict } of denied) {
    const nearest = verdict.nearest === undefined ? '' : `; the nearest is '${verdict.nearest}'`
    const text = `this client may not ${use} '${key}': ${verdict.reason}${nearest}`
    const remedy = {
      ...(verdict.hint === undefined ? {} : { advice: verdict.hint }),
      commands: [`kes policy explain ${self.identity} PUT ${shellWord(path)}`],
    }
    if (use === 'create') findings.warn('policy', `${text}; needed only while there is no such key`, remedy)
    else findings.problem('policy', text, remedy)
  }
  if (denied.length === 0) findings.ok('policy', `this client may create, generate and decrypt '${key}'`)
  return denied.map(({ use }) => use)
}

/** Uses the key, as it would be used: a data key is made, decrypted again, and forgotten. */
async function examineKey(
  findings: Findings,
  client: Client,
  key: string,
  denied: readonly Use[],
  call: Call,
): Promise<void> {
  const name = shellWord(key)
  if (denied.includes('generate')) {
    await describeKey(findings, client, key, call)
    return
  }
  try {
    const { plaintext, ciphertext } = await client.generateKey(key, undefined, call)
    if (denied.includes('decrypt')) {
      plaintext.fill(0)
      findings.ok('key', `a data key was made with '${key}'`)
      return
    }
    const again = await client.decrypt(key, ciphertext, undefined, call)
    const isSame = Buffer.compare(plaintext, again) === 0
    for (const bytes of [plaintext, again]) bytes.fill(0)
    if (isSame) findings.ok('key', `'${key}' can be used: a data key was made with it, and decrypted again`)
    else findings.problem('key', `'${key}' decrypts to something else than was encrypted`)
  } catch (error) {
    if (error instanceof KeyNotFoundError) {
      const mayCreate = !denied.includes('create')
      const text = `there is no key '${key}'`
      const remedy = { advice: 'create it', commands: [`kes key create ${name}`] }
      if (mayCreate) findings.warn('key', `${text}; a MinIO creates its own at its start`, remedy)
      else findings.problem('key', `${text}, and this client may not create it`, remedy)
    } else if (error instanceof KeyDisabledError || error instanceof KeyPendingDeletionError) {
      reportState(findings, key, error instanceof KeyDisabledError ? 'disabled' : 'pending')
    } else {
      findings.problem('key', `'${key}' can not be used: ${messageOf(error)}`, {
        advice: "the server's log says more",
        commands: [`kes key info ${name}`],
      })
    }
  }
}

async function describeKey(findings: Findings, client: Client, key: string, call: Call): Promise<void> {
  try {
    const { state } = await client.describeKey(key, call)
    if (state === 'disabled') reportState(findings, key, 'disabled')
    else if (state === 'pending') reportState(findings, key, 'pending')
    else findings.ok('key', `'${key}' is there, and is not disabled`)
  } catch (error) {
    if (error instanceof NotAllowedError) return // Then it is not told either.
    findings.problem('key', `'${key}': ${messageOf(error)}`)
  }
}

function reportState(findings: Findings, key: string, state: 'disabled' | 'pending'): void {
  const name = shellWord(key)
  if (state === 'disabled') {
    findings.problem('key', `'${key}' is disabled`, {
      advice: 'whoever may, enables it, if it was not locked for a reason',
      commands: [`kes key history ${name}`, `kes key enable ${name}`],
    })
  } else {
    findings.problem('key', `'${key}' is pending deletion: it will be erased`, {
      advice: 'whoever may, keeps it; it is disabled then',
      commands: [`kes key cancel-deletion ${name}`, `kes key enable ${name}`],
    })
  }
}
