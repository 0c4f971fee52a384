import { describe, expect, test } from 'vitest'
import { readVectors } from '../../../test/read-vectors.ts'
import { InvalidNameError, InvalidPatternError } from './errors.ts'
import { isName, parseIdentity, parseKeyName, parseListPrefix, parsePolicyName } from './names.ts'

interface Row {
  id: string
  input: string
  valid_name: boolean
  valid_pattern: boolean
}

const { rows } = readVectors<{ rows: Row[] }>('names.json')

describe('a name', () => {
  test.each(rows.filter((row) => !row.valid_name))('is never $input', ({ input }) => {
    expect(isName(input)).toBe(false)
    for (const parse of [parseKeyName, parsePolicyName, parseIdentity]) {
      expect(() => parse(input)).toThrow(InvalidNameError)
    }
  })

  test.each(rows.filter((row) => row.valid_name))('may be $input', ({ input }) => {
    expect(isName(input)).toBe(true)
    for (const parse of [parseKeyName, parsePolicyName, parseIdentity]) expect(parse(input)).toBe(input)
  })

  test('that is refused is quoted in the words of KES', () => {
    expect(() => parseKeyName('a b')).toThrow(
      "key name 'a b' is empty, too long or contains invalid characters",
    )
    expect(() => parsePolicyName('')).toThrow(
      "policy name '' is empty, too long or contains invalid characters",
    )
    expect(() => parseIdentity('-')).toThrow("identity '-' is empty, too long or contains invalid characters")
  })
})

describe('the argument of a listing', () => {
  test.each(rows.filter((row) => !row.valid_pattern))('is never $input', ({ input }) => {
    expect(() => parseListPrefix(input)).toThrow(InvalidPatternError)
  })

  test.each(rows.filter((row) => row.valid_pattern))(
    'may be $input, and its star asks for nothing',
    ({ input }) => {
      expect(parseListPrefix(input)).toBe(input.replace(/\*$/, ''))
    },
  )

  test('that is refused is quoted in the words of KES', () => {
    expect(() => parseListPrefix('my-')).toThrow("listing pattern 'my-' is empty, too long or is invalid")
  })
})
