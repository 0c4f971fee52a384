/** What does the audit file cost, and is an event ever missing? */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { LoadProcess } from './load/load-process.ts'
import { type Program, parseCount } from './program.ts'
import { cpuMicrosPerRequest } from './server/process-usage.ts'
import { ServerProcess } from './server/server-process.ts'
import { Workspace } from './server/workspace.ts'
import { formatNumber, formatTable } from './table.ts'

const HELP = `npm run bench -- audit [options]

What does the audit file cost, and is an event ever missing? Starts a server as a process of its own (SQLite, mutual
TLS), drives 'generate' over HTTP/2 from another process, and prints requests a second, latency, and the CPU time that
the server alone spent on a request: without an audit log, and with the audit file, whose events are on the disk before
their replies go out. The last row has far more requests at a time than the server can serve. The events in the files
are counted against the replies; one that is missing or too many makes the exit code 1.

  --requests N       that count, for each row                               (default: 30000)
  --warm-up N        before those                                           (default: 2000)
  --concurrency N    requests at a time                                     (default: 64)
  --workers N        processes that serve                                   (default: the server's, one a core)
  --overload N       requests at a time in the last row                     (default: 1000)
  --connections N    of HTTP/2, for each 250 requests at a time             (default: 4)
  --folder DIR       on the disk to look at               (default: the system's for temporary files)
  --json             one JSON line a row instead of a table
`

interface Options {
  readonly requests: number
  readonly warmUp: number
  readonly concurrency: number
  readonly workers: number | undefined
  readonly overload: number
  readonly connections: number
  readonly folder: string | undefined
  readonly isJson: boolean
}

interface Measurement {
  readonly audit: 'off' | 'file'
  readonly concurrency: number
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Undefined where the kernel does not tell. */
  readonly cpuMicros: number | undefined
  readonly failures: number
  readonly replies: number
  /** Of these replies, in the audit files. */
  readonly events: number
  readonly loadBusy: number
}

const KEY_NAME = 'bench'
/** A server takes no more of one connection at a time. */
const STREAMS_MAX = 250

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const { concurrency, overload } = options
  const rows = [
    await measure(options, 'off', concurrency),
    await measure(options, 'file', concurrency),
    await measure(options, 'file', overload),
  ]
  process.stdout.write(
    options.isJson ? rows.map((row) => `${JSON.stringify(row)}\n`).join('') : tableOf(rows),
  )
  const isWhole = rows.every(({ audit, replies, events }) => events === (audit === 'file' ? replies : 0))
  return isWhole && rows.every(({ failures }) => failures === 0) ? 0 : 1
}

async function measure(
  options: Options,
  audit: Measurement['audit'],
  concurrency: number,
): Promise<Measurement> {
  const { requests, warmUp, folder, workers } = options
  using workspace = await Workspace.create({ audit, parent: folder, workers, keyNames: [KEY_NAME] })
  await using server = await ServerProcess.start(workspace)
  const connections = options.connections * Math.ceil(concurrency / STREAMS_MAX)
  const plan = { operation: 'generate', protocol: 'h2', keyName: KEY_NAME, requests, warmUp } as const
  await using load = await LoadProcess.start({
    ...plan,
    kind: 'uniform',
    target: server.target,
    concurrency,
    connections,
  })
  const before = server.usage()
  const { firstFailure, ...result } = await load.run()
  const cpuMicros = cpuMicrosPerRequest(before, server.usage(), requests)
  await server.stop()
  if (firstFailure !== undefined) process.stderr.write(`First failure: ${firstFailure}\n`)
  const replies = requests + warmUp
  return { audit, concurrency, cpuMicros, replies, events: countEvents(workspace.auditFile), ...result }
}

/** How often the audit files have the path of the load. */
function countEvents(auditFile: string): number {
  const path = `"path":"/v1/key/generate/${KEY_NAME}"`
  const folder = dirname(auditFile)
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return 0 // Without an audit file there is no folder for it.
  }
  return names
    .filter((name) => name.endsWith('.jsonl'))
    .reduce((sum, name) => sum + readFileSync(join(folder, name), 'utf8').split(path).length - 1, 0)
}

function tableOf(rows: readonly Measurement[]): string {
  const header = [
    'audit',
    'at a time',
    'requests/s',
    'p50 ms',
    'p99 ms',
    'CPU µs/request',
    'failures',
    'replies',
    'events',
    'load busy %',
  ]
  const cells = rows.map((row) => [
    row.audit,
    String(row.concurrency),
    formatNumber(row.requestsPerSecond),
    formatNumber(row.p50Ms),
    formatNumber(row.p99Ms),
    row.cpuMicros === undefined ? 'n/a' : formatNumber(row.cpuMicros),
    String(row.failures),
    String(row.replies),
    String(row.events),
    formatNumber(row.loadBusy * 100),
  ])
  return formatTable(header, cells)
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      requests: { type: 'string', default: '30000' },
      'warm-up': { type: 'string', default: '2000' },
      concurrency: { type: 'string', default: '64' },
      overload: { type: 'string', default: '1000' },
      connections: { type: 'string', default: '4' },
      folder: { type: 'string' },
      workers: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  })
  return {
    requests: parseCount('requests', values.requests),
    warmUp: parseCount('warm-up', values['warm-up']),
    concurrency: parseCount('concurrency', values.concurrency),
    overload: parseCount('overload', values.overload),
    connections: parseCount('connections', values.connections),
    folder: values.folder,
    workers: values.workers === undefined ? undefined : parseCount('workers', values.workers),
    isJson: values.json,
  }
}

export const auditProgram: Program = {
  question: 'What does the audit file cost, and is an event ever missing?',
  help: HELP,
  run,
}
