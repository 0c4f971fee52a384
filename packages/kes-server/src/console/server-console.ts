/**
 * The console of a server: what the package of the console asks of it, answered by the server's own stages.
 *
 * It runs in the process that writes, so that its changes pass the same barrier as those of any client.
 */
import type { IncomingMessage } from 'node:http'
import type { KeyServer, NodeAccess } from '@latchkey/console'
import type { AuditLog } from '../audit/audit-log.ts'
import { formatAddress } from '../config/address.ts'
import type { ConsoleConfig, ConsoleNodeConfig } from '../config/config.ts'
import { AuditUnavailableError, NotInConsoleError } from '../errors.ts'
import { createStages, type Stages } from '../http/app.ts'
import { explainRequest } from '../http/explain-request.ts'
import { APIS, type Services } from '../http/routes.ts'
import type { ErrorLog } from '../log/error-log.ts'
import { normalizeIdentity, parseIdentity } from '../names.ts'
import { readClientCas } from '../tls/credentials.ts'
import type { RequestHandler } from '../tls/listener.ts'
import type { Peer } from '../tls/peer.ts'
import type { ListenerSettings } from '../tls/secure-context.ts'
import { VERSION } from '../version.ts'
import { loadConsole } from './load-console.ts'

const { createServer } = process.getBuiltinModule('node:http')

/**
 * The APIs that a session may call. Those that use a key are not among them: who steals a session decrypts nothing with
 * it, and the process that writes, in which the console runs, uses no keys for anybody.
 */
const OFFERED: ReadonlySet<string> = new Set([
  '/v1/ready',
  '/v1/status',
  '/v1/metrics',
  '/v1/metrics/latchkey',
  '/v1/api',
  '/v1/key/create/',
  '/v1/key/import/',
  '/v1/key/describe/',
  '/v1/key/delete/',
  '/v1/key/cancel-deletion/',
  '/v1/key/enable/',
  '/v1/key/disable/',
  '/v1/key/list/',
  '/v1/key/watch/',
  '/v1/key/history/',
  '/v1/policy/describe/',
  '/v1/policy/read/',
  '/v1/policy/list/',
  '/v1/identity/describe/',
  '/v1/identity/list/',
  '/v1/identity/self/describe',
  '/v1/journal/head',
  '/v1/journal/entries',
  '/v1/seal/describe',
  '/v1/log/error',
  '/v1/log/audit',
])

export interface ServerConsoleOptions {
  readonly config: ConsoleConfig
  readonly services: Services
  readonly auditLog: AuditLog
  readonly errorLog: ErrorLog
  readonly listener: ListenerSettings
  readonly describe: () => ServerDescription
}

export interface ServerDescription {
  readonly url: string
  readonly workers: number
  readonly storeLabel: string
  readonly certificateEndsMs: number | undefined
}

export interface ServerConsole {
  /** What a browser opens. */
  readonly url: string
  /** After the rules of the services were replaced. */
  readonly reload: (listener: ListenerSettings) => void
  /** Refuses new requests, and waits for those that run. */
  readonly stop: () => Promise<void>
}

/** @throws ConsoleMissingError, CredentialsError, ConsoleListenError, with nothing left open. */
export async function startServerConsole(options: ServerConsoleOptions): Promise<ServerConsole> {
  const { config, listener } = options
  const { startConsole } = await loadConsole()
  const { stages, handle } = await stagesFor(options)
  const { address, origin, tls } = config
  try {
    const running = await startConsole({
      address,
      origin,
      tls: tls ? listener.credentials : undefined,
      isSandbox: config.sandbox,
      node: config.node && accessOf(config.node),
      keyServer: keyServerOf(options, handle),
    })
    return {
      url: running.url,
      reload(next) {
        stages.reload()
        if (tls) running.replaceCredentials(next.credentials)
      },
      async stop() {
        const isStopped = running.stop()
        await stages.stop(() => undefined)
        await isStopped
        stages.close()
      },
    }
  } catch (error) {
    stages.close()
    throw asListenError(error, config)
  }
}

/** The console's address can't be had. */
export class ConsoleListenError extends Error {
  override readonly name = 'ConsoleListenError'
}

function asListenError(error: unknown, { address }: ConsoleConfig): unknown {
  const { code, syscall } = error as NodeJS.ErrnoException
  if (syscall !== 'listen') return error
  const reason = code === 'EADDRINUSE' ? 'another program listens there' : code
  const message = `the console can not listen on ${formatAddress(address)}, the config's 'console.address': ${reason}`
  return new ConsoleListenError(message, { cause: error })
}

/** @throws CredentialsError */
function accessOf({ endpoint, accessKey, secretKey, caPath }: ConsoleNodeConfig): NodeAccess {
  const ca = caPath === undefined ? undefined : readClientCas(caPath).join('\n')
  return { endpoint, accessKey: accessKey.reveal(), secretKey: secretKey.reveal(), ca }
}

type Handle = KeyServer['handle']

/** The stages of the server, without a listener: requests are given to them with the caller that the console knows. */
async function stagesFor({
  services,
  auditLog,
  errorLog,
}: ServerConsoleOptions): Promise<{ stages: Stages; handle: Handle }> {
  const peers = new WeakMap<object, Peer>()
  let serve: RequestHandler | undefined
  const stages = await createStages({
    services,
    auditLog,
    errorLog,
    makeServer(handler) {
      serve = handler
      return createServer() // fastify wants one. It never listens.
    },
    peerOf(request) {
      const peer = peers.get(request)
      if (peer === undefined) throw new Error('the request was not passed on by the console')
      return peer
    },
    checkOffered({ path }) {
      if (!OFFERED.has(path)) throw new NotInConsoleError()
    },
  })
  return {
    stages,
    handle({ identity, ip }, request: IncomingMessage, response) {
      peers.set(request, { ip, identity: parseIdentity(identity), problem: undefined, proxy: undefined })
      serve?.(request, response)
    },
  }
}

function keyServerOf(
  { services, auditLog, errorLog, describe }: ServerConsoleOptions,
  handle: Handle,
): KeyServer {
  return {
    handle,
    membershipOf(identity) {
      const { policies } = services
      const known = normalizeIdentity(identity)
      const policy = policies.policyOf(known)?.name
      const isAdmin = policies.isAdmin(known)
      return isAdmin || policy !== undefined ? { isAdmin, policy } : undefined
    },
    info() {
      const { url, workers, storeLabel, certificateEndsMs } = describe()
      return {
        version: VERSION.version,
        endpoint: url,
        workers,
        store: storeLabel,
        certificate_expires:
          certificateEndsMs === undefined ? null : new Date(certificateEndsMs).toISOString(),
      }
    },
    explain(caller, { identity, method, path }) {
      const { policies, overrides } = services
      const known = normalizeIdentity(identity)
      const policy = policies.policyOf(known)
      const needed = [
        `/v1/identity/describe/${identity}`,
        ...(policy === undefined ? [] : [`/v1/policy/read/${policy.name}`]),
      ]
      if (!needed.every((each) => policies.isAllowed(normalizeIdentity(caller.identity), each)))
        return undefined
      const isOpen = (api: string) => overrides.get(api)?.skipAuth === true
      const asked = { isAdmin: policies.isAdmin(known), policy }
      const { isAllowed: allowed, ...rest } = explainRequest(asked, method, path, APIS, isOpen)
      return { allowed, policy: policy?.name, ...rest }
    },
    get isAuditing() {
      return auditLog.isAccepting
    },
    audit(event) {
      if (!auditLog.isListening) return Promise.resolve()
      return new Promise((resolve, reject) => {
        auditLog.write(event, {
          isUrgent: false,
          release: resolve,
          refuse: () => reject(new AuditUnavailableError()),
        })
      })
    },
    reportDefect(error, request) {
      errorLog.error(error instanceof Error ? (error.stack ?? error.message) : String(error), request)
    },
  }
}
