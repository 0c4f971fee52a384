/** Builds every stage of the server once, connects them, and takes them down again. */
import type { AddressInfo, Server } from 'node:net'
import type { DestinationStream } from 'pino'
import { AuditLog } from './audit/audit-log.ts'
import { HeldReplies } from './audit/held-replies.ts'
import { formatAddress } from './config/address.ts'
import type { Config } from './config/config.ts'
import { INFO } from './config/log-level.ts'
import { type Core, openCore } from './core.ts'
import { type App, createApp, STOP_TIMEOUT_MS } from './http/app.ts'
import type { Intercept } from './http/interception.ts'
import type { Clocks } from './keyring/deletion-clock.ts'
import { Broadcast } from './log/broadcast.ts'
import { createLogger, ErrorLog } from './log/error-log.ts'
import { Metrics } from './metrics/metrics.ts'
import { FsStore } from './store/fs-store.ts'
import { readClientCas, readCredentials, type TlsCredentials } from './tls/credentials.ts'
import type { ClientCertificateMode, ListenerOptions } from './tls/listener.ts'
import type { OutputName, WorkerStart } from './workers/calls.ts'
import { SingleProcess } from './workers/hub.ts'
import { splitLines } from './workers/lines.ts'
import { type MakeStart, Supervisor } from './workers/supervisor.ts'

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
  /**
   * Stands before every request. No config reaches it: it is for programs that embed the server, which then is one
   * process.
   */
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
  readonly replaceCredentials: (credentials: ListenerOptions['credentials']) => void
  /** Refuses new requests, waits for those that run, closes the store. */
  readonly stop: () => Promise<void>
}

/**
 * Starts a server, or throws one error that says in a line why not, with nothing left open.
 *
 * @throws CredentialsError, StoreOpenError, SealOpenError, UnsupportedStoreError, or what listening throws.
 */
export function startServer(options: ServerOptions): Promise<KesServer> {
  const { keystore, workers = 1 } = options.config
  const isSingle = workers === 1 || keystore.type === 'memory' || options.intercept !== undefined
  return isSingle ? startSingleProcess(options) : startSupervised(options, workers)
}

async function startSingleProcess({
  config,
  errorOutput,
  auditOutput,
  clocks,
  intercept,
}: ServerOptions): Promise<KesServer> {
  const metrics = new Metrics()
  const { errorLevel, auditLevel } = config.log
  const errorStream = new Broadcast(() => metrics.errorEventSent())
  const auditStream = new Broadcast(() => metrics.auditEventSent())
  const errorLog = new ErrorLog(createLogger(errorOutput), errorLevel, errorStream)
  if ((config.workers ?? 1) > 1)
    errorLog.warn('this key store is served by one process: workers are not started')
  const listener = listenerOptionsOf(config)
  const core = await openCore({ config, hub: new SingleProcess(metrics), metrics, errorLog, clocks })
  const auditLog = new AuditLog(createLogger(auditOutput), {
    isPrinted: auditLevel <= INFO,
    file: core.auditWriter && new HeldReplies(core.auditWriter),
    stream: auditStream,
  })
  let app: App | undefined
  try {
    app = await createApp({ services: core.services, auditLog, errorLog, listener, intercept })
    const running = app
    return runningServer(config, core, errorLog, await listen(app.listener.server, config), {
      replaceCredentials: running.listener.replaceCredentials,
      async stop() {
        await running.stop()
        await core.close()
      },
    })
  } catch (error) {
    app?.close()
    await core.close()
    throw error
  }
}

/** The processes start while this one opens the store, and listen to nobody before all of them are up. */
async function startSupervised(
  { config, errorOutput, auditOutput, clocks }: ServerOptions,
  workers: number,
): Promise<KesServer> {
  const metrics = new Metrics()
  const outputs = { error: errorOutput, audit: auditOutput }
  const write = (output: OutputName, lines: string) => {
    for (const line of splitLines(lines)) outputs[output].write(line)
  }
  const listener = listenerOptionsOf(config)
  const supervisor = new Supervisor({ metrics, write })
  const errorLog = new ErrorLog(
    createLogger(errorOutput),
    config.log.errorLevel,
    supervisor.streamOf('error'),
  )
  let core: Core | undefined
  try {
    supervisor.spawn(workers)
    const opened = await openCore({
      config,
      hub: supervisor,
      metrics,
      errorLog,
      clocks,
      holdersOf: supervisor.holdersOf,
    })
    core = opened
    let { credentials } = listener
    const start = () => workerStart(config, opened, { ...listener, credentials })
    await supervisor.serve(opened, errorLog, start)
    const address = await listen(supervisor.server, config)
    return runningServer(config, opened, errorLog, address, {
      replaceCredentials(next) {
        credentials = next
        supervisor.replaceCredentials(next)
      },
      async stop() {
        await supervisor.stop(STOP_TIMEOUT_MS)
        await opened.close()
      },
    })
  } catch (error) {
    await supervisor.kill()
    await core?.close()
    throw error
  }
}

function workerStart(
  config: ServerConfig,
  { services, seal, store, lastUses }: Core,
  { credentials, clientCertificates }: WorkerStart['listener'],
): ReturnType<MakeStart> {
  const { adminIdentity, policies, api, cache, log, keysOptions } = config
  const { keyPem, certPem } = credentials
  return {
    storePath: store.path,
    keysFolder: store instanceof FsStore ? store.folder.path : undefined,
    supervisorPid: process.pid,
    storeId: seal.storeId,
    keys: seal.generations.map((generation) => seal.exportReadingKeys(generation)),
    uses: lastUses.all(),
    journalKey: services.journal.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    config: { adminIdentity, policies, api, cache, log, keysOptions },
    origin: services.origin,
    listener: { credentials: { keyPem, certPem }, clientCertificates },
  }
}

function runningServer(
  config: ServerConfig,
  { storeLabel }: Core,
  errorLog: ErrorLog,
  { address, port }: AddressInfo,
  { replaceCredentials, stop }: Pick<KesServer, 'replaceCredentials' | 'stop'>,
): KesServer {
  let stopping: Promise<void> | undefined
  return {
    config,
    address: { host: address, port },
    url: `https://${formatAddress({ host: reachableHost(address), port })}`,
    storeLabel,
    warn: (message) => errorLog.warn(message),
    replaceCredentials,
    stop: () => {
      stopping ??= stop()
      return stopping
    },
  }
}

function listenerOptionsOf(config: ServerConfig): WorkerStart['listener'] {
  return { credentials: credentialsOf(config), clientCertificates: certificateModeOf(config) }
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

function listen(server: Server, { address }: ServerConfig): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: address.port, ...(address.host === '' ? {} : { host: address.host }) }, () => {
      server.off('error', reject)
      resolve(server.address() as AddressInfo)
    })
  })
}

/** An address that a client on this machine can use where the server listens on every interface. */
function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}
