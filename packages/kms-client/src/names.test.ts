import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { InvalidNameError, InvalidPatternError } from './api-error.ts'
import { checkName, checkPattern, listArgument } from './names.ts'

interface Row {
  readonly input: string
  readonly valid_name: boolean
  readonly valid_pattern: boolean
}

const { rows } = JSON.parse(
  readFileSync(new URL('../../../test/vectors/kes/names.json', import.meta.url), 'utf8'),
) as { rows: Row[] }

test.each([
  '',
  '.',
  '..',
  '../list',
  'a/b',
  'a%2fb',
  '*',
  'a*',
  'a?reuse=true',
  'a#',
  'ä',
  '\u{d800}',
  'a\n',
])('the name %j never reaches a server', (name) => {
  expect(() => checkName('key name', name)).toThrow(InvalidNameError)
  expect(() => checkName('key name', name)).toThrow(
    `key name '${name}' is empty, too long or contains invalid characters`,
  )
})

test('no name that the server takes is refused', () => {
  for (const { input } of rows.filter((row) => row.valid_name))
    expect(checkName('key name', input)).toBe(input)
})

describe('a pattern for many keys', () => {
  test.each(['', 'app', '**', 'a*b', '*a', 'a/*', '../*'])('is not %j', (pattern) => {
    expect(() => checkPattern(pattern)).toThrow(InvalidPatternError)
  })

  test.each(['*', 'app-*', '_*'])('may be %j', (pattern) => {
    expect(checkPattern(pattern)).toBe(pattern)
  })
})

describe('the argument of a listing', () => {
  test.each(['a/b', '..', '**', 'a*b', 'ä'])('is not made from %j', (prefix) => {
    expect(() => listArgument(prefix)).toThrow(InvalidPatternError)
  })

  test('has no `*`, which a Go KES takes literally', () => {
    expect(listArgument('app*')).toBe('app')
    expect(listArgument('*')).toBe('')
  })

  test('has one where it would be invalid without', () => {
    expect(listArgument('app-')).toBe('app-*')
    expect(listArgument('_')).toBe('_*')
  })

  test('is valid for the server whenever the prefix is', () => {
    for (const { input } of rows.filter((row) => row.valid_pattern)) {
      expect(listArgument(input)).toMatch(/^(?!_$)(?:[0-9A-Za-z_-]*\*|[0-9A-Za-z_-]*[0-9A-Za-z_])?$/)
    }
  })
})
