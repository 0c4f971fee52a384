/** Builds every stage of the server once, connects them, and takes them down again. */
import type { AddressInfo } from 'node:net'
import type { DestinationStream } from 'pino'
import { AuditLog } from './audit/audit-log.ts'
import { formatAddress } from './config/address.ts'
import type { Config } from './config/config.ts'
import { INFO } from './config/log-level.ts'
import { now } from './encoding/timestamp.ts'
import { KeyExistsError, KeyNameReservedError } from './errors.ts'
import { type App, createApp } from './http/app.ts'
import type { ApiOverride, Services } from './http/routes.ts'
import { KeyRing } from './keyring/key-ring.ts'
import { createLogger, ErrorLog } from './log/error-log.ts'
import { Metrics } from './metrics/metrics.ts'
import { type OpenStore, openStore } from './open-store.ts'
import { PolicySet } from './policy/policy.ts'
import { readClientCas, readCredentials, type TlsCredentials } from './tls/credentials.ts'
import type { ClientCertificateMode } from './tls/listener.ts'
import { VERSION } from './version.ts'

/** How long running requests get at a stop. */
const STOP_TIMEOUT_MS = 10_000
const PURGE_INTERVAL_MS = 10_000

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
  /** Refuses new requests, waits for those that run, closes the store. */
  readonly stop: () => Promise<void>
}

/**
 * Starts a server, or throws one error that says in a line why not, with nothing left open.
 *
 * @throws CredentialsError, StoreOpenError, SealOpenError, UnsupportedStoreError, or what listening throws.
 */
export async function startServer({ config, errorOutput, auditOutput }: ServerOptions): Promise<KesServer> {
  const metrics = new Metrics()
  const { errorLevel, auditLevel } = config.log
  const errorLog = new ErrorLog(createLogger(errorOutput), errorLevel, () => metrics.errorEventSent())
  const auditLog = new AuditLog(createLogger(auditOutput), auditLevel <= INFO, () => metrics.auditEventSent())
  const listener = { credentials: credentialsOf(config), clientCertificates: certificateModeOf(config) }
  const opened = openStore(config.keystore)
  for (const warning of opened.warnings) errorLog.warn(warning)

  const ring = new KeyRing(opened.store, opened.seal, opened.journal, config.keysOptions)
  const policies = new PolicySet({ admin: config.adminIdentity, policies: config.policies })
  const services: Services = {
    ring,
    store: opened.store,
    journal: opened.journal,
    policies,
    origin: { createdAt: now(), createdBy: config.adminIdentity },
    overrides: overridesOf(config),
    metrics,
    version: VERSION,
  }
  let app: App | undefined
  try {
    createPredefinedKeys(config, ring, errorLog)
    app = await createApp({ services, auditLog, errorLog, listener })
    await listen(app, config)
  } catch (error) {
    app?.close()
    closeStore(opened, ring)
    throw error
  }
  const timers = [...expireCache(ring, config), purgeErased(opened, errorLog)]
  const address = app.listener.server.address() as AddressInfo
  const running = app
  let stopping: Promise<void> | undefined

  async function stop(): Promise<void> {
    running.refuseRequests()
    running.closeLogStreams()
    running.listener.stopAccepting()
    await until(() => running.pendingRequests() === 0, STOP_TIMEOUT_MS)
    running.listener.destroyConnections()
    for (const timer of timers) clearInterval(timer)
    running.close()
    closeStore(opened, ring)
  }

  return {
    config,
    address: { host: address.address, port: address.port },
    url: `https://${formatAddress({ host: reachableHost(address.address), port: address.port })}`,
    storeLabel: opened.label,
    warn: (message) => errorLog.warn(message),
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

function overridesOf({ api }: ServerConfig): ReadonlyMap<string, ApiOverride> {
  return new Map(
    [...api].map(([path, { skipAuth, timeoutMs }]) => [path, { skipAuth, timeoutMs: timeoutMs ?? 0 }]),
  )
}

/** Makes the keys that the config names and the store has not; never one whose name an erased key has left. */
function createPredefinedKeys(config: ServerConfig, ring: KeyRing, errorLog: ErrorLog): void {
  for (const name of config.keys) {
    try {
      ring.create(name, { identity: config.adminIdentity, ip: '' })
      errorLog.info(`predefined key '${name}' created`)
    } catch (error) {
      if (error instanceof KeyNameReservedError) {
        errorLog.warn(
          `predefined key '${name}' was erased: its name stays reserved, and the key is not made again`,
        )
      } else if (!(error instanceof KeyExistsError)) throw error
    }
  }
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

/** Plaintext keys leave memory as the config's cache section says. */
function expireCache(ring: KeyRing, { cache }: ServerConfig): NodeJS.Timeout[] {
  const timers: NodeJS.Timeout[] = []
  if (cache.anyMs > 0) timers.push(setInterval(() => ring.forgetAll(), cache.anyMs))
  if (cache.unusedMs > 0) timers.push(setInterval(() => ring.forgetUnused(), Math.max(1, cache.unusedMs / 2)))
  for (const timer of timers) timer.unref()
  return timers
}

/** What could not be removed from the store's files when its key was erased is tried again, and at every start. */
function purgeErased({ store }: OpenStore, errorLog: ErrorLog): NodeJS.Timeout {
  let isOwed = false
  const purge = async () => {
    const wasOwed = isOwed
    let reason = 'a program reads the store'
    try {
      isOwed = !(await store.purge())
    } catch (error) {
      isOwed = true
      reason = error instanceof Error ? error.message : String(error)
    }
    if (isOwed && !wasOwed) errorLog.warn(`records of erased keys are still on the disk: ${reason}`)
    if (wasOwed && !isOwed) errorLog.info('records of erased keys were removed from the disk')
  }
  const timer = setInterval(purge, PURGE_INTERVAL_MS)
  timer.unref()
  void purge()
  return timer
}

function closeStore({ store, seal }: OpenStore, ring: KeyRing): void {
  ring.forgetAll()
  seal.destroy()
  store.close()
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
