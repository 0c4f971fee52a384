/** How long does it take to lock a key, and to resume it, beside other work? */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KesClient } from '@latchkey/kms-client'
import { fillStore } from './filled-store.ts'
import { LoadProcess } from './load/load-process.ts'
import { type Program, parseCount, parseCounts } from './program.ts'
import { ServerProcess } from './server/server-process.ts'
import { Workspace } from './server/workspace.ts'
import { type Latency, latencyFrom } from './stopwatch.ts'
import { formatNumber, formatTable } from './table.ts'

const DEFAULT_SIZES = '1,100000'
const CHANGED = 'key-0'
/** Another one than the one that is changed, or each lock would end the load. */
const USED = 'used'
/** More than a server can answer while it is measured. */
const ENDLESS = 1_000_000_000

const HELP = `npm run bench -- lock [options]

How long does it take to lock a key, and to resume it, beside other work? Starts a server with so many keys, idle and under
as many 'generate' as it can answer, and prints the time from the call of disable and of enable to its answer, which
waits for the disk and for every worker, and the CPU time that a change takes if there is no other load.

  --sizes LIST     keys in the store                        (default: ${DEFAULT_SIZES})
  --changes N      of each kind, one after the other        (default: 500)
  --workers N      processes that serve                     (default: the server's)
  --json           one JSON line a measurement instead of a table
`

interface Options {
  readonly sizes: readonly number[]
  readonly changes: number
  readonly workers: number | undefined
  readonly isJson: boolean
}

interface Measurement {
  readonly keys: number
  readonly load: 'idle' | 'full'
  readonly disable: Latency
  readonly enable: Latency
  /** Of all processes of the server; of no meaning under load. */
  readonly cpuMillisPerChange: number | undefined
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: 'string', default: DEFAULT_SIZES },
      changes: { type: 'string', default: '500' },
      workers: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    sizes: parseCounts('sizes', values.sizes),
    changes: parseCount('changes', values.changes),
    workers: values.workers === undefined ? undefined : parseCount('workers', values.workers),
    isJson: values.json,
  }
}

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const results: Measurement[] = []
  for (const keys of options.sizes) {
    for (const load of ['idle', 'full'] as const) results.push(await measure(keys, load, options))
  }
  if (options.isJson) for (const result of results) process.stdout.write(`${JSON.stringify(result)}\n`)
  else process.stdout.write(table(results))
  return 0
}

async function measure(
  keys: number,
  load: Measurement['load'],
  { changes, workers }: Options,
): Promise<Measurement> {
  using workspace = await Workspace.create({ workers, keyNames: [USED] })
  fillStore(workspace.storeFile, readFileSync(workspace.rootKeyFile), keys)
  await using server = await ServerProcess.start(workspace)
  await using client = new KesClient(workspace.clientOptions(server.url))
  if (load === 'idle') return { keys, load, ...(await change(client, changes, server)) }
  await using running = await LoadProcess.start({
    kind: 'uniform',
    target: server.target,
    protocol: 'h2',
    operation: 'generate',
    keyName: USED,
    requests: ENDLESS,
    warmUp: 2_000,
    concurrency: 32,
    connections: 8,
  })
  running.run(0).catch(() => undefined) // Ended by its disposal.
  return { keys, load, ...(await change(client, changes, server)), cpuMillisPerChange: undefined }
}

async function change(
  client: KesClient,
  changes: number,
  server: ServerProcess,
): Promise<Omit<Measurement, 'keys' | 'load'>> {
  const disableMs: number[] = []
  const enableMs: number[] = []
  const timed = async (latencies: number[], call: () => Promise<void>) => {
    const startedMs = performance.now()
    await call()
    latencies.push(performance.now() - startedMs)
  }
  await client.generateKey(CHANGED)
  const before = server.usage()
  for (let round = 0; round < changes; round += 1) {
    await timed(disableMs, () => client.disableKey(CHANGED))
    await timed(enableMs, () => client.enableKey(CHANGED))
    await client.generateKey(CHANGED) // So that there is a key in memory to drop.
  }
  const after = server.usage()
  const cpuSeconds = before && after && after.cpuSeconds - before.cpuSeconds
  return {
    disable: latencyFrom(disableMs),
    enable: latencyFrom(enableMs),
    cpuMillisPerChange: cpuSeconds && (cpuSeconds * 1000) / (2 * changes),
  }
}

function table(results: readonly Measurement[]): string {
  const pair = ({ p50Ms, p99Ms }: Latency): string => `${formatNumber(p50Ms)} / ${formatNumber(p99Ms)}`
  return formatTable(
    ['keys', 'load', 'disable ms p50 / p99', 'enable ms p50 / p99', 'CPU ms a change'],
    results.map(({ keys, load, disable, enable, cpuMillisPerChange }) => [
      String(keys),
      load,
      pair(disable),
      pair(enable),
      cpuMillisPerChange === undefined ? '' : formatNumber(cpuMillisPerChange),
    ]),
  )
}

export const lockProgram: Program = {
  question: 'How long does it take to lock a key, and to resume it, beside other work?',
  help: HELP,
  run,
}
