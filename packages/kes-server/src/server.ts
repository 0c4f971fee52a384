/** Builds every stage of the server once, connects them, and takes them down again. */
import type { AddressInfo, Server } from 'node:net'
import type { DestinationStream } from 'pino'
import { AuditLog } from './audit/audit-log.ts'
import { HeldReplies } from './audit/held-replies.ts'
import { formatAddress } from './config/address.ts'
import { INFO } from './config/log-level.ts'
import type { ServerConsole } from './console/server-console.ts'
import { type Core, openCore } from './core.ts'
import { type App, createApp, STOP_TIMEOUT_MS } from './http/app.ts'
import type { Intercept } from './http/interception.ts'
import type { Clocks } from './keyring/deletion-clock.ts'
import { Broadcast } from './log/broadcast.ts'
import { createLogger, ErrorLog } from './log/error-log.ts'
import { Metrics } from './metrics/metrics.ts'
import { ServerTally } from './metrics/server-tally.ts'
import {
  listenerSettingsOf,
  RunningConfig,
  type RunningConfigOptions,
  type ServerConfig,
} from './running-config.ts'
import { FsStore } from './store/fs-store.ts'
import type { TlsCredentials } from './tls/credentials.ts'
import type { ListenerSettings } from './tls/listener.ts'
import type { OutputName, WorkerSettings } from './workers/calls.ts'
import { SingleProcess } from './workers/hub.ts'
import { splitLines } from './workers/lines.ts'
import { type MakeStart, Supervisor } from './workers/supervisor.ts'

export type { ServerConfig } from './running-config.ts'

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
  /** In force now. */
  readonly config: ServerConfig
  readonly address: { readonly host: string; readonly port: number }
  /** `https://127.0.0.1:7373` */
  readonly url: string
  /** What a browser opens; undefined without a console. */
  readonly consoleUrl: string | undefined
  /** What the banner calls the key store. */
  readonly storeLabel: string
  /** Tells the operator, in the error log. */
  readonly log: Pick<ErrorLog, 'info' | 'warn' | 'error'>
  /**
   * Puts another config into force in every process of the server, without a request that fails; a warning in the error
   * log names what takes effect at a restart only.
   *
   * @param read - called when no other change is under way.
   * @throws CredentialsError, or what `read` does, with the old config left in force.
   */
  readonly reload: (read: () => ServerConfig) => Promise<void>
  /** Shows another certificate to all who connect from now on. */
  readonly replaceCredentials: (credentials: TlsCredentials) => Promise<void>
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
  const tally = new ServerTally()
  const { errorLevel, auditLevel } = config.log
  const errorStream = new Broadcast(() => metrics.errorEventSent())
  const auditStream = new Broadcast(() => metrics.auditEventSent())
  const errorLog = new ErrorLog(createLogger(errorOutput), errorLevel, errorStream)
  if ((config.workers ?? 1) > 1)
    errorLog.warn('this key store is served by one process: workers are not started')
  const listener = listenerSettingsOf(config)
  const core = await openCore({ config, hub: new SingleProcess(metrics), metrics, tally, errorLog, clocks })
  const auditLog = new AuditLog(createLogger(auditOutput), {
    isPrinted: auditLevel <= INFO,
    file: core.auditWriter && new HeldReplies(core.auditWriter),
    stream: auditStream,
  })
  let app: App | undefined
  try {
    app = await createApp({ services: core.services, auditLog, errorLog, listener, intercept })
    const running = app
    const address = await listen(running.listener.server, config)
    const webConsole = await openConsole({ core, config, auditLog, errorLog, listener, tally, address })
    return runningServer(core, address, webConsole, {
      config,
      listener,
      errorLog,
      tally,
      apply(next, nextListener) {
        core.reload(next)
        errorLog.setLevel(next.log.errorLevel)
        auditLog.setPrinted(next.log.auditLevel <= INFO)
        running.reload(nextListener)
        webConsole?.reload(nextListener)
        return core.services.hub.barrier()
      },
      async stop() {
        await Promise.all([webConsole?.stop(), running.stop()])
        await core.close()
      },
    })
  } catch (error) {
    await app?.stop()
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
  const tally = new ServerTally()
  const outputs = { error: errorOutput, audit: auditOutput }
  const write = (output: OutputName, lines: string) => {
    for (const line of splitLines(lines)) outputs[output].write(line)
  }
  const listener = listenerSettingsOf(config)
  const supervisor = new Supervisor({ metrics, tally, write })
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
      tally,
      errorLog,
      clocks,
      holdersOf: supervisor.holdersOf,
    })
    core = opened
    let settings = workerSettings(config, opened, listener)
    await supervisor.serve(opened, errorLog, () => ({ ...settings, ...storeAccess(opened) }))
    const address = await listen(supervisor.server, config)
    const auditLog = new AuditLog(createLogger(auditOutput), {
      isPrinted: config.log.auditLevel <= INFO,
      file: opened.auditWriter && new HeldReplies(opened.auditWriter),
      stream: supervisor.streamOf('audit'),
    })
    const webConsole = await openConsole({
      core: opened,
      config,
      auditLog,
      errorLog,
      listener,
      tally,
      address,
    })
    return runningServer(opened, address, webConsole, {
      config,
      listener,
      errorLog,
      tally,
      async apply(next, nextListener) {
        opened.reload(next)
        errorLog.setLevel(next.log.errorLevel)
        auditLog.setPrinted(next.log.auditLevel <= INFO)
        settings = workerSettings(next, opened, nextListener)
        webConsole?.reload(nextListener)
        await supervisor.reload(settings)
        await supervisor.barrier()
      },
      async stop() {
        await Promise.all([webConsole?.stop(), supervisor.stop(STOP_TIMEOUT_MS)])
        await opened.close()
      },
    })
  } catch (error) {
    await supervisor.kill()
    await core?.close()
    throw error
  }
}

function workerSettings(
  config: ServerConfig,
  { services }: Core,
  listener: ListenerSettings,
): WorkerSettings {
  const { adminIdentity, policies, api, cache, log, keysOptions } = config
  return {
    config: { adminIdentity, policies, api, cache, log, keysOptions },
    origin: services.origin,
    listener,
  }
}

function storeAccess({
  services,
  seal,
  store,
  lastUses,
}: Core): Omit<ReturnType<MakeStart>, keyof WorkerSettings> {
  return {
    storePath: store.path,
    keysFolder: store instanceof FsStore ? store.folder.path : undefined,
    supervisorPid: process.pid,
    storeId: seal.storeId,
    keys: seal.generations.map((generation) => seal.exportReadingKeys(generation)),
    uses: lastUses.all(),
    journalKey: services.journal.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  }
}

interface ConsoleParts extends Pick<RunningConfigOptions, 'config' | 'listener' | 'errorLog' | 'tally'> {
  readonly core: Core
  readonly auditLog: AuditLog
  /** Of the key server. */
  readonly address: AddressInfo
}

/** In the process that writes, if the config asks for it. */
async function openConsole(parts: ConsoleParts): Promise<ServerConsole | undefined> {
  const { core, config, tally, address, ...rest } = parts
  if (config.console === undefined) return undefined
  const { startServerConsole } = await import('./console/server-console.ts')
  return startServerConsole({
    ...rest,
    config: config.console,
    services: core.services,
    describe: () => ({
      url: urlOf(address),
      workers: config.workers ?? 1,
      storeLabel: core.storeLabel,
      certificateEndsMs: tally.certificateEndsMs,
    }),
  })
}

type Running = Omit<RunningConfigOptions, 'createKeys'> & Pick<KesServer, 'stop'>

function runningServer(
  { storeLabel, createKeys, services }: Core,
  address: AddressInfo,
  webConsole: ServerConsole | undefined,
  { stop, ...options }: Running,
): KesServer {
  let stopping: Promise<void> | undefined
  const running = new RunningConfig({
    ...options,
    createKeys(config) {
      createKeys(config)
      void services.hub.barrier() // For those who watch keys.
    },
  })
  return {
    get config() {
      return running.config
    },
    address: { host: address.address, port: address.port },
    url: urlOf(address),
    consoleUrl: webConsole?.url,
    storeLabel,
    log: options.errorLog,
    reload: (read) => running.reload(read),
    replaceCredentials: (credentials) => running.replaceCredentials(credentials),
    stop: () => {
      stopping ??= running.stop().then(stop)
      return stopping
    },
  }
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

function urlOf({ address, port }: AddressInfo): string {
  return `https://${formatAddress({ host: reachableHost(address), port })}`
}

/** An address that a client on this machine can use where the server listens on every interface. */
function reachableHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
}
