/**
 * What the server counts, with the names, labels and buckets of KES, in both of its exposition formats.
 *
 * KES's own clients fail on a family with more than one series other than the three request counters, and on
 * one with a HELP line but no sample, so nothing else may stand here.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/ for the text format, version 0.0.4.
 */
import { availableParallelism } from 'node:os'
import { ProtobufWriter } from '../encoding/protobuf.ts'
import { type Family, type Histogram, type Kind, textOf } from './families.ts'
import { TIME_BUCKETS_SECONDS, type Usage } from './metrics.ts'

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

/** The text of what several requests at a time were told. */
const texts = new WeakMap<Usage, string>()

/** Prometheus's text format, version 0.0.4. */
export function metricsText(usage: Usage): string {
  const text = texts.get(usage) ?? textOf(familiesOf(usage))
  texts.set(usage, text)
  return text
}

/** `io.prometheus.client.MetricFamily` messages, each behind its length as a varint. */
export function metricsProtobuf(usage: Usage): Buffer {
  const stream = new ProtobufWriter()
  for (const family of familiesOf(usage)) stream.delimited(encodeFamily(family))
  return stream.finish()
}

/** Families in the order of their names, without those that have no sample yet. */
function familiesOf(usage: Usage): Family[] {
  const single = (kind: Kind, name: string, help: string, value: number): Family => ({
    name,
    help,
    kind,
    samples: [{ labels: [], value }],
  })
  const { kernel } = usage
  return [
    requests('kes_http_request_error', HELP.error, usage, 400),
    requests('kes_http_request_failure', HELP.failure, usage, 500),
    requests('kes_http_request_success', HELP.success, usage, 200),
    single('gauge', 'kes_http_request_active', HELP.active, usage.active),
    { ...single('histogram', 'kes_http_response_time', HELP.time, 0), histogram: histogramOf(usage) },
    single('counter', 'kes_log_audit_events', HELP.auditEvents, usage.auditEvents),
    single('counter', 'kes_log_error_events', HELP.errorEvents, usage.errorEvents),
    single('gauge', 'kes_system_mem_heap_used', HELP.heap, usage.heapBytes),
    single('gauge', 'kes_system_num_cpu', HELP.cpus, availableParallelism()),
    single('gauge', 'kes_system_num_cpu_used', HELP.cpusUsed, availableParallelism()),
    single('gauge', 'kes_system_up_time', HELP.upTime, Math.round(usage.upTimeSeconds * 100) / 100),
    ...(kernel === undefined
      ? []
      : [
          single('gauge', 'kes_system_mem_stack_used', HELP.stack, kernel.stackBytes),
          single('gauge', 'kes_system_num_threads', HELP.threads, kernel.threads),
        ]),
  ]
    .filter(({ samples }) => samples.length > 0)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

function requests(name: string, help: string, { byStatus }: Usage, firstStatus: number): Family {
  const samples = [...byStatus]
    .filter(([status]) => status >= firstStatus && status < firstStatus + 100)
    .sort(([a], [b]) => a - b)
    .map(([status, value]) => ({ labels: [['code', String(status)]] as const, value }))
  return { name, help, kind: 'counter', samples }
}

function histogramOf({ buckets, secondsSum }: Usage): Histogram {
  let count = 0
  const running = buckets.map((each) => {
    count += each
    return count
  })
  return { cumulative: running.slice(0, -1), count, sum: secondsSum }
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
