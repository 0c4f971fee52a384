/** What does a passphrase cost? Time and memory of argon2id, to unseal a store or to try a guess. */
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import {
  DEFAULT_COST,
  isAllowedCost,
  type PassphraseCost,
  stretchPassphrase,
} from '../packages/kes-server/src/seal/passphrase-cost.ts'
import { type Program, parseCount, UsageError } from './program.ts'
import { statusNumber } from './server/process-usage.ts'
import { summarize } from './statistics.ts'
import { millisOf } from './stopwatch.ts'
import { formatMegabytes, formatNumber, formatTable } from './table.ts'

const MIB = 1024

/** From the least that a slot may have to the most. */
const COSTS: readonly { readonly title: string; readonly cost: PassphraseCost }[] = [
  { title: 'least allowed', cost: { memoryKiB: 8 * MIB, passes: 1, parallelism: 1 } },
  { title: 'OWASP, 19 MiB', cost: { memoryKiB: 19 * MIB, passes: 2, parallelism: 1 } },
  { title: 'default (RFC 9106, second)', cost: DEFAULT_COST },
  { title: 'default, one lane', cost: { ...DEFAULT_COST, parallelism: 1 } },
  { title: 'four times the memory', cost: { ...DEFAULT_COST, memoryKiB: 4 * DEFAULT_COST.memoryKiB } },
  { title: 'most allowed', cost: { memoryKiB: 1024 * MIB, passes: 4, parallelism: 4 } },
]

const HELP = `npm run bench -- argon2 [options]

What does a passphrase cost? Computes argon2id as the server does when it opens a store with a passphrase, for the cost
that a new store gets and for others, and prints the time (wall clock and CPU) and by how much the memory of the process
rose at most.

  --runs N                          of each cost                     (default: 3)
  --cost MEMORY_MIB,PASSES,LANES    only this one
  --json                            one JSON line a cost instead of a table
`

interface Measurement {
  readonly title: string
  readonly cost: PassphraseCost
  readonly wallMs: number
  readonly cpuMs: number
  /** Undefined where the kernel does not tell. */
  readonly peakBytes: number | undefined
}

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      runs: { type: 'string', default: '3' },
      cost: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  const runs = parseCount('runs', values.runs)
  const costs = values.cost === undefined ? COSTS : [{ title: 'as asked', cost: parseCost(values.cost) }]
  const results = costs.map(({ title, cost }) => measure(title, cost, runs))
  process.stdout.write(
    values.json ? results.map((result) => `${JSON.stringify(result)}\n`).join('') : table(results),
  )
  return 0
}

function parseCost(text: string): PassphraseCost {
  const [memory = 0, passes = 0, parallelism = 0, ...rest] = text
    .split(',')
    .map((part) => parseCount('cost', part))
  const cost = { memoryKiB: memory * MIB, passes, parallelism }
  if (rest.length > 0 || !isAllowedCost(cost)) throw new UsageError(`'--cost ${text}' is not allowed`)
  return cost
}

function measure(title: string, cost: PassphraseCost, runs: number): Measurement {
  const passphrase = Buffer.from('correct horse battery staple')
  const wall: number[] = []
  const cpu: number[] = []
  const peaks: number[] = []
  for (let left = runs; left > 0; left -= 1) {
    const before = resetPeak()
    const started = process.cpuUsage()
    wall.push(millisOf(() => stretchPassphrase(passphrase, randomBytes(16), cost)))
    const { user, system } = process.cpuUsage(started)
    cpu.push((user + system) / 1000)
    const peak = readPeak()
    if (before !== undefined && peak !== undefined) peaks.push(peak - before)
  }
  return {
    title,
    cost,
    wallMs: summarize(wall).median,
    cpuMs: summarize(cpu).median,
    peakBytes: peaks.length === 0 ? undefined : Math.max(...peaks),
  }
}

/** Makes the kernel forget the peak of this process: proc_pid_clear_refs(5). @returns what it has now. */
function resetPeak(): number | undefined {
  try {
    writeFileSync('/proc/self/clear_refs', '5')
  } catch {
    return undefined
  }
  return readPeak()
}

function readPeak(): number | undefined {
  try {
    return statusNumber(readFileSync('/proc/self/status', 'utf8'), 'VmHWM') * 1024
  } catch {
    return undefined
  }
}

function table(results: readonly Measurement[]): string {
  const rows = results.map(({ title, cost, wallMs, cpuMs, peakBytes }) => [
    title,
    String(cost.memoryKiB / MIB),
    String(cost.passes),
    String(cost.parallelism),
    formatNumber(wallMs),
    formatNumber(cpuMs),
    peakBytes === undefined ? 'n/a' : formatMegabytes(peakBytes),
  ])
  return formatTable(['cost', 'MiB', 'passes', 'lanes', 'wall ms', 'CPU ms', 'memory rose by, MB'], rows)
}

export const argon2: Program = {
  question: 'What does a passphrase cost? Time and memory of argon2id for the default cost and others.',
  help: HELP,
  run,
}
