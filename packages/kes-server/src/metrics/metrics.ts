/** What each process of the server counts, and the sum over all of them. exposition.ts has the formats. */
import { readFileSync } from 'node:fs'
import { getHeapStatistics } from 'node:v8'

export const TIME_BUCKETS_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 3, 5, 10] as const

/** What one process, or all together, have counted since their start and hold now. Crosses from process to process. */
export interface Usage {
  readonly upTimeSeconds: number
  /** Replies, by status. */
  readonly byStatus: ReadonlyMap<number, number>
  /** Replies by their time: one number for each of {@link TIME_BUCKETS_SECONDS}, and one for longer times. */
  readonly buckets: readonly number[]
  readonly secondsSum: number
  /** Requests that are under way. */
  readonly active: number
  readonly errorEvents: number
  readonly auditEvents: number
  readonly heapBytes: number
  /** What Linux says; undefined where there is no `/proc`. */
  readonly kernel: { readonly threads: number; readonly stackBytes: number } | undefined
}

export class Metrics {
  readonly #startedMs = performance.now()
  readonly #byStatus = new Map<number, number>()
  readonly #buckets: number[] = new Array(TIME_BUCKETS_SECONDS.length + 1).fill(0)
  #secondsSum = 0
  #active = 0
  #errorEvents = 0
  #auditEvents = 0

  requestStarted(): void {
    this.#active += 1
  }

  /** A request that was counted by {@link requestStarted} is over, with or without a reply. */
  requestEnded(): void {
    this.#active -= 1
  }

  /** A reply went out. */
  replied(status: number, seconds: number): void {
    this.#byStatus.set(status, (this.#byStatus.get(status) ?? 0) + 1)
    let bucket = 0
    while (bucket < TIME_BUCKETS_SECONDS.length && seconds > (TIME_BUCKETS_SECONDS[bucket] ?? 0)) bucket += 1
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#secondsSum += seconds
  }

  errorEventSent(): void {
    this.#errorEvents += 1
  }

  auditEventSent(): void {
    this.#auditEvents += 1
  }

  usage(): Usage {
    return {
      upTimeSeconds: (performance.now() - this.#startedMs) / 1000,
      byStatus: new Map(this.#byStatus),
      buckets: [...this.#buckets],
      secondsSum: this.#secondsSum,
      active: this.#active,
      errorEvents: this.#errorEvents,
      auditEvents: this.#auditEvents,
      heapBytes: getHeapStatistics().used_heap_size,
      kernel: kernelUsage(),
    }
  }
}

/** What several processes have counted and hold together. */
export function sumOf(usages: readonly Usage[]): Usage {
  const byStatus = new Map<number, number>()
  for (const usage of usages)
    for (const [status, count] of usage.byStatus) byStatus.set(status, (byStatus.get(status) ?? 0) + count)
  const sum = (read: (usage: Usage) => number) => usages.reduce((total, usage) => total + read(usage), 0)
  const kernels = usages.flatMap(({ kernel }) => kernel ?? [])
  return {
    upTimeSeconds: Math.max(...usages.map(({ upTimeSeconds }) => upTimeSeconds)),
    byStatus,
    buckets: Array.from({ length: TIME_BUCKETS_SECONDS.length + 1 }, (_, index) =>
      sum(({ buckets }) => buckets[index] ?? 0),
    ),
    secondsSum: sum(({ secondsSum }) => secondsSum),
    active: sum(({ active }) => active),
    errorEvents: sum(({ errorEvents }) => errorEvents),
    auditEvents: sum(({ auditEvents }) => auditEvents),
    heapBytes: sum(({ heapBytes }) => heapBytes),
    kernel:
      kernels.length === 0
        ? undefined
        : {
            threads: kernels.reduce((total, { threads }) => total + threads, 0),
            stackBytes: kernels.reduce((total, { stackBytes }) => total + stackBytes, 0),
          },
  }
}

/** What a process has counted, once it is no more: it holds nothing. */
export function countsOf(usage: Usage): Usage {
  return { ...usage, upTimeSeconds: 0, active: 0, heapBytes: 0, kernel: undefined }
}

/** What Linux says of this process; undefined where there is no `/proc`. */
function kernelUsage(): Usage['kernel'] {
  let status: string
  try {
    status = readFileSync('/proc/self/status', 'utf8')
  } catch {
    return undefined
  }
  const threads = /^Threads:\s+(\d+)/m.exec(status)?.[1]
  const stackKib = /^VmStk:\s+(\d+)/m.exec(status)?.[1]
  if (threads === undefined || stackKib === undefined) return undefined
  return { threads: Number(threads), stackBytes: Number(stackKib) * 1024 }
}
