import { describe, expect, test } from 'vitest'
import { judge, RESIDENT_SECONDS_MIN, type Sample } from './soak-verdict.ts'

/** Nine samples over the given time; each may differ from a level of its own. */
function soak(seconds: number, change: (share: number, index: number) => Partial<Sample>): Sample[] {
  return Array.from({ length: 9 }, (_, index) => ({
    seconds: (seconds * index) / 8,
    residentBytes: 200e6,
    heapBytes: 50e6,
    openFiles: 30,
    threads: 11,
    activeRequests: 0,
    ...change(index / 8, index),
  }))
}

test('fewer than four samples are refused', () => {
  const samples = soak(60, () => ({}))
  expect(() => judge([])).toThrow(RangeError)
  expect(() => judge(samples.slice(0, 2))).toThrow(RangeError)
})

test('a level server passes', () => {
  const growth = judge(soak(1800, () => ({})))
  expect(growth).toMatchObject({ residentBytesPerMinute: 0, openFilesPerMinute: 0, problems: [] })
})

describe('open files', () => {
  test('that rise by three over the second half fail', () => {
    expect(judge(soak(16, (share) => ({ openFiles: 30 + 6 * share }))).problems).toEqual([
      'open files rose by 3.0',
    ])
  })

  test('that rise by two over the second half pass', () => {
    expect(judge(soak(16, (share) => ({ openFiles: 30 + 4 * share }))).problems).toEqual([])
  })

  test('that rise in the first half only pass', () => {
    expect(judge(soak(16, (share) => ({ openFiles: share < 0.5 ? 30 : 60 }))).problems).toEqual([])
  })

  test('that come and go pass', () => {
    expect(judge(soak(16, (_, index) => ({ openFiles: 30 + 3 * (index % 2) }))).problems).toEqual([])
  })
})

describe('resident memory', () => {
  /** Over 30 minutes it rises by `share` of what it is in the middle of the second half. */
  const rising = (share: number, seconds: number) =>
    soak(seconds, (at) => ({ residentBytes: 200e6 * (1 + (share * (at - 0.75) * seconds) / 1800) }))

  test('that would rise by 11 % in half an hour fails', () => {
    expect(judge(rising(0.11, 1800)).problems).toEqual([
      'resident memory would rise by 11.0 % in half an hour',
    ])
  })

  test('that would rise by 9 % in half an hour passes', () => {
    expect(judge(rising(0.09, 1800)).problems).toEqual([])
  })

  test('is not judged before the soak is long enough', () => {
    expect(judge(rising(0.5, RESIDENT_SECONDS_MIN - 1)).problems).toEqual([])
    expect(judge(rising(0.5, RESIDENT_SECONDS_MIN)).problems).toHaveLength(1)
  })
})

test('a request that is active while nobody asks fails', () => {
  const growth = judge(soak(16, (share) => ({ activeRequests: share === 1 ? 1 : 0 })))
  expect(growth.problems).toEqual(['1 requests never ended'])
})
