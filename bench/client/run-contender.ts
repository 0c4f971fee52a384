/** A process of its own for one contender, so that its CPU time is its own: `node run-contender.ts PLAN`. */
import type { HttpProtocol, LoadTarget } from '../load/target.ts'
import { percentile } from '../statistics.ts'
import { type Contender, type ContenderName, openContender } from './contenders.ts'

export interface ContenderPlan {
  readonly contender: ContenderName
  readonly target: LoadTarget
  readonly protocol: HttpProtocol
  readonly keyName: string
  /** Base64. */
  readonly ciphertext: string
  readonly calls: number
  readonly warmUp: number
  readonly concurrency: number
}

export interface ContenderResult {
  readonly callsPerSecond: number
  /** Of this process, in all its threads. */
  readonly cpuMicrosPerCall: number
  readonly p50Ms: number
  readonly p99Ms: number
}

async function run(plan: ContenderPlan): Promise<ContenderResult> {
  const contender = openContender(plan.contender, plan.target, plan.protocol, plan.concurrency)
  await makeCalls(contender, plan, plan.warmUp)
  const before = process.cpuUsage()
  const startedMs = performance.now()
  const latencies = await makeCalls(contender, plan, plan.calls)
  const elapsedMs = performance.now() - startedMs
  const { user, system } = process.cpuUsage(before)
  await contender.close()
  latencies.sort((a, b) => a - b)
  return {
    callsPerSecond: (plan.calls * 1000) / elapsedMs,
    cpuMicrosPerCall: (user + system) / plan.calls,
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  }
}

/** @returns milliseconds of each call. */
async function makeCalls(contender: Contender, plan: ContenderPlan, calls: number): Promise<number[]> {
  const ciphertext = Buffer.from(plan.ciphertext, 'base64')
  const latencies: number[] = []
  let left = calls
  const caller = async () => {
    while (left-- > 0) {
      const startedMs = performance.now()
      const { length } = await contender.decrypt(plan.keyName, ciphertext)
      if (length !== 32) throw new Error(`the data key has ${length} bytes`)
      latencies.push(performance.now() - startedMs)
    }
  }
  await Promise.all(Array.from({ length: plan.concurrency }, caller))
  return latencies
}

process.once('disconnect', () => process.exit())
process.send?.(await run(JSON.parse(process.argv[2] ?? '')))
process.disconnect?.()
