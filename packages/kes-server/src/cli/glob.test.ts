import { expect, test } from 'vitest'
import { parseGlob } from './glob.ts'

// As Go's `path.Match` answers; most rows are of the table of its own test (src/path/match_test.go).
test.each([
  ['abc', 'abc', true],
  ['*', 'abc', true],
  ['*c', 'abc', true],
  ['a*', 'a', true],
  ['a*b*c*d*e*', 'axbxcxdxexxx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzx', true],
  ['a*b?c*x', 'abxbbxdbxebxczzy', false],
  ['ab[c]', 'abc', true],
  ['ab[b-d]', 'abc', true],
  ['ab[e-g]', 'abc', false],
  ['ab[^c]', 'abc', false],
  ['ab[^e-g]', 'abc', true],
  ['a\\*b', 'a*b', true],
  ['a\\*b', 'ab', false],
  ['[\\]a]', ']', true],
  ['[\\-x]', '-', true],
  ['[x\\-]', 'z', false],
  ['[a-b-c]', 'a', undefined],
  ['[]a]', 'a', undefined],
  ['[-]', '-', undefined],
  ['[x-]', 'x', undefined],
  ['[-x]', 'x', undefined],
  ['\\', 'a', undefined],
  ['[', 'a', undefined],
  ['[^', 'a', undefined],
  ['[^]', 'a', undefined],
  ['[^bc', 'a', undefined],
  ['a[', 'ab', undefined],
  ['[b-a]', 'a', false],
  ['[^b-a]', 'a', true],
  ['[^^]', '^', false],
  ['{a,b}', 'a', false],
  ['a.c', 'abc', false],
  ['', '', true],
])('the pattern %j on %j: %s', (pattern, name, expected) => {
  expect(parseGlob(pattern)?.test(name)).toBe(expected)
})
