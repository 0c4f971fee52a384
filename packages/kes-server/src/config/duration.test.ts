import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, parseDuration, toMilliseconds } from './duration.ts'

test.each([
  '',
  '5',
  '-',
  '+',
  's',
  '.s',
  '-.s',
  '1',
  '1.5',
  '5 s',
  ' 5s',
  '5s ',
  '1d',
  '5S',
  '1h-5m',
  '--1s',
  '0x1s',
  '1e3s',
  'abc',
  '1,5s',
  '00',
])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined()
})

test.each(['9223372036854775808ns', '2562048h', '-9223372036854775809ns', '9223372036.854775808s'])(
  '%s is beyond the range of a Go duration',
  (text) => {
    expect(parseDuration(text)).toBeUndefined()
  },
)

test.each([
  ['0', 0n],
  ['-0', 0n],
  ['+5s', 5_000_000_000n],
  ['300ms', 300_000_000n],
  ['1h30m', 5_400_000_000_000n],
  ['5m0s', 300_000_000_000n],
  ['-1.5s', -1_500_000_000n],
  ['.5s', 500_000_000n],
  ['1.s', 1_000_000_000n],
  ['1us', 1_000n],
  ['1\u00b5s', 1_000n],
  ['1\u03bcs', 1_000n],
  ['0.1ns', 0n],
  ['1s1s', 2_000_000_000n],
  ['9223372036854775807ns', 2n ** 63n - 1n],
  ['-9223372036854775808ns', -(2n ** 63n)],
])('%s is %s ns', (text, nanoseconds) => {
  expect(parseDuration(text)).toBe(nanoseconds)
})

test.each([
  ['0', '0s'],
  ['1ns', '1ns'],
  ['1100ns', '1.1\u00b5s'],
  ['2200us', '2.2ms'],
  ['999ms', '999ms'],
  ['1000ms', '1s'],
  ['3300ms', '3.3s'],
  ['5m', '5m0s'],
  ['5m1ms', '5m0.001s'],
  ['100h', '100h0m0s'],
  ['-1s', '-1s'],
])('%s is printed as %s', (text, printed) => {
  expect(formatDuration(parseDuration(text) ?? -1n)).toBe(printed)
})

test('a printed duration reads as the same duration', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (duration) => {
      expect(parseDuration(formatDuration(duration))).toBe(duration)
    }),
  )
})

test('no text makes the parser throw', () => {
  const text = fc.oneof(fc.string(), fc.stringMatching(/^[-+]?([0-9.]{0,30}(ns|us|ms|s|m|h)?){1,4}$/))
  fc.assert(fc.property(text, (input) => void parseDuration(input)))
})

test('a nanosecond is not lost among milliseconds', () => {
  expect(toMilliseconds(1_500_001n)).toBe(1.500001)
  expect(toMilliseconds(-86_400_000_000_001n)).toBe(-86_400_000.000001)
})
