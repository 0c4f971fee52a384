/** Times functions inside this process. */
import { percentile, type Summary, summarize } from './statistics.ts'

const BATCHES = 11
const BATCH_MS = 20

/**
 * Microseconds a call, over several batches after as long a warming up. The median is the figure; the least says what
 * it would be on a machine that does nothing else.
 *
 * @param call - synchronous; what it returns is consumed, so that none of it is optimized away.
 */
export function microsPerCall(call: () => unknown): Summary {
  const perBatch = callsIn(call, BATCH_MS * BATCHES) / BATCHES
  const calls = Math.max(1, Math.round(perBatch))
  const micros: number[] = []
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const startedMs = performance.now()
    repeat(call, calls)
    micros.push(((performance.now() - startedMs) * 1000) / calls)
  }
  return summarize(micros)
}

export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
}

/** Milliseconds of single calls, for what waits for a disk. */
export function latencyOf(times: number, call: (number: number) => unknown): Latency {
  return latencyFrom(Array.from({ length: times }, (_, number) => millisOf(() => call(number))))
}

/** As {@link latencyOf}, of calls that end later, one after the other. */
export async function asyncLatencyOf(
  times: number,
  call: (number: number) => Promise<unknown>,
): Promise<Latency> {
  const latencies: number[] = []
  for (let number = 0; number < times; number += 1) {
    const startedMs = performance.now()
    await call(number)
    latencies.push(performance.now() - startedMs)
  }
  return latencyFrom(latencies)
}

/** @param latencies - milliseconds, in any order; sorted by this. */
export function latencyFrom(latencies: number[]): Latency {
  latencies.sort((a, b) => a - b)
  return { p50Ms: percentile(latencies, 0.5), p99Ms: percentile(latencies, 0.99) }
}

export function millisOf(call: () => unknown): number {
  const startedMs = performance.now()
  consume(call())
  return performance.now() - startedMs
}

function callsIn(call: () => unknown, durationMs: number): number {
  const endMs = performance.now() + durationMs
  let calls = 0
  for (; performance.now() < endMs; calls += 1) consume(call())
  return calls
}

function repeat(call: () => unknown, calls: number): void {
  for (let left = calls; left > 0; left -= 1) consume(call())
}

let consumed: unknown

function consume(value: unknown): void {
  consumed = value === consumed ? undefined : value
}
