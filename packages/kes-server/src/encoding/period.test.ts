import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatPeriod, PERIOD_MS_MAX, parsePeriod } from './period.ts'

test.each([
  ['7d', 604_800_000],
  ['36h', 129_600_000],
  ['1d12h', 129_600_000],
  ['90m', 5_400_000],
  ['1d2h3m4s5ms', 93_784_005],
  ['0', 0],
  ['0s', 0],
  ['3650d', PERIOD_MS_MAX],
])('%s is %i ms', (text, ms) => {
  expect(parsePeriod(text)).toBe(ms)
})

test.each([
  '',
  '7',
  'd',
  '-7d',
  '+7d',
  '1.5h',
  '12h1d',
  '7 d',
  ' 7d',
  '7D',
  '7w',
  '1d1d',
  '3651d',
  '9'.repeat(30),
])('%j is no period', (text) => {
  expect(parsePeriod(text)).toBeUndefined()
})

test('a period is written in a form that is read as the same', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: PERIOD_MS_MAX }), (ms) => {
      expect(parsePeriod(formatPeriod(ms))).toBe(ms)
    }),
  )
  expect([formatPeriod(604_800_000), formatPeriod(129_600_000), formatPeriod(0)]).toEqual([
    '7d',
    '1d12h',
    '0s',
  ])
})
