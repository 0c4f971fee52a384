import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { expandEndpoints, InvalidEndpointError } from './endpoint-list.ts'

interface Row {
  readonly id: string
  readonly value: string
  readonly endpoints: readonly string[] | null
  /** `kms: ` before the message. */
  readonly error: string
}

const rows: readonly Row[] = JSON.parse(
  readFileSync(new URL('../../../../test/vectors/minio/ellipses.json', import.meta.url), 'utf8'),
)

describe('a list of endpoints is expanded as MinIO does', () => {
  test.each(rows)('$id: $value', ({ value, endpoints, error }) => {
    if (endpoints !== null) expect(expandEndpoints(value)).toEqual(endpoints)
    else expect(() => expandEndpoints(value)).toThrow(error.replace(/^kms: /, ''))
  })
})

test('of two ranges the first runs fastest, with text before, between and after them', () => {
  expect(expandEndpoints('a{1...2}b{x...y}c')).toEqual(['a1bxc', 'a2bxc', 'a1byc', 'a2byc'])
})

test('a list without items is empty', () => {
  expect(expandEndpoints(' , ,')).toEqual([])
})

test.each([
  'https://kes{}:1',
  'https://kes{1...}:1',
  'https://kes{...3}:1',
  'https://kes{1...2...3}:1',
  'https://kes{a...3}:1',
  'https://kes{a...C}:1',
  'https://kes{-1...3}:1',
  'https://kes{1...3:1',
  'https://kes1...3}:1',
  'https://kes{{1...3}}:1',
])('%s has no valid range', (item) => {
  expect(() => expandEndpoints(item)).toThrow(`Invalid ellipsis format in (${item})`)
})

test('a range of too many endpoints is refused before it fills the memory', () => {
  for (const item of ['kes{1...99999999999}', 'kes{1...999}{1...999}{1...999}']) {
    expect(() => expandEndpoints(item)).toThrow(InvalidEndpointError)
  }
  expect(expandEndpoints('kes{1...1024}')).toHaveLength(1024)
})

test('a range gives each number once, in order', () => {
  const bounds = fc.tuple(fc.nat(500), fc.nat(500)).map(([first, more]) => [first, first + more] as const)
  fc.assert(
    fc.property(bounds, ([first, last]) => {
      const numbers = expandEndpoints(`{${first}...${last}}`).map(Number)
      expect(numbers).toEqual(Array.from({ length: last - first + 1 }, (_, index) => first + index))
    }),
  )
})
