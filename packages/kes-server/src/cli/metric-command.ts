/** `kes metric`: a server's counters, again and again until Ctrl-C. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { KesMetrics } from '@latchkey/kms-client'
import type { ClientFlags, KesCommand } from './command.ts'
import { formatBytes, formatLatency, formatTable, formatUptime } from './format.ts'
import { type Io, isForPeople, printJson } from './io.ts'
import { Exit } from './outcome.ts'
import { paint } from './paint.ts'
import { withServers } from './with-servers.ts'

const RATE_MS = 5_000
const NANOSECONDS = 1e9
/** Of Node, which takes a longer time for a millisecond. */
const TIMER_MAX_MS = 2 ** 31 - 1

export function addMetricCommand(program: KesCommand, io: Io): void {
  program
    .command('metric')
    .description('Print metrics of a server until interrupted')
    .addClientOptions()
    .addDurationOption('--rate <duration>', 'Time between two measurements (default: 5s)')
    .action((flags: ClientFlags & { rate?: number }) =>
      withServers(io, flags, async (servers) => {
        let before: Sample | undefined
        for (;;) {
          const metrics = await servers.call(
            { method: 'GET', path: '/v1/metrics', failure: 'failed to fetch metrics' },
            (client, options) => client.metrics(options),
          )
          const sample = { metrics, atMs: io.now().getTime() }
          if (isForPeople(io)) io.stdout.write(screen(io, sample, before))
          else printJson(io, metricsDocument(metrics))
          before = sample
          await pause(flags.rate ?? RATE_MS, io.interruption)
        }
      }),
    )
}

interface Sample {
  readonly metrics: KesMetrics
  readonly atMs: number
}

async function pause(ms: number, interruption: AbortSignal): Promise<void> {
  try {
    for (let leftMs = ms; leftMs > 0; leftMs -= TIMER_MAX_MS) {
      await sleep(Math.min(leftMs, TIMER_MAX_MS), undefined, { signal: interruption })
    }
  } catch (error) {
    throw interruption.aborted ? new Exit(0) : error
  }
}

/** The lines of KES's table; those of the measurement before are overwritten. */
function screen(io: Io, { metrics, atMs }: Sample, before: Sample | undefined): string {
  const done = (each: KesMetrics) => each.requestsSucceeded + each.requestsRefused + each.requestsFailed
  const total = done(metrics)
  const seconds = before === undefined ? metrics.upTimeSeconds : (atMs - before.atMs) / 1000
  const rate = seconds > 0 ? (total - (before === undefined ? 0 : done(before.metrics))) / seconds : 0
  const { sumSeconds, count } = metrics.responseTime
  const share = (part: number) => `${part} (${total === 0 ? 0 : ((part / total) * 100).toFixed(1)}%)`

  const [requestHeader = '', requests = ''] = formatTable([
    ['Request', 'OK [2xx]', 'Err [4xx]', 'Err [5xx]', 'Req/s', 'Latency'],
    [
      '',
      share(metrics.requestsSucceeded),
      share(metrics.requestsRefused),
      share(metrics.requestsFailed),
      rate.toFixed(1),
      count === 0 ? '-' : formatLatency((sumSeconds / count) * NANOSECONDS),
    ],
  ])
  const [systemHeader = '', system = ''] = formatTable([
    ['System ', 'UpTime', 'Heap', 'Stack', 'CPUs', 'Threads'],
    [
      '',
      formatUptime(metrics.upTimeSeconds),
      formatBytes(metrics.heapUsedBytes),
      formatBytes(metrics.stackUsedBytes),
      String(metrics.cpus),
      String(metrics.threads),
    ],
  ])
  const title = (text: string) => paint('bold', text, io.stdout, io.env)
  const lines = [title(requestHeader), requests, '', title(systemHeader), system]
  const isRedrawn = before !== undefined && io.stdout.isTerminal
  const text = lines.map((line) => (isRedrawn ? `\u001b[2K${line}\n` : `${line}\n`)).join('')
  return isRedrawn ? `\u001b[${lines.length}A${text}` : text
}

/** KES's fields; times are in nanoseconds, and a bucket's name is its upper bound. */
function metricsDocument(metrics: KesMetrics) {
  const buckets = metrics.responseTime.buckets.filter(({ upToSeconds }) => Number.isFinite(upToSeconds))
  return {
    kes_http_request_success: metrics.requestsSucceeded,
    kes_http_request_error: metrics.requestsRefused,
    kes_http_request_failure: metrics.requestsFailed,
    kes_http_request_active: metrics.requestsActive,
    kes_log_audit_events: metrics.auditLogEvents,
    kes_log_error_events: metrics.errorLogEvents,
    kes_http_response_time: Object.fromEntries(
      buckets.map(({ upToSeconds, count }) => [Math.round(upToSeconds * NANOSECONDS), count]),
    ),
    kes_system_up_time: Math.round(metrics.upTimeSeconds * NANOSECONDS),
    kes_system_num_cpu: metrics.cpus,
    kes_system_num_cpu_used: metrics.cpusUsed,
    kes_system_num_threads: metrics.threads,
    kes_system_mem_heap_used: metrics.heapUsedBytes,
    kes_system_mem_heap_objects: metrics.heapObjects,
    kes_system_mem_stack_used: metrics.stackUsedBytes,
  }
}
