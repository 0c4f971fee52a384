import { expect, test } from 'vitest'
import {
  formatBytes,
  formatLatency,
  formatLocalTime,
  formatTable,
  formatUptime,
  formatUtcTime,
} from './format.ts'

test.each([
  [0, '0 seconds'],
  [59, '59 seconds'],
  [60, '1 minutes'],
  [3599, '59 minutes'],
  [3600, '1 hours'],
  [86_399, '23 hours'],
  [86_400, '1 days 0 hours'],
  [2 * 86_400 + 3 * 3600, '2 days 3 hours'],
])('%d seconds are up for %s', (seconds, text) => {
  expect(formatUptime(seconds)).toBe(text)
})

test.each([
  [0, '0B'],
  [999, '999B'],
  [1000, '1.0KB'],
  [524_288, '524.3KB'],
  [999_949, '999.9KB'],
  [999_950, '1.0MB'],
  [5_060_000, '5.1MB'],
  [3e15, '3000.0TB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

test.each([
  [0, '0s'],
  [1, '1ns'],
  [12_345, '12.3µs'],
  [1_035_537, '1.04ms'],
  [2_500_000_000, '2.5s'],
])('%d nanoseconds are %s', (nanoseconds, text) => {
  expect(formatLatency(nanoseconds)).toBe(text)
})

test('times lose their fraction, and keep their zone or take the local one', () => {
  expect(formatUtcTime('2026-11-24T01:50:57.444949513Z')).toBe('2026-11-24 01:50:57')
  expect(formatUtcTime('0001-01-01T00:00:00Z')).toBe('0001-01-01 00:00:00')
  const local = new Date(2026, 0, 2, 3, 4, 5)
  expect(formatLocalTime(local.toISOString())).toBe('2026-01-02 03:04:05')
})

test('columns are as wide as their widest cell, and lines have no white space at their end', () => {
  expect(
    formatTable([
      ['A', 'Long', 'Z'],
      ['wide', 'x', 'y'],
      ['b', ''],
    ]),
  ).toEqual(['A      Long   Z', 'wide   x      y', 'b'])
})
