/** A worker as its supervisor sees it: a child process, the connections it was given, and its end. */
import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'
import type { KeyId, KeyUse } from '../keyring/last-uses.ts'
import type { Usage } from '../metrics/metrics.ts'
import type { SupervisorCalls, WorkerCalls, WorkerStart } from './calls.ts'
import { Peer, PeerGoneError, type Remote } from './peer.ts'
import { ProcessorShare } from './processor-share.ts'

const PROGRAM = new URL('./main.js', import.meta.url)

/**
 * How much of new objects V8 gathers before it looks which of them live on. What a request makes is dead by then, so
 * that looking more often costs nothing, and Node's own 16 MB (three times, at the worst) stay in memory for good.
 * From the first one on: V8 would begin with less, and look often while modules are loaded, which live on.
 */
const YOUNG_OBJECTS_MB = 4
/** A worker that has not acknowledged a change by then, or something else that it must know, is killed. */
const ANSWER_MS = 1000
/**
 * The same for one that may wait for the disk of the audit file, to send the replies that it holds, that waits for a
 * processor, or that only just begins: to kill it would cut its clients, and its successor would wait as well.
 */
const ANSWER_HELD_UP_MS = 10_000
/** Of what a worker prints, which it does only when it dies, the last bytes are kept. */
const PRINTED_CHARACTERS_MAX = 16_384

/** What the supervisor lets all of its workers call; the rest of {@link SupervisorCalls} is about the worker itself. */
export type SharedCalls = (worker: WorkerProcess) => Omit<SupervisorCalls, 'taken' | 'closed' | 'report'>

export class WorkerProcess {
  readonly pid: number
  readonly startedMs = performance.now()
  readonly peer: Peer<WorkerCalls>
  /** Fulfilled when the process is no more, with a few words that say how it ended. */
  readonly ended: Promise<string>
  /** What it had counted when it last said so. */
  lastUsage: Usage | undefined
  readonly #child: ChildProcess
  /** As {@link ended}, but all that it has printed is known as well. */
  readonly #closed: Promise<string>
  /** Last uses in other processes, for it to be told. */
  readonly #untoldUses = new Map<KeyId, number>()
  /** Keys that were erased, for it to be told. */
  #untoldErasures: KeyId[] = []
  readonly #waiting: Socket[] = []
  /** The connection that is on its way. */
  #handed: Socket | undefined
  #connections = 0
  #hasBegun = false
  #isServing = false
  #printed = ''

  constructor(calls: SharedCalls) {
    // A debugger's port can't be shared.
    const ownArgs = process.execArgv.filter((arg) => !arg.startsWith('--inspect'))
    this.#child = fork(PROGRAM, [], {
      serialization: 'advanced',
      execArgv: [
        `--min-semi-space-size=${YOUNG_OBJECTS_MB}`,
        `--max-semi-space-size=${YOUNG_OBJECTS_MB}`,
        ...ownArgs,
      ],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.pid = this.#child.pid ?? 0
    this.peer = new Peer<WorkerCalls>(this.#child, {
      ...calls(this),
      taken: () => this.#handNext(),
      closed: (count: number) => {
        this.#connections -= count
      },
      report: (usage: Usage) => {
        this.lastUsage = usage
      },
    })
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#printed = (this.#printed + text).slice(-PRINTED_CHARACTERS_MAX)
    })
    this.ended = new Promise((resolve) => {
      this.#child.once('error', (error) => resolve(`could not be started: ${error.message}`))
      this.#child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    })
    const isClosed = new Promise<void>((resolve) => {
      this.#child.once('error', () => resolve())
      this.#child.once('close', () => resolve())
    })
    this.#closed = isClosed.then(() => this.ended)
    void this.ended.then(() => {
      this.#isServing = false
      this.#handed?.destroy()
    })
  }

  /** Connections that it has, or will get next. */
  get connections(): number {
    return this.#connections + this.#waiting.length
  }

  /** What it has printed: the reason why it died. */
  get printed(): string {
    return this.#printed.trim()
  }

  /** @throws what keeps it from serving. */
  async start(start: WorkerStart): Promise<void> {
    this.#hasBegun = true
    const isStarted = this.peer.remote.start(start)
    const hasEnded = this.#closed.then((how) => {
      throw new Error(`a worker process could not be started: ${this.printed || how}`)
    })
    // A channel that has closed says less than what the process has printed.
    await Promise.race([
      isStarted.catch((error) => (error instanceof PeerGoneError ? hasEnded : Promise.reject(error))),
      hasEnded,
    ])
    this.#isServing = true
  }

  /**
   * One at a time, because every message to the worker, the question of a barrier among them, waits until a connection
   * before it has arrived.
   */
  give(connection: Socket): void {
    this.#waiting.push(connection)
    if (this.#handed === undefined) this.#handNext()
  }

  /** Those that it was to get next. */
  takeBack(): Socket[] {
    return this.#waiting.splice(0)
  }

  #handNext(): void {
    this.#handed?.destroy() // It is the worker's now: this closes it here alone.
    this.#handed = this.#waiting.shift()
    if (this.#handed === undefined) return
    this.#connections += 1
    this.peer.hand('take', this.#handed)
  }

  /**
   * Fulfilled when the worker has seen what is committed, and what it had begun before has ended: because it says so,
   * or because it is dead. One that is not serving has nothing to acknowledge: it holds no key and has no connection
   * until it has begun, and reads the store then.
   *
   * @param isHeldUp - whether it may well wait for something that is not its fault.
   */
  async acknowledge(isHeldUp: () => boolean): Promise<void> {
    if (this.#isServing) await this.#answersOrDies(this.peer.remote.acknowledge(), isHeldUp)
  }

  /** Fulfilled when the worker has answered, or is dead: one that has begun needs what it is told. */
  async insist(tell: (worker: Remote<WorkerCalls>) => Promise<void>): Promise<void> {
    if (this.#hasBegun) await this.#answersOrDies(tell(this.peer.remote), () => !this.#isServing)
  }

  async #answersOrDies(answer: Promise<void>, isHeldUp: () => boolean): Promise<void> {
    const timer = Promise.withResolvers<boolean>()
    const processor = ProcessorShare.of(this.pid)
    // Should this process itself have been held up, the answer may be there, and is read before the immediate runs.
    const latestMs = performance.now() + ANSWER_HELD_UP_MS
    const giveUp = () =>
      setImmediate(() => {
        const mayWait = processor.isStarved() || isHeldUp()
        if (mayWait && performance.now() < latestMs) timeout = setTimeout(giveUp, ANSWER_MS)
        else timer.resolve(false)
      })
    let timeout = setTimeout(giveUp, ANSWER_MS)
    const isAnswered = answer.then(
      () => true,
      () => false,
    )
    const hasAnswered = await Promise.race([isAnswered, timer.promise])
    clearTimeout(timeout)
    if (hasAnswered) return
    this.kill()
    await this.ended
  }

  /** For it to be told of when it asks. */
  noteUse(keyId: KeyId, usedMs: number): void {
    this.#untoldUses.set(keyId, usedMs)
  }

  /** For it to be told of when it is asked for its uses. */
  noteErasure(keyId: KeyId): void {
    this.#untoldUses.delete(keyId)
    this.#untoldErasures.push(keyId)
  }

  /** Uses in other processes since the last call. */
  takeUntoldUses(): KeyUse[] {
    const uses = [...this.#untoldUses]
    this.#untoldUses.clear()
    return uses
  }

  /** Those that it has not told yet. @throws {@link PeerGoneError} */
  async askForUses(): Promise<readonly KeyUse[]> {
    const erased = this.#untoldErasures
    this.#untoldErasures = []
    return this.peer.remote.takeUses(erased)
  }

  /** What it counts and holds now; what it last said if it does not answer. */
  async usage(timeoutMs: number): Promise<Usage | undefined> {
    const timer = Promise.withResolvers<Usage | undefined>()
    const timeout = setTimeout(() => timer.resolve(this.lastUsage), timeoutMs)
    const usage = await Promise.race([this.peer.remote.usage().catch(() => this.lastUsage), timer.promise])
    clearTimeout(timeout)
    this.lastUsage = usage
    return usage
  }

  /** Lets running requests end. */
  async stop(timeoutMs: number): Promise<void> {
    const timeout = setTimeout(() => this.kill(), timeoutMs)
    await Promise.race([this.peer.remote.stop().catch(() => undefined), this.ended])
    if (this.#child.connected) this.#child.disconnect()
    await this.ended
    clearTimeout(timeout)
  }

  kill(): void {
    this.#child.kill('SIGKILL')
  }
}
