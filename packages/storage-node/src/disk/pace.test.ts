import { expect, test } from 'vitest'
import { Pace } from './pace.ts'

test('short operations are done at once until one is slow, and again a second after that', () => {
  let now = 0
  const pace = new Pace(() => now)
  const operation = (ms: number) => () => {
    now += ms
    return ms
  }
  expect(pace.isQuick).toBe(true)
  expect(pace.time(operation(5))).toBe(5)
  expect(pace.isQuick).toBe(true)
  pace.time(operation(5.5))
  expect(pace.isQuick).toBe(false)
  now += 999
  expect(pace.isQuick).toBe(false)
  now += 1
  expect(pace.isQuick).toBe(true)
})

test('an operation that fails late is as slow as one that succeeds', () => {
  let now = 0
  const pace = new Pace(() => now)
  const fail = () =>
    pace.time(() => {
      now += 100
      throw new Error('no')
    })
  expect(fail).toThrow('no')
  expect(pace.isQuick).toBe(false)
})
