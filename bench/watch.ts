/** How soon is a watcher told of a change, and what does a watch cost the others? */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { KesClient, type KeyEvent } from '@latchkey/kms-client'
import { fillStore } from './filled-store.ts'
import { type Program, parseCount, parseCounts } from './program.ts'
import { ServerProcess } from './server/server-process.ts'
import { Workspace } from './server/workspace.ts'
import { type Latency, latencyFrom } from './stopwatch.ts'
import { formatNumber, formatTable } from './table.ts'

const DEFAULT_SIZES = '1,10000,100000'
const CHANGED = 'key-0'

const HELP = `npm run bench -- watch [options]

How soon is a watcher told of a change, and what does a watch cost the others? Starts a server with so many keys, and
prints how long its snapshot takes, how long other requests take meanwhile, and the time from the call that changes a key,
which waits for the disk, to its answer and to the line that each of the watchers gets.

  --sizes LIST     keys in the store                        (default: ${DEFAULT_SIZES})
  --changes N      one after the other                      (default: 500)
  --watchers N     that are told each of them               (default: 10)
`

interface Options {
  readonly sizes: readonly number[]
  readonly changes: number
  readonly watchers: number
}

interface Measurement {
  readonly keys: number
  readonly snapshotMs: number
  readonly meanwhile: Latency
  readonly answered: Latency
  readonly told: Latency
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sizes: { type: 'string', default: DEFAULT_SIZES },
      changes: { type: 'string', default: '500' },
      watchers: { type: 'string', default: '10' },
    },
  })
  return {
    sizes: parseCounts('sizes', values.sizes),
    changes: parseCount('changes', values.changes),
    watchers: parseCount('watchers', values.watchers),
  }
}

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const results: Measurement[] = []
  for (const keys of options.sizes) results.push(await measure(keys, options))
  process.stdout.write(table(results))
  return 0
}

async function measure(keys: number, { changes, watchers }: Options): Promise<Measurement> {
  using workspace = await Workspace.create()
  fillStore(workspace.storeFile, readFileSync(workspace.rootKeyFile), keys)
  await using server = await ServerProcess.start(workspace)
  await using client = new KesClient(workspace.clientOptions(server.url))
  await client.generateKey(CHANGED)

  const { snapshotMs, meanwhile } = await measureSnapshot(client)
  const stop = new AbortController()
  const streams = Array.from({ length: watchers }, () => new Watcher(client, CHANGED, stop.signal))
  await Promise.all(streams.map((stream) => stream.live))
  const answeredMs: number[] = []
  const toldMs: number[] = []
  for (let change = 0; change < changes; change += 1) {
    const startedMs = performance.now()
    const told = streams.map(async (stream) => {
      await stream.next()
      toldMs.push(performance.now() - startedMs)
    })
    await (change % 2 === 0 ? client.disableKey(CHANGED) : client.enableKey(CHANGED))
    answeredMs.push(performance.now() - startedMs)
    await Promise.all(told)
  }
  stop.abort()
  return { keys, snapshotMs, meanwhile, answered: latencyFrom(answeredMs), told: latencyFrom(toldMs) }
}

/** Other requests come one after the other while the snapshot is sent, once at least. */
async function measureSnapshot(client: KesClient): Promise<Pick<Measurement, 'snapshotMs' | 'meanwhile'>> {
  const startedMs = performance.now()
  const stop = new AbortController()
  let isLive = false
  const snapshot = new Watcher(client, '', stop.signal).live.then(() => {
    isLive = true
    return performance.now() - startedMs
  })
  const latencies: number[] = []
  do {
    const sentMs = performance.now()
    await client.generateKey(CHANGED)
    latencies.push(performance.now() - sentMs)
  } while (!isLive)
  stop.abort()
  return { snapshotMs: await snapshot, meanwhile: latencyFrom(latencies) }
}

class Watcher {
  /** Fulfilled when the snapshot has ended. */
  readonly live: Promise<void>
  #tell: (() => void) | undefined

  constructor(client: KesClient, prefix: string, signal: AbortSignal) {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    this.live = promise
    this.live.catch(() => undefined) // Whoever waits for it hears of it; after an abort nobody does.
    this.#read(client.watchKeys(prefix, { signal }), resolve).catch(reject)
  }

  async #read(events: AsyncIterable<KeyEvent>, onLive: () => void): Promise<void> {
    for await (const { event } of events) {
      if (event === 'snapshot-end') onLive()
      if (event === 'change') this.#tell?.()
    }
  }

  /** Fulfilled by the next change. */
  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#tell = resolve
    })
  }
}

function table(results: readonly Measurement[]): string {
  const pair = ({ p50Ms, p99Ms }: Latency): string => `${formatNumber(p50Ms)} / ${formatNumber(p99Ms)}`
  return formatTable(
    ['keys; p50 / p99 of each', 'snapshot ms', 'others meanwhile ms', 'change answered ms', 'change told ms'],
    results.map(({ keys, snapshotMs, meanwhile, answered, told }) => [
      String(keys),
      formatNumber(snapshotMs),
      ...[meanwhile, answered, told].map(pair),
    ]),
  )
}

export const watchProgram: Program = {
  question: 'How soon is a watcher told of a change, and what does a watch cost the others?',
  help: HELP,
  run,
}
