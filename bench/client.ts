/** What does a call cost its caller? Decrypts with the client and with bare HTTP clients, each in its own process. */
import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { KesClient } from '@latchkey/kms-client'
import { exitOf, startNode } from './cleanup.ts'
import { CONTENDERS, type ContenderName } from './client/contenders.ts'
import type { ContenderPlan, ContenderResult } from './client/run-contender.ts'
import { HTTP_PROTOCOLS, type HttpProtocol } from './load/target.ts'
import { type Program, parseChoices, parseCount } from './program.ts'
import { ServerProcess } from './server/server-process.ts'
import { Workspace } from './server/workspace.ts'
import { summarize } from './statistics.ts'
import { formatNumber, formatTable } from './table.ts'

const PROGRAM = join(import.meta.dirname, 'client', 'run-contender.ts')
const KEY_NAME = 'bench'

const HELP = `npm run bench -- client [options]

What does a call cost its caller? Starts a server, and decrypts a data key again and again: with @latchkey/kms-client,
with undici, and with Node's own node:http2 and node:https, which do the same request without checks, deadline,
failover or repetition. Prints calls a second, latency, and the CPU time that the calling process spends on a call. The
last one is the figure to compare: the others depend on the server and on what else the machine does.

  --contender LIST   of ${CONTENDERS.join(', ')}; default: all
  --protocol LIST    of ${HTTP_PROTOCOLS.join(', ')}; default: both
  --calls N          that count, for each row     (default: 20000)
  --warm-up N        before those                 (default: 3000)
  --concurrency N    calls at a time              (default: 32)
  --runs N           in turn; prints medians      (default: 3)
  --json             one JSON line a row instead of a table
`

interface Row {
  readonly contender: ContenderName
  readonly protocol: HttpProtocol
  readonly results: readonly ContenderResult[]
}

async function run(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      contender: { type: 'string', default: CONTENDERS.join(',') },
      protocol: { type: 'string', default: HTTP_PROTOCOLS.join(',') },
      calls: { type: 'string', default: '20000' },
      'warm-up': { type: 'string', default: '3000' },
      concurrency: { type: 'string', default: '32' },
      runs: { type: 'string', default: '3' },
      json: { type: 'boolean', default: false },
    },
  })
  const contenders = parseChoices('contender', values.contender, CONTENDERS)
  const protocols = parseChoices('protocol', values.protocol, HTTP_PROTOCOLS)
  const counts = {
    calls: parseCount('calls', values.calls),
    warmUp: parseCount('warm-up', values['warm-up']),
    concurrency: parseCount('concurrency', values.concurrency),
  }
  const runs = parseCount('runs', values.runs)

  using workspace = await Workspace.create({ keyNames: [KEY_NAME] })
  await using server = await ServerProcess.start(workspace)
  const ciphertext = await makeCiphertext(server)
  const pairs = protocols.flatMap((protocol) => contenders.map((contender) => ({ contender, protocol })))
  const results = pairs.map((): ContenderResult[] => [])
  for (let number = 0; number < runs; number++) {
    for (const [index, pair] of pairs.entries()) {
      const plan = { ...pair, ...counts, target: server.target, keyName: KEY_NAME, ciphertext }
      results[index]?.push(await runContender(plan))
    }
  }
  const rows = pairs.map((pair, index) => ({ ...pair, results: results[index] ?? [] }))
  process.stdout.write(values.json ? rows.map(jsonLine).join('') : table(rows))
  return 0
}

/** @returns base64. */
async function makeCiphertext({ url, target }: ServerProcess): Promise<string> {
  const certificate = { certFile: target.certFile, keyFile: target.keyFile }
  await using client = new KesClient({ endpoint: url, caPath: target.caFile, certificate })
  return Buffer.from((await client.generateKey(KEY_NAME)).ciphertext).toString('base64')
}

async function runContender(plan: ContenderPlan): Promise<ContenderResult> {
  const child = startNode([PROGRAM, JSON.stringify(plan)], ['ignore', 'ignore', 'inherit', 'ipc'])
  const ended = exitOf(child).then(() => {
    throw new Error(`${plan.contender} over ${plan.protocol} ended without a result`)
  })
  const [result] = await Promise.race([once(child, 'message'), ended])
  ended.catch(() => {}) // It ends now, with its result.
  return result
}

const median = (results: readonly ContenderResult[], figure: keyof ContenderResult) =>
  summarize(results.map((result) => result[figure])).median

function table(rows: readonly Row[]): string {
  const header = ['client', 'protocol', 'calls/s', 'p50 ms', 'p99 ms', 'CPU µs/call']
  return formatTable(
    header,
    rows.map(({ contender, protocol, results }) => [
      contender,
      protocol,
      formatNumber(median(results, 'callsPerSecond')),
      formatNumber(median(results, 'p50Ms')),
      formatNumber(median(results, 'p99Ms')),
      formatNumber(median(results, 'cpuMicrosPerCall')),
    ]),
  )
}

function jsonLine({ contender, protocol, results }: Row): string {
  const figures = ['callsPerSecond', 'p50Ms', 'p99Ms', 'cpuMicrosPerCall'] as const
  const medians = Object.fromEntries(figures.map((figure) => [figure, median(results, figure)]))
  return `${JSON.stringify({ contender, protocol, runs: results.length, ...medians })}\n`
}

export const clientProgram: Program = {
  question: 'What does a call cost its caller? The client, beside undici and bare HTTP.',
  help: HELP,
  run,
}
