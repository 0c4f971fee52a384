/** Key server and storage node as a visitor has them: the real programs, each a process of its own, on one folder. */
import { BlockList, isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { KesClient } from '@latchkey/kms-client'
import { type DevelopmentCertificates, makeCertificates } from '../../../../certs/make-certs.ts'
import { ChildProgram, ProgramEndedError } from './child-program.ts'
import { type ClientSettings, curlConfig, shellEnvironment } from './client-files.ts'
import { consoleVariables, keyServerConfig } from './key-server-config.ts'
import { choosePorts, hasFoundAddressTaken } from './ports.ts'
import { KES, NODE } from './programs.ts'
import { type Identity, SandboxFolder } from './sandbox-folder.ts'

export const USUAL_PORTS = { keyServer: 7373, console: 9001, node: 9000 } as const
/** The node's own: its settings lie encrypted under it, and objects whose request names no key. */
export const DEFAULT_KEY = 'sandbox-default'
const ACCESS_KEY = 'sandbox'
/** Another program may take a port between our look at it and the start of ours. */
const ATTEMPTS_MAX = 4
const UNSPECIFIED = ['0.0.0.0', '::']
const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')

export interface SandboxOptions {
  readonly folder: string
  /** Remove what the folder holds. */
  readonly isReset?: boolean
  /** Where the certificates are, or are made. */
  readonly certificates: string
  /** An IP address. */
  readonly host: string
  /** Without a word, the usual ones or the next free. */
  readonly ports: Readonly<Partial<Record<keyof typeof USUAL_PORTS, number>>>
  /** The storage node does not start before the visitor has enabled this key, in the console or on a command line. */
  readonly onLockedKey: (key: string, how: Pick<SandboxFacts, 'environmentFile' | 'console'>) => void
  /** Ends a start; a sandbox that runs is stopped. */
  readonly signal: AbortSignal
}

/** What a visitor is told; it has no secrets. Paths are absolute. */
export interface SandboxFacts {
  readonly folder: string
  /** URLs. */
  readonly keyServer: string
  readonly console: string
  readonly node: string
  readonly caFile: string
  /** A shell reads it. */
  readonly environmentFile: string
  /** A config of curl, for requests of S3. */
  readonly curlFile: string
  readonly root: {
    readonly identity: string
    readonly isNew: boolean
    readonly apiKeyFile: string
    readonly keyFile: string
    readonly certificateFile: string
  }
  readonly nodeIdentity: string
  readonly accessKey: string
  readonly secretKeyFile: string
  readonly defaultKey: string
  /** Of the processes. */
  readonly pids: { readonly keyServer: number; readonly node: number }
  /** Milliseconds of each part of the start. */
  readonly timings: Readonly<Record<'files' | 'keyServer' | 'node', number>>
}

export interface Sandbox extends AsyncDisposable {
  readonly facts: SandboxFacts
  /** The secrets, to be shown once. */
  readonly apiKey: string
  readonly secretKey: string
  /** Rejects if one of the programs ends by itself; never resolves. */
  readonly failure: Promise<never>
}

/**
 * Resolves once everything serves.
 *
 * @throws Error with one sentence for the visitor, ProgramEndedError, or the signal's reason; nothing is left running.
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  await using running = new AsyncDisposableStack()
  const clock = new Clock()
  const kept = running.use(await openKept(options))
  const filesMs = clock.lap()
  for (let attempt = 1; ; attempt += 1) {
    const ports = await choosePorts(options.host, [
      { wanted: options.ports.keyServer, usual: USUAL_PORTS.keyServer, option: '--port' },
      { wanted: options.ports.console, usual: USUAL_PORTS.console, option: '--console-port' },
      { wanted: options.ports.node, usual: USUAL_PORTS.node, option: '--node-port' },
    ])
    try {
      const sandbox = await startPrograms(kept, ports, filesMs, options)
      const parts = running.move()
      parts.use(sandbox)
      return { ...sandbox, [Symbol.asyncDispose]: () => parts.disposeAsync() }
    } catch (error) {
      const isRepeated = error instanceof ProgramEndedError && hasFoundAddressTaken(error.lastLines)
      if (!isRepeated || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

/** What stays from one start to the next. */
interface Kept extends Disposable {
  readonly folder: SandboxFolder
  readonly certificates: DevelopmentCertificates
  readonly root: Identity
  readonly rootFiles: { readonly key: string; readonly cert: string }
  readonly nodeIdentity: Identity
  readonly secretKey: string
  readonly sealKeyFile: string
}

async function openKept({
  folder: path,
  isReset = false,
  certificates: authority,
  host,
}: SandboxOptions): Promise<Kept> {
  using opened = new DisposableStack()
  const folder = opened.use(SandboxFolder.open(path, { isReset }))
  const certificates = await makeCertificates(authority, { addresses: addressesOf(host) })
  folder.copyCertificates(certificates)
  const root = folder.keepIdentity('root')
  const kept = {
    folder,
    certificates,
    root,
    rootFiles: folder.writeIdentityFiles('root', root),
    nodeIdentity: folder.keepIdentity('node'),
    secretKey: folder.keepSecretKey(),
    sealKeyFile: folder.keepSealKey(),
  }
  const stack = opened.move()
  return { ...kept, [Symbol.dispose]: () => stack.dispose() }
}

async function startPrograms(
  kept: Kept,
  ports: readonly number[],
  filesMs: number,
  { host, signal, onLockedKey }: SandboxOptions,
): Promise<Sandbox> {
  const { folder, certificates, root, nodeIdentity, secretKey } = kept
  await using running = new AsyncDisposableStack()
  const clock = new Clock()
  const [keyServerAddress = '', consoleAddress = '', nodeAddress = ''] = ports.map((port) =>
    formatAddress(host, port),
  )
  const [shownKeyServer = '', shownConsole = '', shownNode = ''] = ports.map((port) =>
    formatAddress(shownHost(host), port),
  )
  const keyServer = `https://${shownKeyServer}`
  const node = `https://${shownNode}`
  const consoleUrl = `${isLoopback(host) ? 'http' : 'https'}://${shownConsole}`
  const clients = {
    keyServer,
    node,
    caFile: certificates.caCertificate,
    apiKey: root.apiKey.toString(),
    accessKey: ACCESS_KEY,
    secretKey,
  }
  const environmentFile = folder.writeClientFile('env', shellEnvironment(clients))
  const curlFile = folder.writeClientFile('curl', curlConfig(clients))
  const config = folder.writeConfig(
    keyServerConfig({
      address: keyServerAddress,
      rootIdentity: root.apiKey.identity,
      nodeIdentity: nodeIdentity.apiKey.identity,
      console: { address: consoleAddress, origin: consoleUrl },
      node,
      files: {
        ca: certificates.caCertificate,
        tlsKey: certificates.serverKey,
        tlsCert: certificates.serverCertificate,
        store: folder.pathOf('keys.db'),
        sealKey: kept.sealKeyFile,
      },
    }),
  )
  const kes = running.use(
    await ChildProgram.start({
      name: 'the key server',
      main: KES,
      args: ['server', '--config', config],
      env: consoleVariables(ACCESS_KEY, secretKey),
      logFile: folder.pathOf('logs', 'key-server.log'),
      isReady: (stdout) => stdout.includes('Server is up and running'),
      signal,
    }),
  )
  const keyServerMs = clock.lap()
  // Without the key server, a node would wait for it.
  const keyServerEnd = new AbortController()
  kes.failure.catch((error: unknown) => keyServerEnd.abort(error))
  const signalOrEnd = AbortSignal.any([signal, keyServerEnd.signal])

  try {
    await untilUsable(DEFAULT_KEY, { ...clients, signal: signalOrEnd }, () =>
      onLockedKey(DEFAULT_KEY, { environmentFile, console: consoleUrl }),
    )
  } catch (error) {
    throw signal.aborted ? error : await kes.explain(error)
  }
  clock.lap()
  const storage = running.use(
    await ChildProgram.start({
      name: 'the storage node',
      main: NODE,
      args: [
        ...['server', folder.pathOf('node'), '--address', nodeAddress],
        ...['--certs-dir', folder.pathOf('node-certs'), '--json'],
      ],
      env: {
        MINIO_KMS_KES_ENDPOINT: keyServer,
        MINIO_KMS_KES_API_KEY: nodeIdentity.apiKey.toString(),
        MINIO_KMS_KES_CAPATH: certificates.caCertificate,
        MINIO_KMS_KES_KEY_NAME: DEFAULT_KEY,
        MINIO_ROOT_USER: ACCESS_KEY,
        MINIO_ROOT_PASSWORD: secretKey,
      },
      logFile: folder.pathOf('logs', 'node.log'),
      isReady: (stdout) => stdout.includes('\n'),
      signal: signalOrEnd,
    }),
  )

  const programs = running.move()
  return {
    facts: {
      folder: folder.path,
      keyServer,
      console: consoleUrl,
      node,
      caFile: certificates.caCertificate,
      environmentFile,
      curlFile,
      root: {
        identity: root.apiKey.identity,
        isNew: root.isNew,
        apiKeyFile: root.apiKeyFile,
        keyFile: kept.rootFiles.key,
        certificateFile: kept.rootFiles.cert,
      },
      nodeIdentity: nodeIdentity.apiKey.identity,
      accessKey: ACCESS_KEY,
      secretKeyFile: folder.pathOf('s3.secret-key'),
      defaultKey: DEFAULT_KEY,
      pids: { keyServer: kes.pid, node: storage.pid },
      timings: { files: filesMs, keyServer: keyServerMs, node: clock.lap() },
    },
    apiKey: root.apiKey.toString(),
    secretKey,
    failure: Promise.race([kes.failure, storage.failure]),
    [Symbol.asyncDispose]: () => programs.disposeAsync(),
  }
}

/** A node does not start while the key of its own settings is locked, so the visitor must be able to enable it first. */
async function untilUsable(
  key: string,
  { keyServer, caFile, apiKey, signal }: ClientSettings & { readonly signal: AbortSignal },
  onLocked: () => void,
): Promise<void> {
  await using client = new KesClient({ endpoint: keyServer, apiKey, caPath: caFile })
  let isLocked = false
  for await (const event of client.watchKeys(key, { signal })) {
    if (event.event === 'snapshot-end') {
      if (!isLocked) return
      onLocked()
    } else if (event.name === key) {
      isLocked = event.state === 'disabled' || event.state === 'pending'
      if (event.event === 'change' && !isLocked) return
    }
  }
}

function formatAddress(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

export function isLoopback(host: string): boolean {
  return LOOPBACK.check(host, isIPv6(host) ? 'ipv6' : 'ipv4')
}

/** The one of several addresses that is told: to others than this machine, if there is one. */
function shownHost(host: string): string {
  return UNSPECIFIED.includes(host) ? (addressesOf(host)[0] ?? '127.0.0.1') : host
}

/** What the certificate must be good for, beside the loopback's. */
function addressesOf(host: string): string[] {
  if (!UNSPECIFIED.includes(host)) return [host]
  const all = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
  return all.filter(({ internal, family }) => !internal && family === 'IPv4').map(({ address }) => address)
}

/** Laps since the last look at it. */
class Clock {
  #lastMs = performance.now()

  lap(): number {
    const nowMs = performance.now()
    const lapMs = nowMs - this.#lastMs
    this.#lastMs = nowMs
    return lapMs
  }
}
