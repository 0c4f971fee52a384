import { expect, test } from 'vitest'
import { randomSequence } from './random.ts'

function take(count: number, ...seeds: readonly number[]): number[] {
  const next = randomSequence(...seeds)
  return Array.from({ length: count }, () => next())
}

test('the same seeds give the same numbers', () => {
  expect(take(100, 1, 2)).toEqual(take(100, 1, 2))
})

test('other seeds, or the same in another order, give other numbers', () => {
  const sequences = [[1, 2], [2, 1], [1, 3], [0, 0], [-1, 2], [1]].map((seeds) => take(4, ...seeds).join(' '))
  expect(new Set(sequences).size).toBe(sequences.length)
})

test('the numbers are evenly spread from 0 to below 1', () => {
  const numbers = take(10_000, 7)
  const tenths = Array.from({ length: 10 }, (_, tenth) => numbers.filter((n) => Math.floor(n * 10) === tenth))
  expect(numbers.every((n) => n >= 0 && n < 1)).toBe(true)
  for (const { length } of tenths) expect(Math.abs(length - 1000)).toBeLessThan(150)
})
