/**
 * Tells a process that hangs from one that gets no processor, on a machine with too much to do: that one is ready to run
 * and does not. One that is stopped, or waits for something, is not ready; one that is caught in a loop does run.
 *
 * Linux tells both of the main thread: proc(5), the state in `/proc/PID/stat` and the time in `/proc/PID/schedstat`.
 */
import { readFileSync } from 'node:fs'

/** Who gets less than this share of the time has to wait for it. */
const STARVED_SHARE = 0.5

export interface ProcessorUse {
  /** Whether it runs or waits to run. */
  readonly isReady: boolean
  /** How long it has run since its start. */
  readonly ranMs: number
}

export class ProcessorShare {
  readonly #look: () => ProcessorUse | undefined
  #atMs: number
  #ranMs: number | undefined

  /** @param look - undefined if nobody can say. */
  constructor(look: () => ProcessorUse | undefined, nowMs = performance.now()) {
    this.#look = look
    this.#atMs = nowMs
    this.#ranMs = look()?.ranMs
  }

  static of(pid: number): ProcessorShare {
    return new ProcessorShare(() => lookAt(pid))
  }

  /** Whether it has waited for a processor since it was last asked, or since the beginning. */
  isStarved(nowMs = performance.now()): boolean {
    const [atMs, before] = [this.#atMs, this.#ranMs]
    const use = this.#look()
    this.#atMs = nowMs
    this.#ranMs = use?.ranMs
    if (before === undefined || use === undefined) return false
    return use.isReady && use.ranMs - before < (nowMs - atMs) * STARVED_SHARE
  }
}

function lookAt(pid: number): ProcessorUse | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state] = stat.slice(stat.lastIndexOf(')') + 2)
    const [nanoseconds] = readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')
    return { isReady: state === 'R', ranMs: Number(nanoseconds) / 1e6 }
  } catch {
    return undefined // It has just ended, or the kernel does not count.
  }
}
