import { describe, expect, test } from 'vitest'
import { KesProtocolError } from './errors.ts'
import { decodeMetrics } from './metrics.ts'

const TEXT = `# HELP kes_http_request_success Number of requests that have been served successfully.
# TYPE kes_http_request_success counter
kes_http_request_success{code="200"} 597
kes_http_request_success{code="204"} 3
# HELP kes_http_request_active Number of active requests that are not finished, yet.
# TYPE kes_http_request_active gauge
kes_http_request_active 1
# HELP kes_http_response_time Histogram of request response times spawning from 10ms to 10s
# TYPE kes_http_response_time histogram
kes_http_response_time_bucket{le="+Inf"} 789
kes_http_response_time_bucket{le="0.01"} 786
kes_http_response_time_bucket{le="0.05"} 789
kes_http_response_time_sum 1.25e-01
kes_http_response_time_count 789
# TYPE kes_system_up_time gauge
kes_system_up_time 558.07 1700000000000
# a remark
other{path="C:\\\\x\\"y\\n",b="2"} NaN
`

describe('metrics of KES', () => {
  const metrics = decodeMetrics(TEXT)

  test('are counted over all codes, and 0 if absent', () => {
    expect(metrics).toMatchObject({ requestsSucceeded: 600, requestsRefused: 0, requestsActive: 1 })
    expect(metrics).toMatchObject({ upTimeSeconds: 558.07, threads: 0 })
  })

  test('have the buckets of response times in ascending order', () => {
    expect(metrics.responseTime).toEqual({
      buckets: [
        { upToSeconds: 0.01, count: 786 },
        { upToSeconds: 0.05, count: 789 },
        { upToSeconds: Number.POSITIVE_INFINITY, count: 789 },
      ],
      sumSeconds: 0.125,
      count: 789,
    })
  })

  test('keep every family with its help, type and labels', () => {
    expect([...metrics.families.keys()]).toEqual([
      'kes_http_request_success',
      'kes_http_request_active',
      'kes_http_response_time',
      'kes_system_up_time',
      'other',
    ])
    expect(metrics.families.get('kes_http_response_time')).toMatchObject({
      type: 'histogram',
      help: 'Histogram of request response times spawning from 10ms to 10s',
    })
    expect(metrics.families.get('other')?.samples).toEqual([
      { name: 'other', labels: { path: 'C:\\x"y\n', b: '2' }, value: Number.NaN },
    ])
  })
})

test('an empty reply is no error', () => {
  expect(decodeMetrics('').families.size).toBe(0)
})

test.each(['<html>', 'name', 'name value', 'name{code=200} 1', 'name{code="200} 1', 'name 0x10', '1name 2'])(
  '%j is no metric',
  (text) => {
    expect(() => decodeMetrics(text)).toThrow(KesProtocolError)
  },
)
