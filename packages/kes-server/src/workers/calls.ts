/** What the supervisor and its workers ask of each other. All of it crosses from one process to another. */
import type { Socket } from 'node:net'
import type { Config } from '../config/config.ts'
import type { Call, LogName, Reply } from '../http/routes.ts'
import type { KeyId, KeyUse } from '../keyring/last-uses.ts'
import type { Usage } from '../metrics/metrics.ts'
import type { Origin } from '../operations/policies.ts'
import type { ReadingKeys } from '../seal/seal.ts'
import type { ListenerSettings } from '../tls/secure-context.ts'

/** A {@link Call} whose query is its text, and whose body is sealed: see {@link BodySeal}. */
export type PlainCall = Omit<Call, 'query' | 'body' | 'latestMs'> & {
  /** Until then it has not been answered otherwise. */
  readonly withinMs: number
  readonly query: string
  readonly body: Uint8Array | undefined
}

/** Where the lines of a log go: the error log to stderr, the audit log to stdout. */
export type OutputName = 'error' | 'audit'

/** What a worker may ask of its supervisor. */
export interface SupervisorCalls {
  /** Runs the API of this path where the store is written. */
  change(path: string, call: PlainCall): Promise<Reply>
  barrier(): Promise<void>
  usage(): Promise<Usage>
  /** Last uses in other processes that this worker has not been told yet. */
  gatherUses(): Promise<KeyUse[]>
  /** Last uses in this worker, at its end. */
  noteUses(uses: readonly KeyUse[]): void
  /** From the answer on, this worker is sent what any process says in this log. */
  follow(log: LogName): Promise<void>
  unfollow(log: LogName): void
  /** Lines of a log's stream, for all who follow it. */
  publish(log: LogName, lines: string): void
  /** Lines of the audit file: on the disk when the promise is fulfilled, and it rejects if none of them counts. */
  appendAudit(lines: readonly string[]): Promise<void>
  /** Lines for stdout or stderr. */
  write(output: OutputName, lines: string): void
  /** The connection that was handed over last has arrived; the next may come. */
  taken(): void
  /** So many connections have closed since the last call. */
  closed(count: number): void
  /** What this worker has counted so far: remembered in case that it dies. */
  report(usage: Usage): void
}

/** What the supervisor may ask of a worker. */
export interface WorkerCalls {
  start(start: WorkerStart): Promise<void>
  /** Undefined if the client has closed the connection on its way here. */
  take(connection: Socket | undefined): void
  /** Answered in a later turn, when this process has seen what is committed, and what it had begun before has ended. */
  acknowledge(): Promise<void>
  /** The store was changed, and nobody waits for this process to see it. */
  changed(): void
  usage(): Usage
  /**
   * Last uses in this worker that it has not told yet.
   *
   * @param erased - keys that were erased since the last call.
   */
  takeUses(erased: readonly KeyId[]): KeyUse[]
  /** Rows may be sealed under this root key from now on. */
  learnRoot(keys: ReadingKeys): void
  /** No row is sealed under this root key any more. */
  forgetRoot(generation: number): void
  /** Fulfilled when this process works by these settings; they come after {@link WorkerCalls.start}, perhaps before its answer. */
  reload(settings: WorkerSettings): Promise<void>
  /** Whether anybody reads the stream of this log. */
  setWanted(log: LogName, isWanted: boolean): void
  /** Whether the audit file takes lines now. */
  setAccepting(isAccepting: boolean): void
  /** Lines of a log's stream that this worker follows. */
  deliver(log: LogName, lines: string): void
  /** Refuses new requests, and waits for those that run. */
  stop(): Promise<void>
}

/** What a reload may change of a worker. */
export interface WorkerSettings {
  readonly config: Pick<Config, 'adminIdentity' | 'policies' | 'api' | 'cache' | 'log' | 'keysOptions'>
  readonly origin: Origin
  readonly listener: ListenerSettings
}

/** All that a worker needs to begin. It reads no file of the config. */
export interface WorkerStart extends WorkerSettings {
  readonly storePath: string
  /** Of a store that keeps its keys in the folder of the Go KES. */
  readonly keysFolder: string | undefined
  readonly supervisorPid: number
  readonly storeId: Uint8Array
  /** Of each root key that rows may be sealed under. */
  readonly keys: readonly ReadingKeys[]
  /** Seals the bodies of calls that change the store. */
  readonly bodyKey: Uint8Array
  readonly uses: readonly KeyUse[]
  /** PEM, of the journal's public key. */
  readonly journalKey: string
}
