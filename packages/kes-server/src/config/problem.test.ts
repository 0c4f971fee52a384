import { expect, test } from 'vitest'
import { ConfigError, formatProblem, type Problem, placesOf } from './problem.ts'

const NO_PLACE: Problem = {
  severity: 'error',
  line: undefined,
  column: undefined,
  message: 'gone',
  hint: undefined,
}
const PLACED: Problem = { severity: 'warning', line: 3, column: 7, message: 'odd', hint: 'write even' }

test('a problem is printed with its place, where it has one, and its hint', () => {
  expect(formatProblem('a.yml', NO_PLACE)).toBe('a.yml: error: gone')
  expect(formatProblem('a.yml', PLACED)).toBe('a.yml:3:7: warning: odd (write even)')
})

test('a config error prints all its problems', () => {
  const error = new ConfigError('a.yml', [NO_PLACE, PLACED], 'gone')
  expect(error.format()).toBe('a.yml: error: gone\na.yml:3:7: warning: odd (write even)')
})

test('what an error says already is not repeated with its place', () => {
  const other: Problem = { ...PLACED, severity: 'error', line: 4, message: 'other', hint: undefined }
  const bare: Problem = { ...other, line: 5, message: 'bare' }
  expect(placesOf(new ConfigError('a.yml', [NO_PLACE, PLACED, other], 'odd'))).toEqual([
    'a.yml:3:7: write even',
    'a.yml:4:7: error: other',
  ])
  expect(placesOf(new ConfigError('a.yml', [bare], 'bare'))).toEqual(['a.yml:5:7'])
})
