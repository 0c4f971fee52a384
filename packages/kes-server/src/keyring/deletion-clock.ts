/**
 * When a scheduled deletion is due: once the wall clock is past its date *and* servers have run on this store for as long
 * as the waiting period.
 *
 * A wall clock that jumps forward would erase too early, so it is not believed alone. The running time is counted by the
 * machine's monotonic clock from a value in the store, which is written again while keys wait; a server that is killed
 * loses what came after the last writing. So a deletion may be late, and is never early.
 */
import type { KeyName } from '../names.ts'
import type { Seal } from '../seal/seal.ts'
import type { KeyStore, ScheduledDeletion, StoredRunningTime } from '../store/key-store.ts'
import { unlessDamaged } from './unless-damaged.ts'

export interface Clocks {
  /** Milliseconds since 1970. */
  readonly wallMs: () => number
  /** Milliseconds, the same for all processes of one machine; never goes back while the machine runs. */
  readonly monotonicMs: () => number
}

export const SYSTEM_CLOCKS: Clocks = {
  wallMs: Date.now,
  monotonicMs: () => Number(process.hrtime.bigint() / 1_000_000n),
}

export class DeletionClock {
  readonly #store: KeyStore
  readonly #seal: Seal
  readonly #clocks: Clocks

  constructor(store: KeyStore, seal: Seal, clocks: Clocks = SYSTEM_CLOCKS) {
    this.#store = store
    this.#seal = seal
    this.#clocks = clocks
  }

  /**
   * Counts from now on, by one server and once in its life, before any of its processes asks. The time since another
   * server has stopped does not count.
   */
  resume(): void {
    const stored = this.#stored()
    if (stored === undefined && !this.#store.hasPending()) return // No deletion was ever scheduled.
    this.#store.transaction(() => this.#write(Math.max(stored?.runningMs ?? 0, this.#latestStart())))
  }

  /** Whether {@link DeletionClock.save} would write: a key waits. */
  get hasNews(): boolean {
    return this.#store.hasPending()
  }

  /** Writes the running time down, so that a restart goes on from it. Does nothing while no key waits. */
  save(): void {
    if (this.hasNews) this.#store.transaction(() => this.#write(this.#runningMs()))
  }

  /** For a key whose deletion is scheduled now; inside the transaction of that change. */
  schedule(waitingMs: number): ScheduledDeletion {
    const runningFromMs = this.#runningMs()
    this.#write(runningFromMs)
    return { atMs: this.#clocks.wallMs() + waitingMs, runningFromMs, waitingMs }
  }

  isDue({ atMs, runningFromMs, waitingMs }: ScheduledDeletion): boolean {
    return this.#clocks.wallMs() >= atMs && this.#runningMs() >= runningFromMs + waitingMs
  }

  /** Names of keys that are due by what their rows say; {@link isDue} decides by what can be trusted. */
  dueNames(limit: number): KeyName[] {
    return this.#store.dueNames(this.#clocks.wallMs(), this.#runningMs(), limit)
  }

  #runningMs(): number {
    const stored = this.#stored()
    // A value that was lost or edited must not stop deletions for good, nor bring one forward.
    if (stored === undefined) return this.#latestStart()
    return stored.runningMs + Math.max(0, this.#clocks.monotonicMs() - stored.monotonicMs)
  }

  #stored(): StoredRunningTime | undefined {
    const stored = unlessDamaged(() => this.#store.runningTime())
    return stored !== undefined && this.#seal.isAuthenticRunningTime(this.#store.rootGeneration(), stored)
      ? stored
      : undefined
  }

  /** So long at least had servers run when the latest of the waiting keys was scheduled. */
  #latestStart(): number {
    const leastMs = this.#stored()?.runningMs ?? 0
    for (const name of this.#store.namesScheduledAfter(leastMs)) {
      const row = unlessDamaged(() => this.#store.read(name))
      if (row?.deletion !== undefined && this.#seal.isAuthentic(row)) return row.deletion.runningFromMs
    }
    return leastMs
  }

  #write(runningMs: number): void {
    const facts = { runningMs, monotonicMs: this.#clocks.monotonicMs() }
    this.#store.setRunningTime({
      ...facts,
      mac: this.#seal.macOfRunningTime(this.#store.rootGeneration(), facts),
    })
  }
}
