/** The faults that hold, and what they do to each request. */
import type { FaultOptions, FaultScope } from './fault-options.ts'
import { matcherOf } from './matching.ts'
import { randomSequence } from './random.ts'

export interface FaultInfo {
  readonly id: number
  readonly fault: FaultOptions
  /** How many requests it has hit. */
  readonly hits: number
}

export type RequestFault = Exclude<FaultOptions, { readonly kind: 'latency' | 'refuse' }>

/** What happens to one request. */
export interface Plan {
  /** First it waits so long: the sum of all latencies that match. */
  readonly delayMs: number
  /** Then this happens, the first that matches; or undefined, and the server answers. */
  readonly fault: RequestFault | undefined
  /** Resolves when the fault is cleared. */
  readonly cleared: Promise<void> | undefined
}

/** How connections as such are treated. */
export type ConnectionMode = 'open' | 'refused' | 'frozen'

/** Those that act on connections hit no request. */
function isOfConnections(fault: FaultOptions): boolean {
  return fault.kind === 'refuse' || (fault.kind === 'hang' && fault.at === 'connection')
}

function scopeOf(fault: FaultOptions): FaultScope {
  return fault.kind === 'refuse' ? {} : fault
}

class ActiveFault {
  readonly id: number
  readonly options: FaultOptions
  readonly cleared: Promise<void>
  readonly clear: () => void
  hits = 0
  readonly #isMatch: (method: string, path: string) => boolean
  readonly #random: () => number

  constructor(id: number, options: FaultOptions, seed: number) {
    this.id = id
    this.options = options
    // A sequence of its own, so that one fault does not change what another one does.
    this.#random = randomSequence(seed, id)
    this.#isMatch = isOfConnections(options) ? () => false : matcherOf(scopeOf(options))
    const { promise, resolve } = Promise.withResolvers<void>()
    this.cleared = promise
    this.clear = resolve
  }

  /** Whether it hits this request, which then counts. */
  hit(method: string, path: string): boolean {
    if (!this.#isMatch(method, path)) return false
    const { times, probability = 1 } = scopeOf(this.options)
    if (times !== undefined && this.hits >= times) return false
    if (probability < 1 && this.#random() >= probability) return false
    this.hits += 1
    return true
  }

  delayMs(): number {
    if (this.options.kind !== 'latency') return 0
    const { ms, jitterMs = 0 } = this.options
    return ms + (jitterMs > 0 ? this.#random() * jitterMs : 0)
  }
}

export class FaultSet {
  readonly #faults = new Map<number, ActiveFault>()
  readonly #seed: number
  #lastId = 0

  /** @param seed - decides jitter and probabilities, by the order in which requests come. */
  constructor(seed: number) {
    this.#seed = seed
  }

  /** @returns its id. */
  add(options: FaultOptions): number {
    this.#lastId += 1
    this.#faults.set(this.#lastId, new ActiveFault(this.#lastId, options, this.#seed))
    return this.#lastId
  }

  /** Requests that hang go on. One that is not there is cleared. */
  clear(id: number): void {
    this.#faults.get(id)?.clear()
    this.#faults.delete(id)
  }

  clearAll(): void {
    for (const id of this.#faults.keys()) this.clear(id)
  }

  /** As {@link clearAll}, and what comes then has the chances that it would have had at the start. */
  restart(): void {
    this.clearAll()
    this.#lastId = 0
  }

  list(): FaultInfo[] {
    return [...this.#faults.values()].map(({ id, options, hits }) => ({ id, fault: options, hits }))
  }

  get connectionMode(): ConnectionMode {
    const modes = [...this.#faults.values()].filter(({ options }) => isOfConnections(options))
    if (modes.some(({ options }) => options.kind === 'refuse')) return 'refused'
    return modes.length > 0 ? 'frozen' : 'open'
  }

  /** Decides about a request, and counts it. */
  planFor(method: string, path: string): Plan {
    let delayMs = 0
    let decisive: ActiveFault | undefined
    for (const fault of this.#faults.values()) {
      if (fault.options.kind === 'latency') {
        if (fault.hit(method, path)) delayMs += fault.delayMs()
      } else if (decisive === undefined && fault.hit(method, path)) decisive = fault
    }
    const options = decisive?.options
    const fault = options?.kind === 'latency' || options?.kind === 'refuse' ? undefined : options
    return { delayMs, fault, cleared: decisive?.cleared }
  }
}
