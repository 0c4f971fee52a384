/** A load generator that somebody else made, for figures that compare with those it has taken elsewhere. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Operation } from './messages.ts'
import type { HttpProtocol, LoadTarget } from './target.ts'

const execute = promisify(execFile)

export interface ExternalPlan {
  readonly program: string
  readonly target: LoadTarget
  readonly operation: Operation
  readonly protocol: HttpProtocol
  readonly keyName: string
  readonly requests: number
  readonly concurrency: number
  readonly connections: number
  readonly serverPid: number
}

export interface ExternalResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly failures: number
  /** Of the server and its children, without the generator's own warming up. */
  readonly cpuMicrosPerRequest: number
}

/**
 * Flags: `-url -cert -key -op -name -c -conns -n -pid` and `-h1` for HTTP/1.1. Prints one JSON line with `rps`, `p50`,
 * `p99` in milliseconds, `fails` and `cpu_us_per_req`.
 *
 * @throws Error if the program fails or prints something else.
 */
export async function runExternalLoad(plan: ExternalPlan): Promise<ExternalResult> {
  const { target } = plan
  const flags: readonly (readonly [string, string | number])[] = [
    ['-url', `https://${target.host}:${target.port}`],
    ['-cert', target.certFile],
    ['-key', target.keyFile],
    ['-op', plan.operation],
    ['-name', plan.keyName],
    ['-c', plan.concurrency],
    ['-conns', plan.connections],
    ['-n', plan.requests],
    ['-pid', plan.serverPid],
  ]
  const args = flags.flatMap(([flag, value]) => [flag, String(value)])
  const { stdout } = await execute(plan.program, plan.protocol === 'h2' ? args : [...args, '-h1'])
  const line = JSON.parse(stdout) as Readonly<Record<string, unknown>>
  const number = (name: string): number => {
    const value = line[name]
    if (typeof value === 'number') return value
    throw new Error(`the load generator printed no number '${name}': ${stdout.trim()}`)
  }
  return {
    requestsPerSecond: number('rps'),
    p50Ms: number('p50'),
    p99Ms: number('p99'),
    failures: number('fails'),
    cpuMicrosPerRequest: number('cpu_us_per_req'),
  }
}
