import { describe, expect, test } from 'vitest'
import { readProtobuf, readProtobufString } from '../encoding/protobuf.ts'
import { metricsProtobuf, metricsText } from './exposition.ts'
import { Metrics } from './metrics.ts'

function familiesOf(text: string): Map<string, string[]> {
  const families = new Map<string, string[]>()
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('# TYPE ')) families.set(line.split(' ')[2] ?? '', [])
    else if (!line.startsWith('#')) [...families.values()].at(-1)?.push(line)
  }
  return families
}

describe('the text format', () => {
  test('leaves a counter out until it has a sample, because clients fail on an empty family', () => {
    const metrics = new Metrics()
    expect(
      [...familiesOf(metricsText(metrics.usage())).keys()].filter((name) =>
        name.startsWith('kes_http_request'),
      ),
    ).toEqual(['kes_http_request_active'])
    metrics.replied(404, 0.001)
    expect(familiesOf(metricsText(metrics.usage())).get('kes_http_request_error')).toEqual([
      'kes_http_request_error{code="404"} 1',
    ])
  })

  test('has one series in every family but those of requests and the histogram', () => {
    const metrics = new Metrics()
    metrics.replied(200, 0.2)
    for (const [name, samples] of familiesOf(metricsText(metrics.usage()))) {
      if (name !== 'kes_http_response_time') expect([name, samples]).toEqual([name, [expect.any(String)]])
    }
  })

  test('is in the order of names', () => {
    const names = [...familiesOf(metricsText(new Metrics().usage())).keys()]
    expect(names).toEqual([...names].sort())
  })

  test('puts a time on a bound into the bucket of that bound', () => {
    const metrics = new Metrics()
    for (const seconds of [0.005, 0.01, 0.011, 10, 11]) metrics.replied(200, seconds)
    const lines = metricsText(metrics.usage())
    expect(lines).toContain('kes_http_response_time_bucket{le="0.01"} 2\n')
    expect(lines).toContain('kes_http_response_time_bucket{le="0.05"} 3\n')
    expect(lines).toContain('kes_http_response_time_bucket{le="10"} 4\n')
    expect(lines).toContain('kes_http_response_time_bucket{le="+Inf"} 5\n')
    expect(lines).toContain('kes_http_response_time_count 5\n')
  })

  test('counts requests that run', () => {
    const metrics = new Metrics()
    metrics.requestStarted()
    metrics.requestStarted()
    metrics.requestEnded()
    expect(metricsText(metrics.usage())).toContain('kes_http_request_active 1\n')
  })
})

test('the protobuf format has the families of the text', () => {
  const metrics = new Metrics()
  metrics.replied(200, 0.2)
  metrics.replied(503, 0.2)
  const bytes = metricsProtobuf(metrics.usage())
  const names: string[] = []
  for (let at = 0; at < bytes.length; ) {
    let length = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at] ?? 0
      at += 1
      length |= (byte & 0x7f) << shift
      if (byte < 0x80) break
    }
    const [name] = readProtobuf(bytes.subarray(at, at + length))
    if (name === undefined || !Buffer.isBuffer(name.value)) throw new Error('a family begins with its name')
    names.push(readProtobufString(name.value))
    at += length
  }
  expect(names).toEqual([...familiesOf(metricsText(metrics.usage())).keys()])
})
