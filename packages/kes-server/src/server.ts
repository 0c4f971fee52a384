/** Builds every stage of the server once, connects them, and takes them down again. */
import type { AddressInfo } from 'node:net'
import type { DestinationStream } from 'pino'
import { AuditLog } from './audit/audit-log.ts'
import { HeldReplies } from './audit/held-replies.ts'
import { formatAddress } from './config/address.ts'
import type { Config } from './config/config.ts'
import { INFO } from './config/log-level.ts'
import { openCore } from './core.ts'
import { type App, createApp } from './http/app.ts'
import type { Intercept } from './http/interception.ts'
import type { Clocks } from './keyring/deletion-clock.ts'
import { createLogger, ErrorLog } from './log/error-log.ts'
import { Metrics } from './metrics/metrics.ts'
import { readClientCas, readCredentials, type TlsCredentials } from './tls/credentials.ts'
import type { ClientCertificateMode } from './tls/listener.ts'
import { SingleProcess } from './workers/hub.ts'

/** How long running requests get at a stop. */
const STOP_TIMEOUT_MS = 10_000

/** The file-based part of the TLS config, or a key pair that the caller has made. */
export type ServerConfig = Omit<Config, 'tls'> & {
  readonly tls: Config['tls'] | { readonly made: TlsCredentials }
}

export interface ServerOptions {
  readonly config: ServerConfig
  /** The error log; usually stderr. */
  readonly errorOutput: DestinationStream
  /** The audit log; usually stdout. */
  readonly auditOutput: DestinationStream
  /** By which scheduled deletions become due. Default: the system's. */
  readonly clocks?: Clocks
  /** Stands before every request. No config reaches it: it is for programs that embed the server. */
  readonly intercept?: Intercept
}

export interface KesServer {
  readonly config: ServerConfig
  readonly address: { readonly host: string; readonly port: number }
  /** `https://127.0.0.1:7373` */
  readonly url: string
  /** What the banner calls the key store. */
  readonly storeLabel: string
  /** Tells the operator, in the error log. */
  readonly warn: (message: string) => void
  /** Shows another certificate to all who connect from now on. */
  readonly replaceCredentials: (credentials: Pick<TlsCredentials, 'keyPem' | 'certPem'>) => void
  /** Refuses new requests, waits for those that run, closes the store. */
  readonly stop: () => Promise<void>
}

/**
 * Starts a server, or throws one error that says in a line why not, with nothing left open.
 *
 * @throws CredentialsError, StoreOpenError, SealOpenError, UnsupportedStoreError, or what listening throws.
 */
export async function startServer({
  config,
  errorOutput,
  auditOutput,
  clocks,
  intercept,
}: ServerOptions): Promise<KesServer> {
  const metrics = new Metrics()
  const { errorLevel, auditLevel } = config.log
  const errorLog = new ErrorLog(createLogger(errorOutput), errorLevel, () => metrics.errorEventSent())
  const listener = { credentials: credentialsOf(config), clientCertificates: certificateModeOf(config) }
  const hub = new SingleProcess(metrics)
  const core = await openCore({ config, hub, metrics, errorLog, clocks })
  const held = core.auditWriter && new HeldReplies(core.auditWriter)
  const auditLog = new AuditLog(createLogger(auditOutput), {
    isPrinted: auditLevel <= INFO,
    file: held,
    onSent: () => metrics.auditEventSent(),
  })
  let app: App | undefined
  try {
    app = await createApp({ services: core.services, auditLog, errorLog, listener, intercept })
    await listen(app, config)
  } catch (error) {
    app?.close()
    await core.close()
    throw error
  }
  const address = app.listener.server.address() as AddressInfo
  const running = app
  let stopping: Promise<void> | undefined

  async function stop(): Promise<void> {
    running.refuseRequests()
    running.closeStreams()
    running.listener.stopAccepting()
    await until(() => running.pendingRequests() === 0, STOP_TIMEOUT_MS)
    await held?.released()
    running.listener.destroyConnections()
    running.close()
    await core.close()
  }

  return {
    config,
    address: { host: address.address, port: address.port },
    url: `https://${formatAddress({ host: reachableHost(address.address), port: address.port })}`,
    storeLabel: core.storeLabel,
    warn: (message) => errorLog.warn(message),
    replaceCredentials: running.listener.replaceCredentials,
    stop: () => {
      stopping ??= stop()
      return stopping
    },
  }
}

function credentialsOf({ tls }: ServerConfig): TlsCredentials {
  if ('made' in tls) return tls.made
  return readCredentials(tls.keyFile, tls.certFile, tls.password?.reveal())
}

function certificateModeOf(config: ServerConfig): ClientCertificateMode {
  const isRequired = ![...config.api.values()].some(({ skipAuth }) => skipAuth)
  if ('made' in config.tls) return { isRequired, isVerified: false, cas: [] }
  const { auth, caPath } = config.tls
  return { isRequired, isVerified: auth, cas: caPath === undefined ? [] : readClientCas(caPath) }
}

function listen(app: App, { address }: ServerConfig): Promise<void> {
  const { server } = app.listener
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: address.port, ...(address.host === '' ? {} : { host: address.host }) }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** An address that a client on this machine can use where the server listens on every interface. */
function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}

async function until(isReached: () => boolean, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!isReached() && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
