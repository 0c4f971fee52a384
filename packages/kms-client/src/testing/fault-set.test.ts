import { expect, test } from 'vitest'
import type { FaultOptions } from './fault-options.ts'
import { FaultSet } from './fault-set.ts'

const DECRYPT = '/v1/key/decrypt/orders'

function setOf(...faults: readonly FaultOptions[]): FaultSet {
  const set = new FaultSet(1)
  for (const fault of faults) set.add(fault)
  return set
}

/** Kinds of faults that hit these many requests; `-` for none. */
function course(set: FaultSet, requests: number): string[] {
  return Array.from({ length: requests }, () => set.planFor('PUT', DECRYPT).fault?.kind ?? '-')
}

test('without faults nothing happens to a request', () => {
  expect(setOf().planFor('PUT', DECRYPT)).toEqual({ delayMs: 0, fault: undefined, cleared: undefined })
})

test('a fault hits as many matching requests as it says, and other requests do not count', () => {
  const set = setOf({ kind: 'reset', paths: '/v1/key/decrypt/*', times: 2 })

  expect(set.planFor('PUT', '/v1/key/generate/orders').fault).toBeUndefined()
  expect(course(set, 4)).toEqual(['reset', 'reset', '-', '-'])
  expect(set.list()).toMatchObject([{ id: 1, hits: 2 }])
})

test('the oldest fault that matches decides, and the next one takes over when it is used up', () => {
  const set = setOf({ kind: 'error', status: 500, times: 1 }, { kind: 'reset', times: 1 })

  expect(course(set, 3)).toEqual(['error', 'reset', '-'])
})

test('latencies add up, beside what else happens', () => {
  const set = setOf({ kind: 'latency', ms: 10 }, { kind: 'reset' }, { kind: 'latency', ms: 5, times: 1 })

  expect(set.planFor('PUT', DECRYPT)).toMatchObject({ delayMs: 15, fault: { kind: 'reset' } })
  expect(set.planFor('PUT', DECRYPT)).toMatchObject({ delayMs: 10, fault: { kind: 'reset' } })
})

test('jitter lies between the latency and so much more, and is the same for the same seed', () => {
  const delays = () => {
    const set = setOf({ kind: 'latency', ms: 100, jitterMs: 50 })
    return Array.from({ length: 50 }, () => set.planFor('PUT', DECRYPT).delayMs)
  }
  expect(delays().every((ms) => ms >= 100 && ms < 150)).toBe(true)
  expect(new Set(delays()).size).toBeGreaterThan(40)
  expect(delays()).toEqual(delays())
})

test('a probability hits that share of the requests, the same ones for the same seed', () => {
  const hits = (seed: number) => {
    const set = new FaultSet(seed)
    set.add({ kind: 'error', status: 503, probability: 0.25 })
    return course(set, 1000).join(' ')
  }
  expect(hits(1).split('error').length - 1).toBeGreaterThan(200)
  expect(hits(1).split('error').length - 1).toBeLessThan(300)
  expect(hits(1)).toBe(hits(1))
  expect(hits(2)).not.toBe(hits(1))
})

test('a fault more does not change the course of those before it', () => {
  const fault: FaultOptions = { kind: 'error', status: 503, probability: 0.5 }

  expect(course(setOf(fault, { kind: 'latency', ms: 1, jitterMs: 1 }), 100)).toEqual(
    course(setOf(fault), 100),
  )
})

test('after a restart the course is that of the start', () => {
  const fault: FaultOptions = { kind: 'error', status: 503, probability: 0.5 }
  const set = setOf(fault)
  const first = course(set, 50)

  set.restart()
  expect(set.list()).toEqual([])
  set.add(fault)

  expect(course(set, 50)).toEqual(first)
})

test('what is cleared hits nothing more, and tells those who wait for it', async () => {
  const set = setOf({ kind: 'hang' }, { kind: 'reset' })
  const { cleared } = set.planFor('PUT', DECRYPT)

  set.clear(1)
  await cleared
  expect(course(set, 1)).toEqual(['reset'])

  set.clearAll()
  expect(course(set, 1)).toEqual(['-'])
})

test('faults of connections hit no request, and a refusal counts more than a cut', () => {
  const set = setOf({ kind: 'hang', at: 'connection' })
  expect([set.connectionMode, ...course(set, 1)]).toEqual(['frozen', '-'])

  const refusal = set.add({ kind: 'refuse' })
  expect(set.connectionMode).toBe('refused')

  set.clear(refusal)
  expect(set.connectionMode).toBe('frozen')
  set.clearAll()
  expect(set.connectionMode).toBe('open')
})
