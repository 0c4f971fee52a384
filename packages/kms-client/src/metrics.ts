/** Reads Prometheus' text format 0.0.4, as far as KES uses it, and KES's own metrics from it. */
import { KesProtocolError } from './errors.ts'

const SAMPLE = /^([A-Za-z_:][\w:]*)(?:\{(.*)\})?[ \t]+(\S+)(?:[ \t]+-?\d+)?$/
const COMMENT = /^#[ \t]+(HELP|TYPE)[ \t]+(\S+)[ \t]*(.*)$/
const LABEL = /([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)",?/y
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const ESCAPE = /\\(.)/g
/** What a histogram's and a summary's samples append to the family's name. */
const SAMPLE_SUFFIX = /_(?:bucket|sum|count)$/

export interface MetricSample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface MetricFamily {
  readonly name: string
  readonly help: string
  /** `counter`, `gauge`, `histogram`, … */
  readonly type: string
  readonly samples: readonly MetricSample[]
}

/** Counts are since the server's start. What a server does not report is 0. */
export interface KesMetrics {
  /** Requests answered with 2xx, 4xx and 5xx. */
  readonly requestsSucceeded: number
  readonly requestsRefused: number
  readonly requestsFailed: number
  readonly requestsActive: number
  readonly responseTime: {
    /** How many requests took no longer, in ascending order; the last bound is Infinity. */
    readonly buckets: readonly { readonly upToSeconds: number; readonly count: number }[]
    readonly sumSeconds: number
    readonly count: number
  }
  readonly errorLogEvents: number
  readonly auditLogEvents: number
  readonly upTimeSeconds: number
  readonly cpus: number
  readonly cpusUsed: number
  readonly threads: number
  readonly heapUsedBytes: number
  readonly heapObjects: number
  readonly stackUsedBytes: number
  /** Everything the server reported, by name. */
  readonly families: ReadonlyMap<string, MetricFamily>
  /** The reply as it came. */
  readonly text: string
}

/** @throws {@link KesProtocolError} if the text is not in Prometheus' format. */
export function decodeMetrics(text: string): KesMetrics {
  const families = parseFamilies(text)
  const samples = (name: string): readonly MetricSample[] => families.get(name)?.samples ?? []
  const sum = (name: string): number => samples(name).reduce((total, { value }) => total + value, 0)

  const times = samples('kes_http_response_time')
  const time = (suffix: string): number => times.find(({ name }) => name.endsWith(suffix))?.value ?? 0
  const buckets = times
    .filter(({ name }) => name.endsWith('_bucket'))
    .map(({ labels, value }) => ({ upToSeconds: parseNumber(labels.le ?? ''), count: value }))
    .sort((a, b) => (a.upToSeconds < b.upToSeconds ? -1 : 1))
  return {
    requestsSucceeded: sum('kes_http_request_success'),
    requestsRefused: sum('kes_http_request_error'),
    requestsFailed: sum('kes_http_request_failure'),
    requestsActive: sum('kes_http_request_active'),
    responseTime: { buckets, sumSeconds: time('_sum'), count: time('_count') },
    errorLogEvents: sum('kes_log_error_events'),
    auditLogEvents: sum('kes_log_audit_events'),
    upTimeSeconds: sum('kes_system_up_time'),
    cpus: sum('kes_system_num_cpu'),
    cpusUsed: sum('kes_system_num_cpu_used'),
    threads: sum('kes_system_num_threads'),
    heapUsedBytes: sum('kes_system_mem_heap_used'),
    heapObjects: sum('kes_system_mem_heap_objects'),
    stackUsedBytes: sum('kes_system_mem_stack_used'),
    families,
    text,
  }
}

interface OpenFamily extends MetricFamily {
  help: string
  type: string
  readonly samples: MetricSample[]
}

function parseFamilies(text: string): Map<string, OpenFamily> {
  const families = new Map<string, OpenFamily>()
  const familyOf = (name: string): OpenFamily => {
    const family = families.get(name) ?? { name, help: '', type: 'untyped', samples: [] }
    families.set(name, family)
    return family
  }
  for (const line of text.split('\n').map((each) => each.trim())) {
    if (line === '') continue
    if (line.startsWith('#')) {
      const [, kind, name = '', rest = ''] = COMMENT.exec(line) ?? []
      if (kind === 'HELP') familyOf(name).help = removeEscapes(rest)
      if (kind === 'TYPE') familyOf(name).type = rest
      continue
    }
    const sample = parseSample(line)
    const stem = sample.name.replace(SAMPLE_SUFFIX, '')
    familyOf(families.has(stem) ? stem : sample.name).samples.push(sample)
  }
  return families
}

function parseSample(line: string): MetricSample {
  const [, name, labels = '', value] = SAMPLE.exec(line) ?? []
  if (name === undefined || value === undefined) throw unreadable(line)
  return { name, labels: parseLabels(labels), value: parseNumber(value) }
}

function parseLabels(text: string): Record<string, string> {
  const labels: Record<string, string> = {}
  for (let offset = 0; offset < text.length; offset = LABEL.lastIndex) {
    LABEL.lastIndex = offset
    const [, name, value] = LABEL.exec(text) ?? []
    if (name === undefined || value === undefined) throw unreadable(text)
    labels[name] = removeEscapes(value)
  }
  return labels
}

function parseNumber(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  if (text === '-Inf') return Number.NEGATIVE_INFINITY
  if (text === 'NaN') return Number.NaN
  if (!NUMBER.test(text)) throw unreadable(text)
  return Number(text)
}

function removeEscapes(text: string): string {
  return text.replaceAll(ESCAPE, (_, character: string) => (character === 'n' ? '\n' : character))
}

function unreadable(text: string): KesProtocolError {
  return new KesProtocolError(`the server's metrics can't be read at '${text.slice(0, 100)}'`)
}
