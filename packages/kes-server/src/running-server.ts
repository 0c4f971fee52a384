/** A server that is up, in whichever number of processes, as its user holds it. */
import type { AddressInfo, Server } from 'node:net'
import type { AuditLog } from './audit/audit-log.ts'
import { formatAddress } from './config/address.ts'
import type { ServerConsole } from './console/server-console.ts'
import type { Core } from './core.ts'
import { RunningConfig, type RunningConfigOptions, type ServerConfig } from './running-config.ts'
import type { KesServer } from './server.ts'

interface ConsoleParts extends Pick<RunningConfigOptions, 'config' | 'listener' | 'errorLog' | 'tally'> {
  readonly core: Core
  readonly auditLog: AuditLog
  /** Of the key server. */
  readonly address: AddressInfo
}

/** In the process that writes, if the config asks for it. */
export async function openConsole(parts: ConsoleParts): Promise<ServerConsole | undefined> {
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

export function runningServer(
  { storeLabel, createKeys, services }: Core,
  address: AddressInfo,
  webConsole: ServerConsole | undefined,
  { stop, ...options }: Running,
): KesServer {
  let stopping: Promise<void> | undefined
  const running = new RunningConfig({
    ...options,
    async createKeys(config) {
      await createKeys(config)
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

export function listen(server: Server, { address }: ServerConfig): Promise<AddressInfo> {
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
