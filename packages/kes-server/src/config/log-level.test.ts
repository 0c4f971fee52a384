import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatLogLevel, LogLevelError, parseLogLevel } from './log-level.ts'

test.each([
  ['FOO', 'strconv.Atoi: parsing "FOO": invalid syntax'],
  ['', 'strconv.Atoi: parsing "": invalid syntax'],
  ['1.5', 'strconv.Atoi: parsing "1.5": invalid syntax'],
  ['99999999999999999999', 'strconv.Atoi: parsing "99999999999999999999": value out of range'],
  ['WARN-1', "kesconf: invalid log level 'WARN-1'"],
  ['INFORMATION', "kesconf: invalid log level 'INFORMATION'"],
  ['INFO+X', 'kesconf: invalid log level suffix \'X\': strconv.Atoi: parsing "X": invalid syntax'],
  ['INFO+', 'kesconf: invalid log level suffix \'\': strconv.Atoi: parsing "": invalid syntax'],
])('%j is refused in the words of KES', (text, message) => {
  expect(() => parseLogLevel(text)).toThrow(new LogLevelError(message))
})

test.each([
  ['DEBUG', -4],
  ['info', 0],
  [' Warn ', 4],
  ['ERROR', 8],
  ['on', 0],
  ['Off', 9],
  ['INFO+2', 2],
  ['debug+1', -3],
  ['-8', -8],
  ['+3', 3],
  ['12', 12],
])('%j is level %d', (text, level) => {
  expect(parseLogLevel(text)).toBe(level)
})

test.each([
  [-5, '-5'],
  [-4, 'DEBUG'],
  [-1, 'DEBUG+3'],
  [0, 'INFO'],
  [9, 'ERROR+1'],
])('level %d is printed as %s', (level, printed) => {
  expect(formatLogLevel(level)).toBe(printed)
})

test('a printed level reads as the same level, in any case', () => {
  fc.assert(
    fc.property(fc.integer(), (level) => {
      expect(parseLogLevel(formatLogLevel(level))).toBe(level)
      expect(parseLogLevel(formatLogLevel(level).toLowerCase())).toBe(level)
    }),
  )
})
