/** Calls to the servers of the environment's list: the first that can answer does. */
import type { X509Certificate } from 'node:crypto'
import {
  IdentityNotFoundError,
  KesApiError,
  type KesClientOptions,
  KesConnectionError,
  KesTimeoutError,
  NotAllowedError,
} from '@latchkey/kms-client'
import { parsePolicyName } from '../names.ts'
import { Policy } from '../policy/policy.ts'
import type { ClientFlags } from './command.ts'
import { readCredentials } from './credentials.ts'
import { DEFAULT_SERVER, lookUp, parseServers } from './environment.ts'
import { type ApiCall, explainError } from './explain-error.ts'
import { readCertificates } from './file.ts'
import type { Client, Io } from './io.ts'
import { CliError, Exit } from './outcome.ts'

/** For a question that only makes a message better. */
const ASK_TIMEOUT_MS = 3_000

/** Flags of `kes ls` alone. */
export interface ServerFlags extends ClientFlags {
  readonly server?: string
  readonly apiKey?: string
}

interface Server {
  readonly endpoint: string
  readonly client: Client
}

/** One server's turn to answer a call. */
interface Turn {
  readonly endpoint: string
  /** To be called before anything is printed, and once anything was made: no other server is asked then. */
  readonly stay: () => void
}

type Run<Result> = (client: Client, options: { signal: AbortSignal }, turn: Turn) => Promise<Result>

export class Servers {
  /** The caller's own. */
  readonly identity: string
  readonly #servers: readonly Server[]
  readonly #signal: AbortSignal

  private constructor(servers: readonly Server[], identity: string, signal: AbortSignal) {
    this.#servers = servers
    this.identity = identity
    this.#signal = signal
  }

  /** @throws CliError if the environment or a file that it names is wrong. */
  static async open(io: Io, flags: ServerFlags): Promise<Servers> {
    const endpoints = parseServers(flags.server ?? lookUp(io.env, 'server') ?? DEFAULT_SERVER)
    if (endpoints.length === 0)
      throw new CliError('no server endpoint specified. Consider setting MINIO_KES_SERVER')
    const { identity, apiKey, certificate } = await readCredentials(io, flags.apiKey)
    const caPath = flags.ca ?? lookUp(io.env, 'ca')
    const options: Omit<KesClientOptions, 'endpoint'> = {
      apiKey,
      certificate,
      insecureSkipVerify: flags.insecure ?? false,
      ca: caPath === undefined ? undefined : readCas(caPath).map(String),
    }
    const servers: Server[] = []
    for (const endpoint of endpoints) {
      servers.push({ endpoint, client: await io.openClient({ ...options, endpoint }) })
    }
    return new Servers(servers, identity, io.interruption)
  }

  /**
   * @throws CliError for whatever fails, in KES's words; {@link Exit} (1) if the user interrupts.
   */
  async call<Result>(call: ApiCall, run: Run<Result>): Promise<Result> {
    let problem: unknown
    let refusedBy: Client | undefined
    let stays = false
    const stay = () => {
      stays = true
    }
    for (const { endpoint, client } of this.#servers) {
      try {
        return await run(client, { signal: this.#signal }, { endpoint, stay })
      } catch (error) {
        if (this.#signal.aborted) throw new Exit(1)
        problem = error
        refusedBy = isPolicyRefusal(error) ? client : undefined
        if (stays || !mayAnotherServerDo(error)) break
      }
    }
    const decision = refusedBy && (await this.#explainRefusal(refusedBy, call.path))
    throw explainError(problem, call, { identity: this.identity, decision })
  }

  /** Which policy the caller has, and which of its rules decided; only Latchkey tells everybody his own. */
  async #explainRefusal(client: Client, path: string): Promise<string | undefined> {
    try {
      const { policy, allow, deny } = await client.describeSelf({
        signal: this.#signal,
        timeoutMs: ASK_TIMEOUT_MS,
      })
      if (policy === undefined) return undefined
      const { kind, rule } = new Policy(parsePolicyName(policy), allow, deny).decide(path)
      if (kind === 'deny') return `rule '${rule}' of its policy '${policy}' denies it`
      return kind === 'none' ? `no rule of its policy '${policy}' allows it` : undefined
    } catch (error) {
      return error instanceof IdentityNotFoundError ? 'it has no policy' : undefined
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#servers.map(({ client }) => client.close()))
  }
}

function isPolicyRefusal(error: unknown): boolean {
  return error instanceof NotAllowedError && (error.code === undefined || error.code === 'NotAllowed')
}

/** KES tries the next server for what may be this one's fault; 501 is an answer. */
function mayAnotherServerDo(error: unknown): boolean {
  if (error instanceof KesApiError) return error.status >= 500 && error.status !== 501
  return error instanceof KesConnectionError || error instanceof KesTimeoutError
}

/** The CAs of a file or folder. @throws CliError */
export function readCas(path: string): X509Certificate[] {
  const certificates = readCertificates(path)
  if (certificates.length === 0) throw new CliError(`'${path}' contains no PEM certificate`)
  return certificates
}
