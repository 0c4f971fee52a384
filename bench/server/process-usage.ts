/** What the kernel says a process and its children use. Only Linux tells; elsewhere there is no answer. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

export interface ProcessUsage {
  /** User and system time since the start, in the kernel's ticks of usually 10 ms. */
  readonly cpuSeconds: number
  /** Sums over all processes: pages that they share count for each. */
  readonly residentBytes: number
  readonly peakResidentBytes: number
  /** Resident too, but of a page that several processes share, each has its part. */
  readonly proportionalBytes: number
  readonly openFiles: number
  readonly threads: number
}

let ticksPerSecond: number | undefined

/** @returns undefined where there is no `/proc`, or no such process. */
export function readUsage(pid: number): ProcessUsage | undefined {
  if (process.platform !== 'linux') return undefined
  ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
  try {
    const usages = [pid, ...descendantsOf(pid)].map((each) => readOne(each, ticksPerSecond ?? 100))
    return usages.reduce(add)
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) {
      return undefined
    }
    throw error
  }
}

/** CPU time between two looks, in microseconds a request. */
export function cpuMicrosPerRequest(
  before: ProcessUsage | undefined,
  after: ProcessUsage | undefined,
  requests: number,
): number | undefined {
  if (before === undefined || after === undefined) return undefined
  return ((after.cpuSeconds - before.cpuSeconds) * 1e6) / requests
}

function readOne(pid: number, ticks: number): ProcessUsage {
  const fields = statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return {
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticks,
    residentBytes: statusNumber(status, 'VmRSS') * 1024,
    peakResidentBytes: statusNumber(status, 'VmHWM') * 1024,
    proportionalBytes: statusNumber(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'), 'Pss') * 1024,
    openFiles: readdirSync(`/proc/${pid}/fd`).length,
    threads: statusNumber(status, 'Threads'),
  }
}

/** The fields of proc_pid_stat(5) from the third, the state, on: a name may hold spaces and parentheses. */
export function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** A number of proc_pid_status(5), or of another file of that form; 0 if it is not there, as for a process that is about to end. */
export function statusNumber(status: string, name: string): number {
  return Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0)
}

function descendantsOf(pid: number): number[] {
  const parents = new Map<number, number[]>()
  for (const entry of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const parent = parentOf(entry)
    if (parent !== undefined) parents.set(parent, [...(parents.get(parent) ?? []), Number(entry)])
  }
  const found: number[] = []
  const queue = [pid]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const children = parents.get(next) ?? []
    found.push(...children)
    queue.push(...children)
  }
  return found
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'))[1])
  } catch {
    return undefined // It has ended since the folder was listed.
  }
}

function add(a: ProcessUsage, b: ProcessUsage): ProcessUsage {
  return {
    cpuSeconds: a.cpuSeconds + b.cpuSeconds,
    residentBytes: a.residentBytes + b.residentBytes,
    peakResidentBytes: a.peakResidentBytes + b.peakResidentBytes,
    proportionalBytes: a.proportionalBytes + b.proportionalBytes,
    openFiles: a.openFiles + b.openFiles,
    threads: a.threads + b.threads,
  }
}
