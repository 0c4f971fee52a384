/** A worker: serves the connections that it is handed, reads the store, and leaves what changes it to the supervisor. */
import { createPublicKey } from 'node:crypto'
import { flushCompileCache } from 'node:module'
import type { Socket } from 'node:net'
import { setImmediate as laterTurn } from 'node:timers/promises'
import { AuditLog } from '../audit/audit-log.ts'
import type { AuditSink } from '../audit/audit-writer.ts'
import { HeldReplies } from '../audit/held-replies.ts'
import { CacheExpiry } from '../cache-expiry.ts'
import { INFO } from '../config/log-level.ts'
import { type App, createApp } from '../http/app.ts'
import type { Api, Call, LogName, Reply, Services } from '../http/routes.ts'
import { Journal } from '../journal/journal.ts'
import { KeyRing } from '../keyring/key-ring.ts'
import type { KeyId, KeyUse } from '../keyring/last-uses.ts'
import { createLogger, ErrorLog } from '../log/error-log.ts'
import { Metrics, type Usage } from '../metrics/metrics.ts'
import { rulesOf } from '../rules.ts'
import { Seal } from '../seal/seal.ts'
import { FsStore } from '../store/fs-store.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { VERSION } from '../version.ts'
import { BodySeal } from './body-seal.ts'
import type { SupervisorCalls, WorkerCalls, WorkerSettings, WorkerStart } from './calls.ts'
import type { Hub } from './hub.ts'
import { Lines } from './lines.ts'
import { type Channel, Peer } from './peer.ts'
import { ReportedUses } from './reported-uses.ts'
import { SharedRun } from './shared-run.ts'
import { SharedStream } from './shared-stream.ts'

const AUDIT_DELAY_MS = 100
/** How old the counts of a worker that dies may be. */
const REPORT_INTERVAL_MS = 1000
const CLOSED_DELAY_MS = 50

/** The hub as a worker has it: all of it is elsewhere. */
class RemoteHub implements Hub {
  readonly #supervisor: Peer<SupervisorCalls>
  readonly #listeners: (() => void)[] = []
  readonly #tasks: (() => Promise<void>)[] = []
  readonly #usage: SharedRun<Usage>
  readonly #gathering: SharedRun<void>
  #bodies: BodySeal | undefined

  constructor(supervisor: Peer<SupervisorCalls>, uses: ReportedUses) {
    this.#supervisor = supervisor
    this.#gathering = new SharedRun(async () => uses.learn(await supervisor.remote.gatherUses()))
    this.#usage = new SharedRun(() => supervisor.remote.usage())
  }

  async change(_services: Services, api: Api, call: Call): Promise<Reply> {
    if (this.#bodies === undefined) throw new Error('a worker can not change the store before it has begun')
    const { latestMs, ...rest } = call
    const body = call.body && this.#bodies.seal(call.body)
    const withinMs = latestMs - performance.now()
    return this.#supervisor.remote.change(api.path, { ...rest, query: call.query.toString(), body, withinMs })
  }

  /** Before the first change. */
  sealBodies(bodies: BodySeal): void {
    this.#bodies = bodies
  }

  usage(): Promise<Usage> {
    return this.#usage.run()
  }

  gatherUses(): Promise<void> {
    return this.#gathering.run()
  }

  barrier(): Promise<void> {
    return this.#supervisor.remote.barrier()
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  beforeAcknowledging(task: () => Promise<void>): void {
    this.#tasks.push(task)
  }

  announce(): void {
    for (const listener of this.#listeners) listener()
  }

  /** What this process must have done before it acknowledges a change. */
  async runTasks(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task()))
  }
}

/** The audit file, which the supervisor writes. */
class RemoteAudit implements AuditSink {
  isAccepting = true
  readonly #supervisor: Peer<SupervisorCalls>

  constructor(supervisor: Peer<SupervisorCalls>) {
    this.#supervisor = supervisor
  }

  async append(lines: readonly string[]): Promise<void> {
    await this.#supervisor.remote.appendAudit(lines)
  }
}

export class Worker {
  readonly #supervisor: Peer<SupervisorCalls>
  readonly #metrics = new Metrics()
  readonly #hub: RemoteHub
  readonly #auditSink: RemoteAudit
  readonly #streams: Record<LogName, SharedStream>
  readonly #lines: Record<LogName, Lines>
  #app: App | undefined
  #reload: ((settings: WorkerSettings) => void) | undefined
  #starting: Promise<void> | undefined
  #ring: KeyRing | undefined
  #seal: Seal | undefined
  readonly #uses = new ReportedUses()
  #closed = 0
  /** Those that the error log knows of. */
  #droppedLines = 0

  constructor(channel: Channel) {
    const calls: { [Name in keyof WorkerCalls]: WorkerCalls[Name] } = {
      start: (start) => {
        this.#starting = this.#start(start)
        return this.#starting
      },
      reload: async (settings) => {
        await this.#starting
        this.#reload?.(settings)
      },
      take: (connection) => this.#take(connection),
      acknowledge: () => this.#acknowledge(),
      changed: () => this.#hub.announce(),
      usage: () => this.#metrics.usage(),
      takeUses: (erased) => this.#takeUses(erased),
      learnRoot: (keys) => this.#seal?.learnToRead(keys),
      forgetRoot: (generation) => this.#seal?.forget(generation),
      setAccepting: (isAccepting) => {
        this.#auditSink.isAccepting = isAccepting
      },
      setWanted: (log, isWanted) => this.#streams[log].setWanted(isWanted),
      deliver: (log, lines) => this.#streams[log].deliver(lines),
      stop: () => this.#stop(),
    }
    const supervisor = new Peer<SupervisorCalls>(channel, calls)
    this.#supervisor = supervisor
    this.#hub = new RemoteHub(supervisor, this.#uses)
    this.#auditSink = new RemoteAudit(supervisor)
    this.#streams = {
      audit: new SharedStream('audit', supervisor, () => this.#metrics.auditEventSent()),
      error: new SharedStream('error', supervisor, () => this.#metrics.errorEventSent()),
    }
    this.#lines = {
      audit: new Lines(AUDIT_DELAY_MS, (lines, done) => supervisor.tell('write', ['audit', lines], done)),
      error: new Lines(0, (lines, done) => supervisor.tell('write', ['error', lines], done)),
    }
  }

  async #start({ config, ...start }: WorkerStart): Promise<void> {
    const { errorLevel, auditLevel } = config.log
    const errorLog = new ErrorLog(createLogger(this.#lines.error), errorLevel, this.#streams.error)
    const auditLog = new AuditLog(createLogger(this.#lines.audit), {
      isPrinted: auditLevel <= INFO,
      file: config.log.auditFile && new HeldReplies(this.#auditSink),
      stream: this.#streams.audit,
    })
    this.#hub.beforeAcknowledging(() => auditLog.released())
    const seal = Seal.forReading(start.storeId, start.keysFolder === undefined ? 'sealed' : 'kes')
    for (const keys of start.keys) seal.learnToRead(keys)
    this.#hub.sealBodies(new BodySeal(start.bodyKey))
    this.#seal = seal
    const { keysFolder, storePath, supervisorPid } = start
    const store =
      keysFolder === undefined
        ? SqliteStore.openBeside(storePath, supervisorPid)
        : FsStore.openFolderBeside(keysFolder, storePath, supervisorPid)
    const journal = new Journal(store, seal.storeId, createPublicKey(start.journalKey))
    this.#uses.learn(start.uses)
    const ring = new KeyRing(store, seal, journal, { ...config.keysOptions, lastUses: this.#uses })
    const cacheExpiry = new CacheExpiry(ring, config.cache)
    const services: Services = {
      ring,
      store,
      journal,
      ...rulesOf(config, start.origin),
      get sealAdmin() {
        return isElsewhere()
      },
      get backups() {
        return isElsewhere()
      },
      get serverMetrics() {
        return isElsewhere()
      },
      startRotation: isElsewhere,
      metrics: this.#metrics,
      hub: this.#hub,
      version: VERSION,
    }
    const app = await createApp({ services, auditLog, errorLog, listener: start.listener })
    this.#app = app
    this.#reload = ({ config: next, origin, listener }) => {
      Object.assign(services, rulesOf(next, origin))
      cacheExpiry.replace(next.cache)
      errorLog.setLevel(next.log.errorLevel)
      auditLog.setPrinted(next.log.auditLevel <= INFO)
      app.reload(listener)
    }
    this.#ring = ring
    setInterval(() => this.#report(errorLog), REPORT_INTERVAL_MS).unref()
    flushCompileCache() // Before the first connection, and not left to a clean end, which a killed process never has.
  }

  #report(errorLog: ErrorLog): void {
    this.#supervisor.tell('report', [this.#metrics.usage()])
    const dropped = this.#lines.audit.dropped + this.#lines.error.dropped
    const missed = dropped - this.#droppedLines
    if (missed > 0)
      errorLog.warn(`${missed} log lines were dropped: the supervisor did not take them in time`)
    this.#droppedLines = dropped
  }

  #take(connection: Socket | undefined): void {
    this.#supervisor.tell('taken', [])
    if (connection === undefined || this.#app === undefined) {
      connection?.destroy()
      this.#countClosed()
      return
    }
    connection.once('close', () => this.#countClosed())
    this.#app.listener.take(connection)
  }

  #countClosed(): void {
    this.#closed += 1
    if (this.#closed > 1) return
    const tell = () => {
      this.#supervisor.tell('closed', [this.#closed])
      this.#closed = 0
    }
    setTimeout(tell, CLOSED_DELAY_MS).unref()
  }

  /**
   * The look drops the keys that were changed, and makes every use that begins from now on see the change. Uses of the
   * turn that ends here have been handed to their sockets when the immediate runs: what Node's HTTP/2 does at the end
   * of a turn was asked for before it.
   */
  async #acknowledge(): Promise<void> {
    try {
      this.#ring?.lookForChanges()
    } catch {
      this.#ring?.forgetAll() // The store can't be read: then each use fails by itself.
    }
    this.#hub.announce()
    await laterTurn()
    await this.#hub.runTasks()
    await laterTurn() // So has what the tasks have let go.
  }

  #takeUses(erased: readonly KeyId[] = []): KeyUse[] {
    this.#ring?.noteUses()
    for (const keyId of erased) this.#uses.forget(keyId)
    return this.#uses.takeNews()
  }

  async #stop(): Promise<void> {
    await this.#app?.stop()
    this.#supervisor.tell('noteUses', [this.#takeUses()])
    this.#ring?.forgetAll()
    for (const log of ['audit', 'error'] as const) {
      this.#streams[log].flush()
      this.#lines[log].flush()
    }
    this.#supervisor.tell('report', [this.#metrics.usage()])
  }
}

/** An API with `change` never runs in a worker. */
function isElsewhere(): never {
  throw new Error('this is done by the process that writes')
}
