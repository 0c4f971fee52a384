import { expect, test } from 'vitest'
import { formatAge, formatBytes, parseTime, shortIdentity } from './format.ts'

test.each([
  [0, '0 bytes'],
  [1, '1 byte'],
  [1023, '1023 bytes'],
  [1024, '1.0 KiB'],
  [150 * 1024, '150 KiB'],
  [5 * 1024 ** 3, '5.0 GiB'],
  [3 * 1024 ** 6, '3072 PiB'],
])('%d bytes read %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text)
})

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

test.each([
  [-30_000, 'just now'],
  [-MINUTE, '1 min ago'],
  [-49 * 60 * MINUTE, '2 d ago'],
  [-400 * DAY, '1 y ago'],
  [7 * DAY, 'in 7 d'],
])('a time %d ms from now reads %s', (ms, text) => {
  expect(formatAge(DAY * 20_000 + ms, DAY * 20_000)).toBe(text)
})

test('a time that nobody kept is none', () => {
  for (const text of [undefined, '', '0001-01-01T00:00:00Z', '1970-01-01T00:00:00Z', 'yesterday']) {
    expect(parseTime(text)).toBeUndefined()
  }
  expect(parseTime('2026-11-26T12:00:00Z')).toBe(Date.UTC(2026, 10, 26, 12))
})

test('an identity is shortened to its start, a short name is not', () => {
  expect(shortIdentity('3ecfcdf3'.repeat(8))).toBe('3ecfcdf33ecf…')
  expect(shortIdentity('my-app')).toBe('my-app')
})
