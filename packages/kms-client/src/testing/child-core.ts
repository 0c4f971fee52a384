/** A {@link Core} in a process of its own, so that it runs on while the test's own event loop is busy. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Core, CoreOptions } from './core.ts'
import type { FaultOptions } from './fault-options.ts'
import type { FaultInfo } from './fault-set.ts'
import type { KeyServerCredentials } from './key-server.ts'
import type { RequestFilter } from './matching.ts'
import type { RecordedRequest } from './request-log.ts'

const PROGRAM = new URL('./child.js', import.meta.url)
/** Megabytes for new objects, from the start: with less, V8 looks for dead ones many times while modules are loaded. */
const ROOM = '--min-semi-space-size=16'

/** What the methods of a core are called with from here. */
export type CoreCall = Exclude<keyof Core, 'port' | 'serverPort'>

export interface CallMessage {
  readonly id: number
  readonly call: 'start' | CoreCall
  readonly args: readonly unknown[]
}

export type ReplyMessage =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly problem: string }

export interface WaitingChild {
  /** @throws Error with the words of the server if it does not start. */
  start(options: CoreOptions): Promise<ChildCore>
  /** Resolves when the process has ended. */
  end(): Promise<void>
}

export class ChildCore implements Core {
  readonly #channel: Channel
  readonly port: number
  readonly serverPort: number

  private constructor(channel: Channel, ports: Pick<Core, 'port' | 'serverPort'>) {
    this.#channel = channel
    this.port = ports.port
    this.serverPort = ports.serverPort
  }

  /** Begins to start the process, which takes it a while, and leaves it waiting for what to serve. */
  static spawn(): WaitingChild {
    const channel = new Channel(
      fork(PROGRAM, [], { execArgv: [ROOM], stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }),
    )
    return {
      async start(options) {
        return new ChildCore(channel, await channel.call<Pick<Core, 'port' | 'serverPort'>>('start', options))
      },
      end: () => channel.end(),
    }
  }

  addFault(fault: FaultOptions): Promise<number> {
    return this.#channel.call('addFault', fault)
  }

  clearFault(id: number): Promise<void> {
    return this.#channel.call('clearFault', id)
  }

  clearFaults(): Promise<void> {
    return this.#channel.call('clearFaults')
  }

  listFaults(): Promise<FaultInfo[]> {
    return this.#channel.call('listFaults')
  }

  listRequests(filter: RequestFilter): Promise<RecordedRequest[]> {
    return this.#channel.call('listRequests', filter)
  }

  clearRequests(): Promise<void> {
    return this.#channel.call('clearRequests')
  }

  restart(): Promise<void> {
    return this.#channel.call('restart')
  }

  replaceCredentials(credentials: KeyServerCredentials): Promise<void> {
    return this.#channel.call('replaceCredentials', credentials)
  }

  /** Resolves when the process has ended. */
  async stop(): Promise<void> {
    if (this.#channel.isOpen) await this.#channel.call('stop')
    await this.#channel.end()
  }
}

/** Calls and replies over the IPC channel of a child process. */
class Channel {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #lastId = 0

  constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (message) => this.#settle(message as ReplyMessage))
    child.on('error', (error) => this.#failAll(error))
    child.on('exit', (code, signal) => {
      this.#failAll(new Error(`the server's process has ended with ${code ?? signal}`))
    })
  }

  get isOpen(): boolean {
    return this.#child.connected
  }

  async call<Result>(call: CallMessage['call'], ...args: readonly unknown[]): Promise<Result> {
    this.#lastId += 1
    const message: CallMessage = { id: this.#lastId, call, args }
    const waiting = Promise.withResolvers<unknown>()
    this.#waiting.set(message.id, waiting)
    this.#child.send(message, (error) => {
      if (error !== null) this.#failAll(error)
    })
    // The other side is this package's own child-server.ts, which runs the method of this name.
    return (await waiting.promise) as Result
  }

  /** The process ends when its channel does. */
  async end(): Promise<void> {
    const { exitCode, signalCode, pid } = this.#child
    if (exitCode !== null || signalCode !== null || pid === undefined) return
    const exited = new Promise((resolve) => this.#child.once('exit', resolve))
    if (this.#child.connected) this.#child.disconnect()
    await exited
  }

  #settle(reply: ReplyMessage): void {
    const waiting = this.#waiting.get(reply.id)
    this.#waiting.delete(reply.id)
    if ('problem' in reply) waiting?.reject(new Error(reply.problem))
    else waiting?.resolve(reply.result)
  }

  #failAll(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
