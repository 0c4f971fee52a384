/** The server under test as a process of its own, so that what it uses is its own alone. */
import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { exitOf, startNode } from '../cleanup.ts'
import { Connector } from '../load/connector.ts'
import { Http1Connection } from '../load/http1-connection.ts'
import type { LoadTarget } from '../load/target.ts'
import { type ProcessUsage, readUsage } from './process-usage.ts'
import type { Workspace } from './workspace.ts'

const PROGRAM = join(import.meta.dirname, 'run-server.ts')
const REFERENCE_PROGRAM = join(import.meta.dirname, 'run-reference.ts')
/** Of `kes` itself: the second start and all after it take as long as those of `kes server`. */
const COMPILE_CACHE = join(import.meta.dirname, '../../packages/kes-server/node_modules/.cache/compile')
const START_TIMEOUT_MS = 30_000

export class ServerProcess implements AsyncDisposable {
  readonly pid: number
  readonly url: string
  readonly target: LoadTarget
  /** From the start of the process to its first answer, with the handshake for it. */
  readonly readyMs: number
  readonly #child: ChildProcess

  private constructor(child: ChildProcess, pid: number, target: LoadTarget, readyMs: number) {
    this.#child = child
    this.pid = pid
    this.target = target
    this.url = `https://${target.host}:${target.port}`
    this.readyMs = readyMs
  }

  /**
   * @param nodeArgs - options of Node for the server.
   * @throws Error with the server's own words if it does not start.
   */
  static start(workspace: Workspace, nodeArgs: readonly string[] = []): Promise<ServerProcess> {
    return ServerProcess.#run(PROGRAM, workspace, nodeArgs)
  }

  /** Node alone, in the place of the server. */
  static startReference(workspace: Workspace): Promise<ServerProcess> {
    return ServerProcess.#run(REFERENCE_PROGRAM, workspace, [])
  }

  static async #run(
    program: string,
    workspace: Workspace,
    nodeArgs: readonly string[],
  ): Promise<ServerProcess> {
    const log = openSync(workspace.errorLogFile, 'a', 0o600)
    const startedMs = performance.now()
    const child = startNode(
      [...nodeArgs, program, workspace.configFile],
      ['ignore', 'ignore', log, 'ipc'], // stdout, the audit log: /dev/null.
      { NODE_COMPILE_CACHE: COMPILE_CACHE },
    )
    closeSync(log)
    try {
      const { hostname, port } = new URL(await urlOf(child))
      const target = { host: hostname, port: Number(port), caFile: workspace.caFile, ...workspace.admin }
      await firstAnswer(target)
      const readyMs = performance.now() - startedMs
      if (child.pid === undefined) throw new Error('the server has no pid')
      return new ServerProcess(child, child.pid, target, readyMs)
    } catch (cause) {
      child.kill('SIGKILL')
      await exitOf(child)
      throw new Error(`the server did not start: ${workspace.readErrorLog().trim()}`, { cause })
    }
  }

  /** @returns undefined where the kernel does not tell. */
  usage(): ProcessUsage | undefined {
    return readUsage(this.pid)
  }

  /** @throws Error if the server does not end cleanly. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await exitOf(this.#child)
    const { exitCode, signalCode } = this.#child
    if (exitCode !== 0) throw new Error(`the server ended with ${exitCode ?? signalCode}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await exitOf(this.#child)
  }
}

function urlOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`not up after ${START_TIMEOUT_MS} ms`)), START_TIMEOUT_MS)
    child.once('exit', () => {
      clearTimeout(timer)
      reject(new Error('it ended'))
    })
    child.once('error', reject)
    child.once('message', (message: { readonly url: string }) => {
      clearTimeout(timer)
      resolve(message.url)
    })
  })
}

async function firstAnswer(target: LoadTarget): Promise<void> {
  const connection = new Http1Connection(new Connector(target))
  try {
    const { status } = await connection.send({ method: 'GET', path: '/v1/ready' }).reply
    if (status !== 200) throw new Error(`the first request was answered ${status}`)
  } finally {
    connection.destroy()
  }
}
