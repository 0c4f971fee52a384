/**
 * Reads Prometheus's delimited Protocol Buffers into what its text format says of the same families. Written
 * here from the schema, so that the server's own encoder is not its own judge.
 *
 * @see https://github.com/prometheus/client_model, `io/prometheus/client/metrics.proto`
 */

type Series = readonly [labels: string, value: number]

export interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly series: Series[]
}

interface Field {
  readonly number: number
  /** A varint or a double; 0 for bytes. */
  readonly value: number
  /** Empty but for bytes. */
  readonly bytes: Buffer
}

const TYPES: Readonly<Record<number, string>> = { 0: 'counter', 1: 'gauge', 4: 'histogram' }
/** Field of a Metric that holds the value of this type. */
const VALUE_FIELDS: Readonly<Record<string, number>> = { gauge: 2, counter: 3, histogram: 7 }

export function readFamilies(stream: Buffer): Family[] {
  const families: Family[] = []
  for (let at = 0; at < stream.length; ) {
    const [length, start] = readVarint(stream, at)
    families.push(readFamily(stream.subarray(start, start + length)))
    at = start + length
  }
  return families
}

function readFamily(message: Buffer): Family {
  const fields = readFields(message)
  const type = TYPES[numberOf(fields, 3)] ?? 'unknown'
  const metrics = fields.filter(({ number }) => number === 4).map(({ bytes }) => readFields(bytes))
  return {
    name: textOf(fields, 1),
    help: textOf(fields, 2),
    type,
    series: metrics.flatMap((metric) => readMetric(metric, type)),
  }
}

function readMetric(metric: readonly Field[], type: string): Series[] {
  const labels = metric
    .filter(({ number }) => number === 1)
    .map(({ bytes }) => readFields(bytes))
    .map((label) => `${textOf(label, 1)}="${textOf(label, 2)}"`)
  const value = readFields(
    metric.find(({ number }) => number === VALUE_FIELDS[type])?.bytes ?? Buffer.alloc(0),
  )
  if (type !== 'histogram') return [[labels.length === 0 ? '' : `{${labels.join(',')}}`, numberOf(value, 1)]]
  const buckets = value
    .filter(({ number }) => number === 3)
    .map(({ bytes }) => readFields(bytes))
    .map((bucket): Series => [`_bucket{le="${numberOf(bucket, 2)}"}`, numberOf(bucket, 1)])
  const count = numberOf(value, 1)
  return [...buckets, ['_bucket{le="+Inf"}', count], ['_sum', numberOf(value, 2)], ['_count', count]]
}

function textOf(fields: readonly Field[], number: number): string {
  return fields.find((field) => field.number === number)?.bytes.toString('utf8') ?? ''
}

function numberOf(fields: readonly Field[], number: number): number {
  return fields.find((field) => field.number === number)?.value ?? 0
}

function readFields(message: Buffer): Field[] {
  const fields: Field[] = []
  for (let at = 0; at < message.length; ) {
    const [tag, start] = readVarint(message, at)
    const [number, wireType] = [tag >> 3, tag & 7]
    if (wireType === 0) {
      const [value, end] = readVarint(message, start)
      fields.push({ number, value, bytes: Buffer.alloc(0) })
      at = end
    } else if (wireType === 1) {
      fields.push({ number, value: message.readDoubleLE(start), bytes: Buffer.alloc(0) })
      at = start + 8
    } else if (wireType === 2) {
      const [length, from] = readVarint(message, start)
      if (from + length > message.length) throw new Error('a field is cut short')
      fields.push({ number, value: 0, bytes: message.subarray(from, from + length) })
      at = from + length
    } else throw new Error(`unexpected wire type ${wireType}`)
  }
  return fields
}

function readVarint(bytes: Buffer, from: number): readonly [value: number, end: number] {
  let value = 0
  for (let at = from; ; at += 1) {
    const byte = bytes.readUInt8(at)
    value += (byte & 0x7f) * 2 ** (7 * (at - from))
    if (byte < 0x80) return [value, at + 1]
  }
}
