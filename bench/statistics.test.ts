import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { percentile, slope, summarize } from './statistics.ts'

const number = fc.double({ min: -1e6, max: 1e6, noNaN: true })

describe('a percentile', () => {
  test('of no values is refused', () => {
    expect(() => percentile([], 0.5)).toThrow('a percentile of no values')
  })

  test.each([-0.01, 1.01, Number.NaN])('of the share %s is refused', (q) => {
    expect(() => percentile([1, 2], q)).toThrow(RangeError)
  })

  test('is a measured value by its rank, not one between two', () => {
    const values = Float64Array.from({ length: 101 }, (_, rank) => rank * 10)
    expect(percentile(values, 0)).toBe(0)
    expect(percentile(values, 0.5)).toBe(500)
    expect(percentile(values, 0.99)).toBe(990)
    expect(percentile(values, 1)).toBe(1000)
    expect(percentile([1, 2], 0.99)).toBe(1)
  })

  test('never falls when the share rises', () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true })
    fc.assert(
      fc.property(fc.array(number, { minLength: 1 }), share, share, (values, a, b) => {
        const sorted = values.toSorted((left, right) => left - right)
        expect(percentile(sorted, Math.min(a, b))).toBeLessThanOrEqual(percentile(sorted, Math.max(a, b)))
      }),
    )
  })
})

describe('a summary', () => {
  test('of no values is refused', () => {
    expect(() => summarize([])).toThrow(RangeError)
  })

  test('of an odd number of values has the middle one as median', () => {
    expect(summarize([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9 })
  })

  test('of an even number of values has the mean of the middle two as median', () => {
    expect(summarize([4, 1, 2, 100])).toEqual({ median: 3, min: 1, max: 100 })
  })

  test('leaves the values in their order', () => {
    const values = [3, 1, 2]
    summarize(values)
    expect(values).toEqual([3, 1, 2])
  })
})

describe('a slope', () => {
  test.each([
    [[]],
    [[{ x: 1, y: 1 }]],
    [
      [
        { x: 1, y: 1 },
        { x: 1, y: 2 },
      ],
    ],
  ])('of %j is refused', (points) => {
    expect(() => slope(points)).toThrow('a slope needs points of different x')
  })

  test('of points that go up and down around a level is the level of none', () => {
    expect(slope([10, 12, 10, 12, 10].map((y, x) => ({ x, y })))).toBeCloseTo(0, 12)
  })

  test('is that of the least squares: 0.6 for (1,2), (2,4), (3,5), (4,4), (5,5)', () => {
    expect(slope([2, 4, 5, 4, 5].map((y, index) => ({ x: index + 1, y })))).toBeCloseTo(0.6, 12)
  })

  test('of points on a line is the slope of that line', () => {
    const line = fc.record({ a: fc.integer({ min: -50, max: 50 }), b: fc.integer({ min: -1000, max: 1000 }) })
    const xs = fc.uniqueArray(fc.integer({ min: -1000, max: 1000 }), { minLength: 2, maxLength: 50 })
    fc.assert(
      fc.property(line, xs, ({ a, b }, found) => {
        expect(slope(found.map((x) => ({ x, y: a * x + b })))).toBeCloseTo(a, 8)
      }),
    )
  })
})
