/**
 * The server's counters, with the names, labels and buckets of KES, in both of its exposition formats.
 *
 * KES's own clients fail on a family with more than one series other than the three request counters, and on
 * one with a HELP line but no sample, so nothing else may stand here.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/ for the text format, version 0.0.4.
 */
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import { ProtobufWriter } from '../encoding/protobuf.ts'

const TIME_BUCKETS_SECONDS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 3, 5, 10] as const

type Kind = 'counter' | 'gauge' | 'histogram'

interface Sample {
  readonly labels: readonly (readonly [string, string])[]
  readonly value: number
}

interface Histogram {
  /** Cumulative counts, one for each bucket of {@link TIME_BUCKETS_SECONDS}. */
  readonly cumulative: readonly number[]
  readonly count: number
  readonly sum: number
}

interface Family {
  readonly name: string
  readonly help: string
  readonly kind: Kind
  readonly samples: readonly Sample[]
  readonly histogram?: Histogram
}

const HELP = {
  success: 'Number of requests that have been served successfully.',
  error: 'Number of request that failed due to some error. (HTTP 4xx status code)',
  failure: 'Number of request that failed due to some internal failure. (HTTP 5xx status code)',
  active: 'Number of active requests that are not finished, yet.',
  time: 'Histogram of request response times spawning from 10ms to 10s.',
  errorEvents: 'Number of error log events written to the error log targets.',
  auditEvents: 'Number of audit log events written to the audit log targets.',
  upTime: 'The time the server has been up and running in seconds.',
  cpus: 'The number of logical CPUs available on the system.',
  cpusUsed: 'The number of logical CPUs usable by the server.',
  threads: 'The number of operating system threads of the server.',
  heap: 'The number of bytes of heap memory in use.',
  stack: 'The number of bytes of stack memory in use.',
} as const

export class Metrics {
  readonly #startedMs = performance.now()
  readonly #byStatus = new Map<number, number>()
  readonly #buckets: number[] = new Array(TIME_BUCKETS_SECONDS.length + 1).fill(0)
  #timeSum = 0
  #timeCount = 0
  #active = 0
  #errorEvents = 0
  #auditEvents = 0

  get upTimeSeconds(): number {
    return (performance.now() - this.#startedMs) / 1000
  }

  requestStarted(): void {
    this.#active += 1
  }

  /** A request that was counted by {@link requestStarted} is over, with or without a reply. */
  requestEnded(): void {
    this.#active -= 1
  }

  /** A reply went out. */
  replied(status: number, seconds: number): void {
    this.#byStatus.set(status, (this.#byStatus.get(status) ?? 0) + 1)
    let bucket = 0
    while (bucket < TIME_BUCKETS_SECONDS.length && seconds > (TIME_BUCKETS_SECONDS[bucket] ?? 0)) bucket += 1
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1
    this.#timeSum += seconds
    this.#timeCount += 1
  }

  errorEventSent(): void {
    this.#errorEvents += 1
  }

  auditEventSent(): void {
    this.#auditEvents += 1
  }

  /** Families in the order of their names, without those that have no sample yet. */
  #families(): Family[] {
    const gauge = (name: string, help: string, value: number): Family => ({
      name,
      help,
      kind: 'gauge',
      samples: [{ labels: [], value }],
    })
    const counter = (name: string, help: string, value: number): Family => ({
      name,
      help,
      kind: 'counter',
      samples: [{ labels: [], value }],
    })
    return [
      this.#requests('kes_http_request_error', HELP.error, 400),
      this.#requests('kes_http_request_failure', HELP.failure, 500),
      this.#requests('kes_http_request_success', HELP.success, 200),
      gauge('kes_http_request_active', HELP.active, this.#active),
      {
        name: 'kes_http_response_time',
        help: HELP.time,
        kind: 'histogram' as const,
        samples: [{ labels: [], value: 0 }],
        histogram: this.#histogram(),
      },
      counter('kes_log_audit_events', HELP.auditEvents, this.#auditEvents),
      counter('kes_log_error_events', HELP.errorEvents, this.#errorEvents),
      gauge('kes_system_mem_heap_used', HELP.heap, getHeapStatistics().used_heap_size),
      gauge('kes_system_num_cpu', HELP.cpus, availableParallelism()),
      gauge('kes_system_num_cpu_used', HELP.cpusUsed, availableParallelism()),
      gauge('kes_system_up_time', HELP.upTime, Math.round(this.upTimeSeconds * 100) / 100),
      ...this.#fromKernel(gauge),
    ]
      .filter(({ samples }) => samples.length > 0)
      .sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  #fromKernel(gauge: (name: string, help: string, value: number) => Family): Family[] {
    const usage = processUsage()
    if (usage === undefined) return []
    return [
      gauge('kes_system_mem_stack_used', HELP.stack, usage.stackBytes),
      gauge('kes_system_num_threads', HELP.threads, usage.threads),
    ]
  }

  #requests(name: string, help: string, firstStatus: number): Family {
    const samples = [...this.#byStatus]
      .filter(([status]) => status >= firstStatus && status < firstStatus + 100)
      .sort(([a], [b]) => a - b)
      .map(([status, value]) => ({ labels: [['code', String(status)]] as const, value }))
    return { name, help, kind: 'counter', samples }
  }

  #histogram(): Histogram {
    let total = 0
    const cumulative = TIME_BUCKETS_SECONDS.map((_, index) => {
      total += this.#buckets[index] ?? 0
      return total
    })
    return { cumulative, count: this.#timeCount, sum: this.#timeSum }
  }

  /** Prometheus's text format, version 0.0.4. */
  toText(): string {
    const lines: string[] = []
    for (const family of this.#families()) {
      lines.push(`# HELP ${family.name} ${family.help}`, `# TYPE ${family.name} ${family.kind}`)
      if (family.histogram === undefined) {
        for (const { labels, value } of family.samples)
          lines.push(`${family.name}${labelText(labels)} ${value}`)
        continue
      }
      const { cumulative, count, sum } = family.histogram
      for (const [index, bound] of TIME_BUCKETS_SECONDS.entries()) {
        lines.push(`${family.name}_bucket{le="${bound}"} ${cumulative[index]}`)
      }
      lines.push(`${family.name}_bucket{le="+Inf"} ${count}`)
      lines.push(`${family.name}_sum ${sum}`, `${family.name}_count ${count}`)
    }
    return `${lines.join('\n')}\n`
  }

  /** `io.prometheus.client.MetricFamily` messages, each behind its length as a varint. */
  toProtobuf(): Buffer {
    const stream = new ProtobufWriter()
    for (const family of this.#families()) stream.delimited(encodeFamily(family))
    return stream.finish()
  }
}

function labelText(labels: Sample['labels']): string {
  if (labels.length === 0) return ''
  return `{${labels.map(([name, value]) => `${name}="${value}"`).join(',')}}`
}

const KIND_NUMBER: Readonly<Record<Kind, number>> = { counter: 0, gauge: 1, histogram: 4 }
const VALUE_FIELD: Readonly<Record<Kind, number>> = { counter: 3, gauge: 2, histogram: 7 }

/** Numbers are those of `metrics.proto` of the Prometheus client model. */
function encodeFamily(family: Family): Buffer {
  const writer = new ProtobufWriter()
    .string(1, family.name)
    .string(2, family.help)
    .uint(3, KIND_NUMBER[family.kind])
  for (const { labels, value } of family.samples) {
    const metric = new ProtobufWriter()
    for (const [name, text] of labels) {
      metric.message(1, new ProtobufWriter().string(1, name).string(2, text).finish())
    }
    const body = family.histogram ? encodeHistogram(family.histogram) : encodeValue(value)
    writer.message(4, metric.message(VALUE_FIELD[family.kind], body).finish())
  }
  return writer.finish()
}

function encodeValue(value: number): Buffer {
  return new ProtobufWriter().double(1, value).finish()
}

function encodeHistogram({ cumulative, count, sum }: Histogram): Buffer {
  const writer = new ProtobufWriter().uint(1, count).double(2, sum)
  for (const [index, bound] of TIME_BUCKETS_SECONDS.entries()) {
    const bucket = new ProtobufWriter()
      .uint(1, cumulative[index] ?? 0)
      .double(2, bound)
      .finish()
    writer.message(3, bucket)
  }
  return writer.finish()
}

/** What Linux says of this process; undefined where there is no `/proc`. */
export function processUsage(): { readonly threads: number; readonly stackBytes: number } | undefined {
  let status: string
  try {
    status = readFileSync('/proc/self/status', 'utf8')
  } catch {
    return undefined
  }
  const threads = /^Threads:\s+(\d+)/m.exec(status)?.[1]
  const stackKib = /^VmStk:\s+(\d+)/m.exec(status)?.[1]
  if (threads === undefined || stackKib === undefined) return undefined
  return { threads: Number(threads), stackBytes: Number(stackKib) * 1024 }
}
