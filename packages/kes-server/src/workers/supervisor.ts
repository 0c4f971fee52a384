/**
 * The supervisor: has the store, writes to it, accepts the connections, and keeps the workers that serve them.
 *
 * Workers read the store and use its keys. What changes it is run here, so that there is one writer, one journal and
 * one process that removes erased keys from the disk. docs/lock-protocol.md has the argument why a change
 * holds in every worker when it is answered.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Core } from '../core.ts'
import type { Api, Call, LogName, Reply, Services } from '../http/routes.ts'
import type { KeyUse } from '../keyring/last-uses.ts'
import type { RootHolders } from '../keyring/seal-admin.ts'
import { Broadcast, type LogStream } from '../log/broadcast.ts'
import type { ErrorLog } from '../log/error-log.ts'
import { messageOf } from '../message-of.ts'
import { countsOf, type Metrics, sumOf, type Usage } from '../metrics/metrics.ts'
import type { ServerTally } from '../metrics/server-tally.ts'
import { type Seal, wipeReadingKeys } from '../seal/seal.ts'
import { BodySeal } from './body-seal.ts'
import type { OutputName, PlainCall, WorkerSettings, WorkerStart } from './calls.ts'
import { type Hub, whenWritable } from './hub.ts'
import { splitLines } from './lines.ts'
import { SharedRun } from './shared-run.ts'
import { WorkerProcess } from './worker-process.ts'

/** A worker that dies younger than this counts as one that can't live. */
const YOUNG_MS = 10_000
const RESTART_DELAYS_MS = [0, 100, 500, 1000, 2000, 5000] as const
/** One worker that hangs must not hold up what another one's client has asked for. */
const PATIENCE_MS = 500
/** How soon workers hear that the audit file takes no lines, or takes them again. */
const AUDIT_WATCH_MS = 100
/** Beyond the time that running requests have. */
const STOP_GRACE_MS = 2_000
/** Connections that wait while no worker serves. */
const UNSERVED_MAX = 1024

/** Makes the first message to a worker, but for what the supervisor adds itself. */
export type MakeStart = () => Omit<WorkerStart, 'bodyKey'>

export interface SupervisorOptions {
  readonly metrics: Metrics
  readonly tally: ServerTally
  /** Writes whole lines to stderr or stdout. */
  readonly write: (output: OutputName, lines: string) => void
}

export class Supervisor implements Hub {
  readonly #options: SupervisorOptions
  readonly #workers = new Set<WorkerProcess>()
  readonly #serving = new Set<WorkerProcess>()
  readonly #followers: Record<LogName, Set<WorkerProcess>> = { audit: new Set(), error: new Set() }
  /** Those of this process, which has no clients but the console's. */
  readonly #readers: Record<LogName, Broadcast>
  readonly #listeners: (() => void)[] = []
  readonly #unserved: Socket[] = []
  readonly #server: Server
  readonly #usage = new SharedRun(() => this.#gatherUsage())
  readonly #uses = new SharedRun(() => this.#askForUses())
  #core: Core | undefined
  #apiByPath: ReadonlyMap<string, Api> = new Map()
  #errorLog: ErrorLog | undefined
  readonly #bodies = BodySeal.generate()
  #start: MakeStart | undefined
  /** Counts of the dead. */
  #past: Usage | undefined
  #youngDeaths = 0
  #isStopping = false
  /** Whether the audit file takes lines, as the workers know it. */
  #isAccepting = true

  constructor(options: SupervisorOptions) {
    this.#options = options
    const { metrics } = options
    this.#readers = {
      audit: new Broadcast(() => metrics.auditEventSent()),
      error: new Broadcast(() => metrics.errorEventSent()),
    }
    this.#server = createServer({ pauseOnConnect: true }, (connection) => this.#give(connection))
  }

  /** The listening socket. */
  get server(): Server {
    return this.#server
  }

  /** Starts the processes, which takes them a while, and leaves them waiting for {@link Supervisor.serve}. */
  spawn(count: number): void {
    for (let made = 0; made < count; made += 1) this.#spawn()
  }

  /**
   * Lets all workers begin.
   *
   * @param apis - what workers may ask this process to do, among them.
   * @param start - makes the first message to a worker, with keys that are wiped when it is sent.
   * @throws what keeps a worker from serving.
   */
  async serve(core: Core, apis: readonly Api[], errorLog: ErrorLog, start: MakeStart): Promise<void> {
    this.#core = core
    this.#apiByPath = new Map(apis.map((api) => [api.path, api]))
    if (core.auditWriter !== undefined) setInterval(() => this.#watchAudit(), AUDIT_WATCH_MS).unref()
    core.lastUses.onForget((keyId) => {
      for (const worker of this.#workers) worker.noteErasure(keyId)
    })
    this.#errorLog = errorLog
    this.#start = start
    await Promise.all([...this.#workers].map((worker) => this.#begin(worker)))
    for (const worker of this.#workers) this.#watch(worker)
  }

  async #begin(worker: WorkerProcess): Promise<void> {
    if (this.#start === undefined) throw new Error('a worker can not begin before the store is open')
    const start = this.#start()
    const bodyKey = this.#bodies.exportKey()
    const isStarted = worker.start({ ...start, bodyKey })
    for (const keys of start.keys) wipeReadingKeys(keys)
    bodyKey.fill(0)
    await isStarted
    this.#serving.add(worker)
    this.#options.tally.workers = this.#serving.size
    // Ahead of the first connection.
    worker.peer.tell('setAccepting', [this.#isAccepting])
    for (const log of ['audit', 'error'] as const) worker.peer.tell('setWanted', [log, this.#isWanted(log)])
    for (const connection of this.#unserved.splice(0)) this.#give(connection)
  }

  #spawn(): WorkerProcess {
    const worker = new WorkerProcess((self) => ({
      change: async (path, call) => this.#changeFor(path, call),
      barrier: () => this.barrier(),
      usage: () => this.usage(),
      gatherUses: () => this.#gatherUsesFor(self),
      noteUses: (uses) => this.#noteUses(self, uses),
      follow: (log) => this.#follow(self, log),
      unfollow: (log) => this.#unfollow(self, log),
      appendAudit: (lines) => this.#appendAudit(lines),
      publish: (log, lines) => this.#deliver(log, lines),
      write: this.#options.write,
    }))
    this.#workers.add(worker)
    void worker.ended.then(() => this.#remove(worker))
    return worker
  }

  #remove(worker: WorkerProcess): void {
    this.#workers.delete(worker)
    this.#serving.delete(worker)
    this.#options.tally.workers = this.#serving.size
    for (const log of ['audit', 'error'] as const) this.#unfollow(worker, log)
    const last = worker.lastUsage === undefined ? [] : [countsOf(worker.lastUsage)]
    this.#past = this.#past === undefined ? last[0] : sumOf([this.#past, ...last])
    for (const connection of worker.takeBack()) this.#give(connection)
  }

  #watch(worker: WorkerProcess): void {
    void worker.ended.then((how) => this.#replace(worker, `has ended (${how})`))
  }

  async #replace(dead: WorkerProcess, why: string): Promise<void> {
    if (this.#isStopping) return
    this.#options.tally.workerDeaths += 1
    this.#youngDeaths = performance.now() - dead.startedMs < YOUNG_MS ? this.#youngDeaths + 1 : 0
    const delayMs = RESTART_DELAYS_MS[Math.min(this.#youngDeaths, RESTART_DELAYS_MS.length - 1)] ?? 0
    const pause = delayMs === 0 ? '' : ` after ${delayMs} ms, because the last ones died young`
    const printed = dead.printed === '' ? '' : `: ${dead.printed}`
    this.#errorLog?.error(`worker process ${dead.pid} ${why} and is replaced${pause}${printed}`)
    await delay(delayMs)
    if (this.#isStopping) return
    const worker = this.#spawn()
    try {
      await this.#begin(worker)
      this.#watch(worker)
    } catch (error) {
      worker.kill()
      await this.#replace(worker, `could not begin (${messageOf(error)})`)
    }
  }

  /** To the worker with the fewest, because a connection lasts. */
  #give(connection: Socket): void {
    connection.on('error', () => undefined) // The worker will notice, too.
    let best: WorkerProcess | undefined
    for (const worker of this.#serving) {
      if (best === undefined || worker.connections < best.connections) best = worker
    }
    if (best !== undefined) best.give(connection)
    else if (this.#unserved.length < UNSERVED_MAX && !this.#isStopping) this.#unserved.push(connection)
    else connection.destroy()
  }

  change(services: Services, api: Api, call: Call): Reply | Promise<Reply> {
    return this.#change(services, api, call)
  }

  #changeFor(path: string, { query, body, withinMs, ...rest }: PlainCall): Reply | Promise<Reply> {
    const api = this.#apiByPath.get(path)
    if (api === undefined || this.#core === undefined)
      throw new Error(`no API changes the store at '${path}'`)
    const latestMs = performance.now() + withinMs
    const call = { ...rest, query: new URLSearchParams(query), body: undefined, latestMs }
    return this.#change(this.#core.services, api, call, () => body && this.#bodies.open(body))
  }

  /** @param openBody - called when the call is made, of one whose body waits under its seal. */
  #change(
    services: Services,
    api: Api,
    call: Call,
    openBody: () => Buffer | undefined = () => call.body,
  ): Reply | Promise<Reply> {
    return api.change === 'nothing'
      ? api.run(services, { ...call, body: openBody() })
      : this.#changeStore(services, api, call, openBody)
  }

  /**
   * The barrier comes after every restriction, whether it changed anything, or failed: the key may be locked already
   * by a call that still waits for its own barrier, and a commit that reports an error may have happened.
   */
  async #changeStore(
    services: Services,
    api: Api,
    call: Call,
    openBody: () => Buffer | undefined,
  ): Promise<Reply> {
    try {
      await whenWritable(services, api, call)
      return await api.run(services, { ...call, body: openBody() })
    } finally {
      if (api.change === 'restricts') await this.barrier()
      else this.#announce()
    }
  }

  async barrier(): Promise<void> {
    for (const listener of this.#listeners) listener()
    const isHeldUp = () => this.#core?.auditWriter?.isSlow === true
    const startedMs = performance.now()
    await Promise.all([...this.#workers].map((worker) => worker.acknowledge(isHeldUp)))
    this.#options.tally.barriers += 1
    this.#options.tally.barrierSeconds += (performance.now() - startedMs) / 1000
  }

  #announce(): void {
    for (const listener of this.#listeners) listener()
    for (const worker of this.#serving) worker.peer.tell('changed', [])
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** This process serves nobody. */
  beforeAcknowledging(): void {}

  usage(): Promise<Usage> {
    return this.#usage.run()
  }

  async #gatherUsage(): Promise<Usage> {
    const past = this.#past === undefined ? [] : [this.#past] // Of those who die meanwhile, below.
    const usages = await Promise.all([...this.#serving].map((worker) => worker.usage(PATIENCE_MS)))
    return sumOf([this.#options.metrics.usage(), ...past, ...usages.filter((usage) => usage !== undefined)])
  }

  gatherUses(): Promise<void> {
    return this.#uses.run()
  }

  async #askForUses(): Promise<void> {
    const asked = [...this.#serving].map(async (worker) => {
      this.#noteUses(worker, await worker.askForUses())
    })
    // What one that ends meanwhile has not told is lost, as when a server is killed.
    await settledWithin(PATIENCE_MS, asked)
  }

  async #gatherUsesFor(worker: WorkerProcess): Promise<KeyUse[]> {
    await this.gatherUses()
    return worker.takeUntoldUses()
  }

  #noteUses(from: WorkerProcess, uses: readonly KeyUse[]): void {
    const news = this.#core?.lastUses.add(uses) ?? []
    for (const worker of this.#workers) {
      if (worker !== from) for (const [keyId, usedMs] of news) worker.noteUse(keyId, usedMs)
    }
  }

  async #follow(worker: WorkerProcess, log: LogName): Promise<void> {
    this.#followers[log].add(worker)
    await this.#tellWanted(log)
  }

  #unfollow(worker: WorkerProcess, log: LogName): void {
    if (this.#followers[log].delete(worker) && !this.#isWanted(log)) void this.#tellWanted(log)
  }

  async #tellWanted(log: LogName): Promise<void> {
    const isWanted = this.#isWanted(log)
    // One that ends meanwhile has nothing more to say, and one that hangs neither.
    await settledWithin(
      PATIENCE_MS,
      [...this.#serving].map(({ peer }) => peer.remote.setWanted(log, isWanted)),
    )
  }

  #isWanted(log: LogName): boolean {
    return this.#followers[log].size > 0 || this.#readers[log].isWanted
  }

  #deliver(log: LogName, lines: string): void {
    for (const { peer } of this.#followers[log]) peer.tell('deliver', [log, lines])
    if (this.#readers[log].isWanted) for (const line of splitLines(lines)) this.#readers[log].send(line)
  }

  #appendAudit(lines: readonly string[]): Promise<void> {
    const writer = this.#core?.auditWriter
    return writer === undefined ? Promise.reject(new Error('there is no audit file')) : writer.append(lines)
  }

  #watchAudit(): void {
    const isAccepting = this.#core?.auditWriter?.isAccepting !== false
    if (isAccepting === this.#isAccepting) return
    this.#isAccepting = isAccepting
    for (const { peer } of this.#serving) peer.tell('setAccepting', [isAccepting])
  }

  /** Those who unseal keys: this process, and all workers. */
  readonly holdersOf = (seal: Seal): RootHolders => ({
    learn: async (generation, rootKey) => {
      seal.learn(generation, rootKey)
      await this.#insist((worker) => {
        const keys = seal.exportReadingKeys(generation)
        const isTold = worker.learnRoot(keys)
        wipeReadingKeys(keys)
        return isTold
      })
    },
    forget: async (generation) => {
      seal.forget(generation)
      await this.#insist((worker) => worker.forgetRoot(generation))
    },
  })

  async #insist(tell: Parameters<WorkerProcess['insist']>[0]): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.insist(tell)))
  }

  /** Fulfilled when every worker works by these settings. Those that begin later get them by their first message. */
  reload(settings: WorkerSettings): Promise<void> {
    return this.#insist((worker) => worker.reload(settings))
  }

  /** A log, to whoever follows it: what this process says in it itself, and for its own readers all of it. */
  streamOf(log: LogName): LogStream {
    const readers = this.#readers[log]
    const isWanted = () => this.#isWanted(log)
    return {
      get isWanted() {
        return isWanted()
      },
      send: (line) => this.#deliver(log, line),
      open: async (reader) => {
        await readers.open(reader)
        reader.on('close', () => {
          if (!this.#isWanted(log)) void this.#tellWanted(log)
        })
        await this.#tellWanted(log)
      },
      add: (reader) => readers.add(reader),
      close: () => readers.close(),
    }
  }

  /** Accepts no connection more, lets the workers end what runs, and waits for their end. */
  async stop(timeoutMs: number): Promise<void> {
    this.#isStopping = true
    this.#server.close()
    for (const connection of this.#unserved.splice(0)) connection.destroy()
    await Promise.all(
      [...this.#workers].map((worker) => {
        for (const connection of worker.takeBack()) connection.destroy()
        return worker.stop(timeoutMs + STOP_GRACE_MS)
      }),
    )
  }

  /** Listens no more, and ends all workers at once. */
  async kill(): Promise<void> {
    this.#isStopping = true
    this.#server.close()
    for (const worker of this.#workers) worker.kill()
    await Promise.all([...this.#workers].map(({ ended }) => ended))
  }
}

/** Fulfilled when all have ended, one way or the other, or after that time. */
async function settledWithin(timeoutMs: number, promises: readonly Promise<unknown>[]): Promise<void> {
  const timer = Promise.withResolvers<void>()
  const timeout = setTimeout(timer.resolve, timeoutMs)
  await Promise.race([Promise.allSettled(promises), timer.promise])
  clearTimeout(timeout)
}
