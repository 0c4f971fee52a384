/**
 * A key server for the tests of itself: in this process, on a free port, with its own certificates and an admin of its
 * own, its logs to be read, and what goes over the wire to be sent and seen byte by byte. What programs that use a key
 * server are tested with, and how it is made to fail, is `@latchkey/kms-client/testing`.
 */
import { createPrivateKey } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { OutgoingHttpHeaders } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls'
import { ApiKey } from '@latchkey/kms-client'
import type { ApiPath } from '../../packages/kes-server/src/config/api-paths.ts'
import {
  type ConsoleConfig,
  DEFAULT_CACHE,
  DEFAULT_LOG,
  type LogConfig,
} from '../../packages/kes-server/src/config/config.ts'
import type { KeystoreConfig } from '../../packages/kes-server/src/config/keystore-config.ts'
import type { Clocks } from '../../packages/kes-server/src/keyring/deletion-clock.ts'
import { normalizeIdentity, parseKeyName, parsePolicyName } from '../../packages/kes-server/src/names.ts'
import { type ServerConfig, startServer } from '../../packages/kes-server/src/server.ts'
import { authorityOf, type Credentials, clientOf, type KeyType, keyPairOf, serverOf } from './certificates.ts'
import { type Connection, openConnection, type Protocol, type Reply } from './connection.ts'
import { Secrets } from './leaks.ts'

export { PROTOCOLS, type Protocol, type Reply } from './connection.ts'

export interface TestPolicy {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
  readonly identities?: readonly string[]
}

export interface TestServerOptions {
  /** By name. */
  readonly policies?: Readonly<Record<string, TestPolicy>>
  /** Default: in memory. */
  readonly keystore?: KeystoreConfig
  readonly api?: Readonly<
    Partial<Record<ApiPath, { readonly skipAuth?: boolean; readonly timeoutMs?: number }>>
  >
  readonly log?: Partial<LogConfig>
  /** Default: one process. More of them need a key store on disk. */
  readonly workers?: number
  readonly keys?: readonly string[]
  /** Default: `reserved`, as the config file has it. */
  readonly erasedNames?: 'reserved' | 'free'
  /** Default: none. */
  readonly waitingPeriodMs?: number
  /** Default: the system's. */
  readonly clocks?: Clocks
  /** PEM certificates of authorities; given, even if empty, client certificates are verified. */
  readonly clientCas?: readonly string[]
  /** `tls.proxy`. Default: none. */
  readonly proxies?: { readonly identities: readonly string[]; readonly header?: string }
  /** Default: the identity of {@link TestServer.admin}. */
  readonly adminIdentity?: string
  /** Default: P-256. */
  readonly serverKey?: KeyType
  /** Default: none. Given, it listens on a free port. */
  readonly console?: Partial<ConsoleConfig>
}

export interface RequestOptions {
  /** A string or bytes as they are, an object as JSON, an array of bytes in chunks and without a length. */
  readonly body?: string | Buffer | readonly Buffer[] | Readonly<Record<string, unknown>> | undefined
  readonly headers?: OutgoingHttpHeaders
  /** Default: `h2`. */
  readonly protocol?: Protocol
  /** Default: the admin. Null: no certificate. */
  readonly as?: Credentials | null
}

/** A line of a log, parsed. */
export interface LogLine {
  readonly level: string
  readonly time: string
  readonly msg: string
  readonly req?: {
    readonly method: string
    readonly path: string
    readonly ip: string
    readonly identity: string
    readonly proxy?: string
  }
  readonly res?: { readonly code: number; readonly time: string }
}

export interface TestServer extends AsyncDisposable {
  readonly url: string
  /** Empty without a console. */
  readonly consoleUrl: string
  readonly port: number
  readonly admin: Credentials
  readonly apiKey: ApiKey
  /** PEM of the authority of the server's certificate. */
  readonly ca: string
  /** Bytes that must not show up in a log. What requests and replies carried is watched anyway. */
  readonly secrets: Secrets
  errorLog(): LogLine[]
  auditLog(): LogLine[]
  /** All that the server wrote so far. */
  written(): string
  /** On a connection that is kept for the next request of the same caller and protocol. */
  request(method: string, path: string, options?: RequestOptions): Promise<Reply>
  /** A connection of its own, after the handshake. */
  connect(options?: ConnectionOptions & { readonly as?: Credentials | null }): Promise<TLSSocket>
  /** Stops the server; then nothing secret may stand in its logs. */
  stop(): Promise<void>
}

/** @throws an error on disposal if a secret was written to a log. */
export async function startTestServer(options: TestServerOptions = {}): Promise<TestServer> {
  const admin = await clientOf('admin')
  const credentials = await serverOf(options.serverKey)
  const { certificate: ca } = await authorityOf('servers')
  const isOfFiles = options.clientCas !== undefined || options.proxies !== undefined
  const folder = isOfFiles ? mkdtempSync(join(tmpdir(), 'latchkey-tls-')) : undefined
  const config = configOf(
    options,
    options.adminIdentity ?? admin.identity,
    tlsOf(options, credentials, folder),
  )
  const errorLines: string[] = []
  const auditLines: string[] = []
  const server = await startServer({
    config,
    errorOutput: { write: (line) => errorLines.push(line) },
    auditOutput: { write: (line) => auditLines.push(line) },
    ...(options.clocks === undefined ? {} : { clocks: options.clocks }),
  })
  const { port } = server.address
  const secrets = new Secrets()
  const connections = new Map<string, Connection>()
  let stopping: Promise<void> | undefined

  function tlsOptions(as: Credentials | null = admin): ConnectionOptions {
    const certificate = as === null ? {} : { key: as.key, cert: as.cert }
    return { host: '127.0.0.1', port, ca: ca.toString(), ...certificate }
  }

  function connectionOf(protocol: Protocol, as: Credentials | null): Connection {
    const id = `${protocol} ${as === null ? '' : as.cert}`
    const connection = connections.get(id) ?? openConnection(protocol, tlsOptions(as))
    connections.set(id, connection)
    return connection
  }

  async function stop(): Promise<void> {
    for (const connection of connections.values()) connection.close()
    await server.stop()
    if (folder !== undefined) rmSync(folder, { recursive: true })
    const [leak] = secrets.findIn(written())
    if (leak !== undefined) throw new Error(`a secret was written to a log: ${JSON.stringify(leak)}`)
  }

  function written(): string {
    return [...errorLines, ...auditLines].join('')
  }

  const running: TestServer = {
    url: server.url,
    consoleUrl: server.consoleUrl ?? '',
    port,
    admin,
    apiKey: ApiKey.fromPrivateKey(keyPairOf('admin').privateKey),
    ca: ca.toString(),
    secrets,
    errorLog: () => errorLines.map(parseLine),
    auditLog: () => auditLines.map(parseLine),
    written,
    async request(method, path, { body, headers = {}, protocol = 'h2', as = admin } = {}) {
      const bytes = encodeBody(body)
      for (const chunk of bytes === undefined ? [] : [bytes].flat()) secrets.addBody(chunk)
      const reply = await connectionOf(protocol, as).send({ method, path, headers, body: bytes })
      secrets.addReply(reply.rawBody)
      return reply
    },
    connect: ({ as, ...overrides } = {}) => connectSocket({ ...tlsOptions(as), ...overrides }),
    stop() {
      stopping ??= stop()
      return stopping
    },
    [Symbol.asyncDispose]: () => running.stop(),
  }
  return running
}

function parseLine(line: string): LogLine {
  return JSON.parse(line)
}

function encodeBody(body: RequestOptions['body']): Buffer | readonly Buffer[] | undefined {
  if (body === undefined || Buffer.isBuffer(body)) return body
  if (typeof body === 'string') return Buffer.from(body)
  return Array.isArray(body) ? body : Buffer.from(JSON.stringify(body))
}

function tlsOf(
  { clientCas, proxies }: TestServerOptions,
  credentials: Credentials,
  folder: string | undefined,
): ServerConfig['tls'] {
  if (folder === undefined) {
    const { key, cert } = credentials
    return { made: { keyPem: key, certPem: cert } }
  }
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 })
    return join(folder, name)
  }
  return {
    keyFile: file(
      'server.key',
      createPrivateKey(credentials.key).export({ type: 'pkcs8', format: 'pem' }).toString(),
    ),
    certFile: file('server.crt', credentials.cert),
    password: undefined,
    auth: clientCas !== undefined,
    caPath: clientCas?.length ? file('client-cas.crt', clientCas.join('')) : undefined,
    proxy: { identities: proxies?.identities ?? [], certHeader: proxies?.header },
  }
}

const CONSOLE: ConsoleConfig = {
  address: { host: '127.0.0.1', port: 0 },
  origin: undefined,
  tls: false,
  sandbox: false,
  node: undefined,
}

function configOf(options: TestServerOptions, adminIdentity: string, tls: ServerConfig['tls']): ServerConfig {
  const { policies = {}, api = {}, keys = [] } = options
  return {
    version: 'v1',
    address: { host: '127.0.0.1', port: 0 },
    workers: options.workers,
    adminIdentity,
    adminIsDisabled: !/^[0-9a-f]{64}$/.test(adminIdentity),
    tls,
    api: new Map(
      Object.entries(api).map(([path, { skipAuth = false, timeoutMs }]) => [
        path as ApiPath,
        { skipAuth, timeoutMs },
      ]),
    ),
    policies: Object.entries(policies).map(([name, { allow = [], deny = [], identities = [] }]) => ({
      name: parsePolicyName(name),
      allow,
      deny,
      identities: identities.map(normalizeIdentity),
    })),
    cache: DEFAULT_CACHE,
    log: { ...DEFAULT_LOG, ...options.log },
    keys: keys.map(parseKeyName),
    keysOptions: {
      erasedNames: options.erasedNames ?? 'reserved',
      waitingPeriodMs: options.waitingPeriodMs ?? 0,
    },
    keystore: options.keystore ?? { type: 'memory' },
    console: options.console && { ...CONSOLE, ...options.console },
  }
}

function connectSocket(options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => {
      socket.off('error', reject)
      socket.on('error', () => {}) // A server that closes is what some tests wait for.
      resolve(socket)
    })
    socket.once('error', reject)
  })
}
