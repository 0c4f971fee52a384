/** A key server as an operator runs it: a folder with its files, and a process started on them. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { authorityOf, clientOf, type Credentials, serverOf } from '../sandbox/certificates.ts'
import { type Connection, openConnection, type Protocol, type Reply } from '../sandbox/connection.ts'
import { Secrets } from '../sandbox/leaks.ts'

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))))
const MAIN = join(ROOT, 'packages/kes-server/src/main.ts')
const UP = '=> Server is up and running...\n'
const UP_TIMEOUT_MS = 30_000

/** Opens SQLite files as the store would, from where the store is. */
export const requireOfServer = createRequire(MAIN)

export interface Policy {
  readonly allow?: readonly string[]
  readonly deny?: readonly string[]
  readonly identities: readonly string[]
}

export interface InstallationOptions {
  /** Where the folder is made. Default: the system's folder for temporary files. */
  readonly under?: string
  readonly policies?: Readonly<Record<string, Policy>>
  /** As in the config file, such as `1s`. */
  readonly timeouts?: Readonly<Record<string, string>>
  readonly keys?: readonly string[]
}

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Another user, which only root can take. */
  readonly uid?: number
}

/** The files of one server. */
export class Installation implements Disposable {
  readonly folder: string
  readonly configFile: string
  readonly storeFile: string
  readonly keyFile: string
  readonly admin: Credentials
  /** PEM. */
  readonly ca: string
  readonly secrets = new Secrets()

  private constructor(folder: string, admin: Credentials, ca: string) {
    this.folder = folder
    this.admin = admin
    this.ca = ca
    this.configFile = join(folder, 'kes.yml')
    this.storeFile = join(folder, 'data', 'keys.db')
    this.keyFile = join(folder, 'root.key')
  }

  static async make(options: InstallationOptions = {}): Promise<Installation> {
    const admin = await clientOf('admin')
    const server = await serverOf()
    const { certificate } = await authorityOf('servers')
    const folder = mkdtempSync(join(options.under ?? tmpdir(), 'latchkey-process-'))
    const installation = new Installation(folder, admin, certificate.toString())
    const rootKey = randomBytes(32)
    installation.write('server.key', server.key)
    installation.write('server.crt', server.cert)
    installation.write('root.key', rootKey)
    installation.write('kes.yml', configText(installation, options))
    mkdirSync(dirname(installation.storeFile), { mode: 0o700 })
    installation.secrets.addBytes(rootKey)
    installation.secrets.addBody(Buffer.from(server.key))
    return installation
  }

  /** A file of this folder, readable by its owner alone. */
  write(name: string, content: string | Buffer): string {
    const path = join(this.folder, name)
    writeFileSync(path, content, { mode: 0o600 })
    return path
  }

  /** Writes the config file again, with `from` replaced. */
  editConfig(from: string | RegExp, to: string): void {
    const before = readFileSync(this.configFile, 'utf8')
    const after = before.replace(from, to)
    if (after === before) throw new Error(`the config has no ${from}`)
    this.write('kes.yml', after)
  }

  /** The content of the folder: a digest of each file by its name. */
  digests(): Record<string, string> {
    return Object.fromEntries(
      readdirSync(this.folder, { recursive: true, withFileTypes: true })
        .filter((entry) => !entry.isDirectory())
        .map((entry) => join(entry.parentPath, entry.name))
        .map((path) => [relative(this.folder, path), createHash('sha256').update(readFileSync(path)).digest('hex')]),
    )
  }

  /** Permissions of the files of a folder in this one. */
  modes(folder: string): Record<string, number> {
    const path = join(this.folder, folder)
    return Object.fromEntries(readdirSync(path).map((name) => [name, statSync(join(path, name)).mode & 0o777]))
  }

  start(args: readonly string[] = ['--config', this.configFile], options: RunOptions = {}): Promise<ServerProcess> {
    return ServerProcess.start(this, ['server', ...args], options)
  }

  /** Runs `kes server` to its end, as a start that fails does. */
  run(args: readonly string[] = ['--config', this.configFile], options: RunOptions = {}): Promise<Ran> {
    return runKes(['server', ...args], options)
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true })
  }
}

function configText({ storeFile, keyFile, folder, admin }: Installation, options: InstallationOptions): string {
  const { policies = {}, timeouts = {}, keys = [] } = options
  return `${JSON.stringify(
    {
      version: 'v1',
      address: '127.0.0.1:0',
      admin: { identity: admin.identity },
      tls: { key: join(folder, 'server.key'), cert: join(folder, 'server.crt') },
      api: Object.fromEntries(Object.entries(timeouts).map(([path, timeout]) => [path, { timeout }])),
      policy: policies,
      keys: keys.map((name) => ({ name })),
      keystore: { sqlite: { path: storeFile, key_file: keyFile } },
    },
    undefined,
    2,
  )}\n`
}

function spawnKes(args: readonly string[], { env = {}, uid }: RunOptions): ChildProcess & { stdout: object } {
  return spawn(process.execPath, [MAIN, ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
}

export async function runKes(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const child = spawnKes(args, options)
  const output = gather(child)
  const [code, signal] = await once(child, 'close')
  return { code, signal, stdout: output.stdout, stderr: output.stderr }
}

function gather(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text
    })
  }
  return output
}

export interface RequestOptions {
  /** An object is sent as JSON. */
  readonly body?: string | Buffer | Readonly<Record<string, unknown>>
  readonly headers?: Readonly<Record<string, string>>
  /** Default: `h2`. */
  readonly protocol?: Protocol
  /** Default: the admin. Null: no certificate. */
  readonly as?: Credentials | null
}

export class ServerProcess implements AsyncDisposable {
  readonly pid: number
  readonly port: number
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
  readonly #child: ChildProcess
  readonly #output: { readonly stdout: string; readonly stderr: string }
  readonly #installation: Installation
  readonly #connections = new Map<string, Connection>()

  private constructor(
    installation: Installation,
    child: ChildProcess,
    output: { stdout: string; stderr: string },
    port: number,
    ended: ServerProcess['ended'],
  ) {
    if (child.pid === undefined) throw new Error('the process has no pid')
    this.pid = child.pid
    this.port = port
    this.ended = ended
    this.#child = child
    this.#output = output
    this.#installation = installation
  }

  static async start(installation: Installation, args: readonly string[], options: RunOptions): Promise<ServerProcess> {
    const child = spawnKes(args, options)
    const output = gather(child)
    const ended: ServerProcess['ended'] = once(child, 'close').then(([code, signal]) => ({ code, signal }))
    const deadlineMs = performance.now() + UP_TIMEOUT_MS
    let hasEnded = false
    void ended.then(() => {
      hasEnded = true
    })
    while (!output.stdout.includes(UP)) {
      if (hasEnded || performance.now() > deadlineMs) {
        child.kill('SIGKILL')
        throw new Error(`the server did not start:\n${output.stdout}\n${output.stderr}`)
      }
      await sleep(10)
    }
    const port = Number(/^API .*:(\d+)$/m.exec(output.stdout)?.[1])
    return new ServerProcess(installation, child, output, port, ended)
  }

  get stdout(): string {
    return this.#output.stdout
  }

  get stderr(): string {
    return this.#output.stderr
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null
  }

  /** As the end of `kes server | head` does. */
  closeOutput(): void {
    this.#child.stdout?.destroy()
    this.#child.stderr?.destroy()
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Stops the process, and finds secrets in what it wrote. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    this.closeConnections()
    this.kill(signal)
    const end = await this.ended
    const [leak] = this.#installation.secrets.findIn(this.stdout + this.stderr)
    if (leak !== undefined) throw new Error(`a secret was written: ${JSON.stringify(leak)}`)
    return end
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.stop('SIGKILL')
  }

  /** On a connection that is kept for the next request of the same caller and protocol. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Reply> {
    const { body, headers = {}, protocol = 'h2', as = this.#installation.admin } = options
    const bytes = body === undefined || Buffer.isBuffer(body) ? body : encode(body)
    if (bytes !== undefined) this.#installation.secrets.addBody(bytes)
    const id = `${protocol} ${as === null ? '' : as.cert}`
    const connection = this.#connections.get(id) ?? openConnection(protocol, this.tlsOptions(as))
    this.#connections.set(id, connection)
    const reply = await connection.send({ method, path, headers, body: bytes })
    this.#installation.secrets.addReply(reply.rawBody)
    return reply
  }

  closeConnections(): void {
    for (const connection of this.#connections.values()) connection.close()
    this.#connections.clear()
  }

  tlsOptions(as: Credentials | null = this.#installation.admin): ConnectionOptions {
    const certificate = as === null ? {} : { key: as.key, cert: as.cert }
    return { host: '127.0.0.1', port: this.port, ca: this.#installation.ca, ...certificate }
  }

  /** A TLS connection of its own; errors after the handshake are left to the test. */
  connect(options: ConnectionOptions & { readonly as?: Credentials | null } = {}): Promise<TLSSocket> {
    const { as, ...overrides } = options
    const socket = connectTls({ ...this.tlsOptions(as), ...overrides })
    return connected(socket, 'secureConnect')
  }

  /** A TCP connection without TLS. */
  connectTcp(): Promise<Socket> {
    return connected(connectTcp(this.port, '127.0.0.1'), 'connect')
  }

  /** Bytes of memory that the process holds now. */
  memory(): number {
    const text = readFileSync(`/proc/${this.pid}/status`, 'utf8')
    return Number(/^VmRSS:\s+(\d+)/m.exec(text)?.[1]) * 1024
  }

  fileDescriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length
  }

  /** The events of the audit log so far. */
  auditLog(): AuditLine[] {
    return this.stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line))
  }
}

export interface AuditLine {
  readonly msg: string
  readonly req: { readonly method: string; readonly path: string; readonly ip: string; readonly identity: string }
  readonly res: { readonly code: number; readonly time: string }
}

function encode(body: string | Readonly<Record<string, unknown>>): Buffer {
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
}

function connected<S extends Socket>(socket: S, event: string): Promise<S> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once(event, () => {
      socket.off('error', reject)
      socket.on('error', () => {}) // What becomes of the connection is what tests look at.
      resolve(socket)
    })
  })
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
