/** A key server as an operator runs it: a process of its own, started from a folder of files. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { resolve } from 'node:path'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import type { Credentials } from '../sandbox/certificates.ts'
import { type Connection, openConnection, type Protocol, type Reply } from '../sandbox/connection.ts'
import type { Installation } from './installation.ts'

/** Run by Node. */
export const SERVER_PROGRAM = resolve(import.meta.dirname, '../../packages/kes-server/src/main.js')
const UP = '=> Server is up and running...\n'
const UP_TIMEOUT_MS = 30_000

/** Opens SQLite files as the store would, from where the store is. */
export const requireOfServer = createRequire(SERVER_PROGRAM)

export interface Ran {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Beside `PATH`. */
  readonly env?: Readonly<Record<string, string>>
  /** Ends the process so long after its start. */
  readonly killAfterMs?: number
  /** Another program than the server's own. */
  readonly program?: string
  /** Another user, which only root can take. */
  readonly uid?: number
}

function spawnKes(
  args: readonly string[],
  { uid, env = {}, killAfterMs, program = SERVER_PROGRAM }: RunOptions,
): ChildProcess {
  const child = spawn(process.execPath, [program, ...args], {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  if (killAfterMs !== undefined) setTimeout(() => child.kill('SIGKILL'), killAfterMs)
  return child
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

  static async start(
    installation: Installation,
    args: readonly string[],
    options: RunOptions,
  ): Promise<ServerProcess> {
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

  /** Empty without a console. */
  get consoleUrl(): string {
    return /^Console +· (\S+)$/m.exec(this.stdout)?.[1] ?? ''
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
  async stop(
    signal: NodeJS.Signals = 'SIGTERM',
  ): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
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

  /** Of its worker processes, if it has some. */
  workers(): number[] {
    const text = readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8')
    return text.split(' ').filter(Boolean).map(Number)
  }

  /** Bytes of memory that the processes of the server hold now. */
  memory(): number {
    const kibibytes = [this.pid, ...this.workers()].map((pid) =>
      Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]),
    )
    return kibibytes.reduce((sum, each) => sum + each) * 1024
  }

  fileDescriptors(): number {
    return [this.pid, ...this.workers()].reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0)
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
  readonly req: {
    readonly method: string
    readonly path: string
    readonly ip: string
    readonly identity: string
  }
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

/** Resolves when the connection is closed, in whatever way. */
export function closed(socket: Socket): Promise<void> {
  if (socket.closed) return Promise.resolve()
  return new Promise((resolve) => socket.resume().once('close', () => resolve()))
}

export function isAlive(pid: number): boolean {
  try {
    // One that has ended and was not waited for yet is dead, too.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

/** One that nobody listens on now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
