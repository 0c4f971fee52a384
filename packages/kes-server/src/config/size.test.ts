import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatSize, parseSize } from './size.ts'

test.each([
  '',
  '64',
  '64M',
  '64MB',
  '64mib',
  '1.5GiB',
  '-1MiB',
  ' 1MiB',
  '1  MiB',
  '9999999999999999B',
  '99999999GiB',
])('%j is no size', (text) => {
  expect(parseSize(text)).toBeUndefined()
})

test.each([
  ['64MiB', 67_108_864],
  ['64 MiB', 67_108_864],
  ['1GiB', 1_073_741_824],
  ['3KiB', 3072],
  ['0B', 0],
])('%s is %d bytes', (text, bytes) => {
  expect(parseSize(text)).toBe(bytes)
})

test('a printed size reads as the same size', () => {
  expect(formatSize(65_536)).toBe('64KiB')
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 - 1 }), fc.constantFrom(1, 1024), (count, unit) => {
      expect(parseSize(formatSize(count * unit))).toBe(count * unit)
    }),
  )
})
