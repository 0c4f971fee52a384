import { expect, test } from 'vitest'
import { formatMegabytes, formatNumber, formatTable } from './table.ts'

test('a column is as wide as its widest cell, and numbers end where their title ends', () => {
  expect(
    formatTable(
      ['what', 'ms'],
      [
        ['generate', '1.25'],
        ['list', '10'],
      ],
    ),
  ).toBe(['what        ms', '--------  ----', 'generate  1.25', 'list        10', ''].join('\n'))
})

test.each([
  [0, '0'],
  [0.0714, '0.071'],
  [1.256, '1.26'],
  [0.99951, '1.00'],
  [9.996, '10.0'],
  [12.34, '12.3'],
  [99.97, '100'],
  [1234.5, '1235'],
  [-12.34, '-12.3'],
])('%d is written %s', (value, text) => {
  expect(formatNumber(value)).toBe(text)
})

test('a megabyte is 10^6 bytes', () => {
  expect(formatMegabytes(157_000_000)).toBe('157')
})
