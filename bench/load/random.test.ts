import { expect, test } from 'vitest'
import { chooseWeighted, seededRandom } from './random.ts'

const some = (seed: number) => Array.from({ length: 1000 }, seededRandom(seed))

test('a seed repeats its numbers, and another one gives others', () => {
  expect(some(1)).toEqual(some(1))
  expect(some(1)).not.toEqual(some(2))
})

test('the numbers lie in [0, 1) and in every tenth of it', () => {
  const numbers = some(7)
  expect(numbers.every((number) => number >= 0 && number < 1)).toBe(true)
  expect(new Set(numbers.map((number) => Math.floor(number * 10))).size).toBe(10)
})

test('a choice comes as often as its weight says', () => {
  const choices = [
    { name: 'rare', weight: 1 },
    { name: 'often', weight: 3 },
  ]
  const chosen = [0, 0.249, 0.25, 0.5, 0.999].map((random) => chooseWeighted(choices, random).name)
  expect(chosen).toEqual(['rare', 'rare', 'often', 'often', 'often'])
})

test('without choices there is none', () => {
  expect(() => chooseWeighted([], 0)).toThrow(RangeError)
})
