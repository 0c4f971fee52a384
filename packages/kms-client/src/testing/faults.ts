/** `kes.faults`: what a test does to the server. */
import type { Core } from './core.ts'
import {
  checkFault,
  type ErrorOptions,
  type FaultKind,
  type FaultOptions,
  type HangOptions,
  type LatencyOptions,
  type ResetOptions,
  type ThrottleOptions,
} from './fault-options.ts'
import type { FaultInfo } from './fault-set.ts'

/** A fault that holds. */
export interface Fault extends AsyncDisposable {
  readonly id: number
  readonly kind: FaultKind
  /** How many requests it has hit so far. */
  hits(): Promise<number>
  /** Ends it. Requests that hang because of it go on. */
  clear(): Promise<void>
}

/**
 * Each call adds a fault, which is in force when the promise resolves. Latencies add up; of all others that match a
 * request the oldest one decides. All of them throw a TypeError if an option is malformed.
 */
export class Faults {
  readonly #core: Core

  constructor(core: Core) {
    this.#core = core
  }

  /** Requests are late. */
  latency(options: LatencyOptions): Promise<Fault> {
    return this.add({ ...options, kind: 'latency' })
  }

  /** The server is down: its port refuses connections, and those that were open are reset. Until it is cleared. */
  refuse(): Promise<Fault> {
    return this.add({ kind: 'refuse' })
  }

  /** Connections are reset, by default in the middle of an answer, when the server has acted. */
  reset(options: ResetOptions = {}): Promise<Fault> {
    return this.add({ ...options, kind: 'reset' })
  }

  /** No answer comes, or, at connections, nothing at all. */
  hang(options: HangOptions = {}): Promise<Fault> {
    return this.add({ ...options, kind: 'hang' })
  }

  /** Requests are answered with an error, and the server does not act on them. */
  error(options: ErrorOptions): Promise<Fault> {
    return this.add({ ...options, kind: 'error' })
  }

  /** Answers trickle. */
  throttle(options: ThrottleOptions): Promise<Fault> {
    return this.add({ ...options, kind: 'throttle' })
  }

  /** Any fault, as data. */
  async add(options: FaultOptions): Promise<Fault> {
    const fault = checkFault(options)
    const id = await this.#core.addFault(fault)
    const clear = () => this.remove(id)
    return {
      id,
      kind: fault.kind,
      hits: async () => (await this.list()).find((each) => each.id === id)?.hits ?? 0,
      clear,
      [Symbol.asyncDispose]: clear,
    }
  }

  /** Those that have not been cleared, in the order in which they were added. */
  list(): Promise<FaultInfo[]> {
    return this.#core.listFaults()
  }

  /** Ends the one with this id, if it is there. */
  remove(id: number): Promise<void> {
    return this.#core.clearFault(id)
  }

  /** Ends them all. */
  clear(): Promise<void> {
    return this.#core.clearFaults()
  }
}
