/** Does the server keep what it has used? Mixed load for long, with a look at memory and handles in between. */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Connection, openConnection } from './load/connection.ts'
import { Connector } from './load/connector.ts'
import { LoadProcess } from './load/load-process.ts'
import type { MixedPlan, MixedResult } from './load/messages.ts'
import { type Program, parseCount, UsageError } from './program.ts'
import { ServerProcess } from './server/server-process.ts'
import { Workspace } from './server/workspace.ts'
import { BOUNDS, type Growth, judge, type Sample } from './soak-verdict.ts'
import { formatMegabytes, formatNumber, formatTable } from './table.ts'

const SAMPLES_MIN = 5
const SHOWN_MAX = 40
/** Between two looks at most; an idle HTTP/2 connection lives for 90 s. */
const INTERVAL_SECONDS_MAX = 15
const RESIDENT_INTERVAL_MS = 500
const REST_POLL_MS = 50
const REST_POLLS_SAME = 4
const REST_TIMEOUT_MS = 5_000

const HELP = `npm run bench -- soak [options]

Does the server keep what it has used? Starts a server process and drives it from another one, over HTTP/2 and HTTP/1.1
at once: data keys made and opened, keys created, described, listed, disabled, enabled and erased, requests refused,
too large, aborted or never finished, log streams opened and left, connections dropped in every stage of a handshake.
Every few seconds the load rests, all its connections closed, and the server is looked at. Resident memory is the mean
under the load before that.

The exit code is 1 unless every answer is what it must be, the server logs no error, and the line that fits the second
half of the looks best, by least squares, says so:

${BOUNDS.map((bound) => `  - ${bound}`).join('\n')}

  --minutes N    of load                                   (default: 30)
  --seconds N    instead of minutes, for a short look
  --workers N    clients at a time                         (default: 16)
  --seed N       of the choice what to do next             (default: 1)
  --json         samples, counts and verdict as one JSON line

On a terminal the last look is shown while it runs.
`

interface Options {
  readonly seconds: number
  readonly workers: number
  readonly seed: number
  readonly isJson: boolean
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string' },
      seconds: { type: 'string' },
      workers: { type: 'string', default: '16' },
      seed: { type: 'string', default: '1' },
      json: { type: 'boolean', default: false },
    },
  })
  if (values.minutes !== undefined && values.seconds !== undefined) {
    throw new UsageError("'--minutes' and '--seconds' can not both be given")
  }
  return {
    seconds:
      values.seconds === undefined
        ? parseCount('minutes', values.minutes ?? '30') * 60
        : parseCount('seconds', values.seconds),
    workers: parseCount('workers', values.workers),
    seed: parseCount('seed', values.seed),
    isJson: values.json,
  }
}

interface Outcome {
  readonly samples: readonly Sample[]
  readonly load: MixedResult
  readonly growth: Growth
  /** Of the server's log, at level ERROR. */
  readonly loggedErrors: readonly string[]
  readonly problems: readonly string[]
}

async function run(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (process.platform !== 'linux') throw new UsageError('a soak reads /proc, which only Linux has')
  const outcome = await soak(options)
  process.stdout.write(options.isJson ? `${JSON.stringify(outcome)}\n` : formatOutcome(outcome))
  return outcome.problems.length === 0 ? 0 : 1
}

async function soak({ seconds, workers, seed }: Options): Promise<Outcome> {
  using workspace = await Workspace.create()
  await using server = await ServerProcess.start(workspace)
  const { target } = server
  await using load = await LoadProcess.start<MixedPlan>({
    kind: 'mixed',
    target,
    stranger: workspace.stranger,
    workers,
    seed,
  })
  const observer = openConnection(new Connector(target), 'h2')
  const samples: Sample[] = []
  let total: MixedResult = { counts: {}, unexpected: 0, examples: [] }
  const startedMs = performance.now()
  const intervalMs = Math.min((seconds * 1000) / SAMPLES_MIN, INTERVAL_SECONDS_MAX * 1000)
  try {
    for (let leftMs = seconds * 1000; leftMs >= 1; leftMs -= intervalMs) {
      const resident = new MeanResident(server)
      total = addResults(total, await load.run(Math.min(leftMs, intervalMs)))
      const residentBytes = resident.end()
      await untilAtRest(server)
      const sample = { ...(await look(server, observer, startedMs)), residentBytes }
      samples.push(sample)
      showProgress(sample, seconds, total)
    }
  } finally {
    observer.destroy()
    endProgress()
  }
  await server.stop()
  const growth = judge(samples)
  const loggedErrors = workspace
    .readErrorLog()
    .split('\n')
    .filter((line) => line.includes('"level":"ERROR"') || (line !== '' && !line.startsWith('{')))
  const problems = [
    ...growth.problems,
    ...(total.unexpected > 0 ? [`${total.unexpected} answers were not what they must be`] : []),
    ...(loggedErrors.length > 0 ? [`the server logged ${loggedErrors.length} errors`] : []),
  ]
  return { samples, load: total, growth, loggedErrors: loggedErrors.slice(0, 5), problems }
}

/** Waits until the server has noticed that all connections are gone: until the count of its open files is steady. */
async function untilAtRest(server: ServerProcess): Promise<void> {
  const deadlineMs = performance.now() + REST_TIMEOUT_MS
  let last: number | undefined
  for (let same = 0; same < REST_POLLS_SAME && performance.now() < deadlineMs; ) {
    await delay(REST_POLL_MS)
    const openFiles = server.usage()?.openFiles
    same = openFiles === last ? same + 1 : 0
    last = openFiles
  }
}

/** Under load, because a single look finds more or less of what the collector has not come to yet. */
class MeanResident {
  readonly #server: ServerProcess
  readonly #timer: NodeJS.Timeout
  #sum = 0
  #looks = 0

  constructor(server: ServerProcess) {
    this.#server = server
    this.#timer = setInterval(() => this.#look(), RESIDENT_INTERVAL_MS)
  }

  /** @returns bytes, the mean until now. */
  end(): number {
    clearInterval(this.#timer)
    this.#look()
    return this.#sum / this.#looks
  }

  #look(): void {
    const usage = this.#server.usage()
    if (usage === undefined) return // It is gone; the look at rest says so.
    this.#sum += usage.residentBytes
    this.#looks += 1
  }
}

async function look(
  server: ServerProcess,
  observer: Connection,
  startedMs: number,
): Promise<Omit<Sample, 'residentBytes'>> {
  const { status, body } = await observer.send({ method: 'GET', path: '/v1/metrics' }).reply
  if (status !== 200) throw new Error(`GET /v1/metrics: ${status} ${body}`)
  const usage = server.usage()
  if (usage === undefined) throw new Error('the server is gone')
  return {
    seconds: (performance.now() - startedMs) / 1000,
    heapBytes: readGauge(body, 'kes_system_mem_heap_used'),
    openFiles: usage.openFiles,
    threads: usage.threads,
    activeRequests: readGauge(body, 'kes_http_request_active'),
  }
}

function readGauge(metrics: string, name: string): number {
  const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1]
  if (value === undefined) throw new Error(`the server's metrics have no '${name}'`)
  return Number(value)
}

function addResults(a: MixedResult, b: MixedResult): MixedResult {
  const counts = { ...a.counts }
  for (const [name, count] of Object.entries(b.counts)) counts[name] = (counts[name] ?? 0) + count
  return {
    counts,
    unexpected: a.unexpected + b.unexpected,
    examples: [...a.examples, ...b.examples].slice(0, 5),
  }
}

function showProgress(sample: Sample, seconds: number, { unexpected }: MixedResult): void {
  if (process.stderr.isTTY !== true) return
  const { residentBytes, heapBytes, openFiles } = sample
  process.stderr.write(
    `\r${sample.seconds.toFixed(0)} of ${seconds} s: ${formatMegabytes(residentBytes)} MB resident, ` +
      `${formatMegabytes(heapBytes)} MB of heap used, ${openFiles} open files, ${unexpected} wrong answers `,
  )
}

function endProgress(): void {
  if (process.stderr.isTTY === true) process.stderr.write('\n')
}

// --- Output --------------------------------------------------------------------------------------------------

function formatOutcome({ samples, load, growth, loggedErrors, problems }: Outcome): string {
  const every = Math.ceil(samples.length / SHOWN_MAX)
  const shown = samples.filter((_, index) => (samples.length - 1 - index) % every === 0)
  const rows = shown.map((sample) => [
    sample.seconds.toFixed(0),
    formatMegabytes(sample.residentBytes),
    formatMegabytes(sample.heapBytes),
    String(sample.openFiles),
    String(sample.threads),
    String(sample.activeRequests),
  ])
  const header = ['seconds', 'resident MB', 'heap used MB', 'open files', 'threads', 'active requests']
  const counts = Object.entries(load.counts).sort(([a], [b]) => (a < b ? -1 : 1))
  return [
    formatTable(header, rows),
    formatTable(
      ['done', 'times'],
      counts.map(([name, count]) => [name, String(count)]),
    ),
    `Second half: resident memory ${formatSigned(growth.residentBytesPerMinute / 1e6)} MB a minute ` +
      `(${formatSigned(growth.residentShareIn30Min * 100)} % in 30 minutes), open files ` +
      `${formatSigned(growth.openFilesPerMinute)} a minute (${formatSigned(growth.openFilesRisen)} in all).`,
    ...load.examples.map((example) => `Unexpected: ${example}`),
    ...loggedErrors.map((line) => `Logged: ${line}`),
    problems.length === 0 ? `Passed: ${BOUNDS.join('; ')}.` : `FAILED: ${problems.join('; ')}.`,
    '',
  ].join('\n')
}

function formatSigned(value: number): string {
  return `${value < 0 ? '' : '+'}${formatNumber(value)}`
}

export const soakProgram: Program = {
  question: 'Does the server keep what it has used? Memory and handles over hours of mixed load.',
  help: HELP,
  run,
}
