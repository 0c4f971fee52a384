import { expect, test } from 'vitest'
import { EndpointHealth } from './endpoint-health.ts'

const health = () => new EndpointHealth(() => 1)

test('an endpoint is in use until it fails, and again once it has succeeded', () => {
  const endpoint = health()
  expect(endpoint.isShelved).toBe(false)
  endpoint.failed(0)
  expect(endpoint.isShelved).toBe(true)
  endpoint.succeeded()
  expect(endpoint.isShelved).toBe(false)
})

test('each look at it that fails doubles the time to the next one, up to 5 s', () => {
  const endpoint = health()
  const pauses: number[] = []
  for (let now = 0, start = 0; pauses.length < 5; now += 500) {
    if (endpoint.isShelved && !endpoint.isDue(now)) continue
    if (endpoint.isShelved) pauses.push(now - start)
    start = now
    endpoint.failed(now)
  }
  expect(pauses).toEqual([1000, 2000, 4000, 5000, 5000])
})

test('requests that fail together count as one failure', () => {
  const endpoint = health()
  for (let request = 0; request < 100; request++) endpoint.failed(0)
  expect(endpoint.isDue(999)).toBe(false)
  expect(endpoint.isDue(1000)).toBe(true)
})

test('a success forgets the failures before', () => {
  const endpoint = health()
  for (let now = 0; now < 60_000; now += 1000) endpoint.failed(now)
  endpoint.succeeded()
  endpoint.failed(60_000)
  expect(endpoint.isDue(61_000)).toBe(true)
})

test('clients come back at different times', () => {
  const early = new EndpointHealth(() => 0)
  early.failed(0)
  expect(early.isDue(499)).toBe(false)
  expect(early.isDue(500)).toBe(true)
})
