/** Builds the console, and takes it down again. */
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { App } from './app.ts'
import { Assets } from './assets.ts'
import type { KeyServer } from './key-server.ts'
import { type NodeAccess, NodeClient } from './node/node-client.ts'
import { Nonces } from './nonces.ts'
import { Sessions } from './sessions.ts'

const { createServer } = process.getBuiltinModule('node:http')
const { createServer: createTlsServer } = process.getBuiltinModule('node:https')

const HEADERS_TIMEOUT_MS = 5_000
const KEEP_ALIVE_MS = 60_000
/** Of a connection on which a request or reply does not get on. */
const STALL_TIMEOUT_MS = 120_000
const CONNECTIONS_MAX = 512
/** How long running requests get at a stop. */
const STOP_TIMEOUT_MS = 10_000
const SWEEP_MS = 20

/** PEM. */
export interface TlsCredentials {
  readonly keyPem: string
  readonly certPem: string
}

export interface ConsoleOptions {
  readonly address: { readonly host: string; readonly port: number }
  /** Scheme, host and port under which browsers reach it. Default: the address's own. */
  readonly origin?: string | undefined
  /** Without, it serves plain HTTP. */
  readonly tls?: TlsCredentials | undefined
  readonly keyServer: KeyServer
  /** Whether the page warns that nothing here is for real. */
  readonly isSandbox?: boolean
  /** The storage node that it shows to the admin. Default: none. */
  readonly node?: NodeAccess | undefined
  /** Where the built page is. Default: this package's own. */
  readonly pageFolder?: string | undefined
  /** Milliseconds that never go back. Default: the system's. */
  readonly now?: (() => number) | undefined
}

export interface ConsoleServer {
  /** What a browser opens. */
  readonly url: string
  /** For the connections that come from now on. */
  readonly replaceCredentials: (tls: TlsCredentials) => void
  /** Takes no connection more, ends streams, and waits for what runs. */
  readonly stop: () => Promise<void>
}

/** @throws what listening does. */
export async function startConsole(options: ConsoleOptions): Promise<ConsoleServer> {
  const { address, tls, keyServer, now = () => performance.now() } = options
  const sessions = new Sessions(now)
  const assets = new Assets(options.pageFolder ?? fileURLToPath(new URL('../dist/', import.meta.url)))
  const server = createListener(tls)
  try {
    const bound = await listen(server, address)
    const origin = new URL(options.origin ?? `${tls === undefined ? 'http' : 'https'}://${formatHost(bound)}`)
    const { isSandbox = false } = options
    const node = options.node && new NodeClient(options.node)
    const app = new App({ origin, keyServer, isSandbox, node, nonces: new Nonces(now), sessions }, assets)
    server.on('request', (request, response) => void app.answer(request, response))
    return {
      url: `${origin.origin}/`,
      replaceCredentials: (next) => {
        if ('setSecureContext' in server) server.setSecureContext(contextOf(next))
      },
      stop: () => stop(server, sessions),
    }
  } catch (error) {
    sessions.stop()
    throw error
  }
}

function createListener(tls: TlsCredentials | undefined): Server | TlsServer {
  const options = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: 0, // An upload may take its time, as long as it gets on.
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1_000,
  }
  const server =
    tls === undefined ? createServer(options) : createTlsServer({ ...options, ...contextOf(tls) })
  server.timeout = STALL_TIMEOUT_MS
  server.maxConnections = CONNECTIONS_MAX
  return server
}

/** Each browser that can log in speaks TLS 1.3. */
function contextOf({ keyPem, certPem }: TlsCredentials) {
  return { key: keyPem, cert: certPem, minVersion: 'TLSv1.3' } as const
}

function listen(server: Server | TlsServer, { host, port }: ConsoleOptions['address']): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host }, () => {
      server.off('error', reject)
      resolve(server.address() as AddressInfo)
    })
  })
}

function formatHost({ address, port }: AddressInfo): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

async function stop(server: Server | TlsServer, sessions: Sessions): Promise<void> {
  const isClosed = new Promise((resolve) => server.close(resolve))
  sessions.stop()
  // Connections are kept by browsers when the request that ran on them has ended.
  const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS)
  const deadline = setTimeout(() => server.closeAllConnections(), STOP_TIMEOUT_MS)
  await isClosed
  clearInterval(sweep)
  clearTimeout(deadline)
}
