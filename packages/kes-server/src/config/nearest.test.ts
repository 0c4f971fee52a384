import fc from 'fast-check'
import { expect, test } from 'vitest'
import { editDistance, nearest } from './nearest.ts'

test('letters that are missing, added, wrong or swapped cost one each', () => {
  expect(editDistance('adress', 'address')).toBe(1)
  expect(editDistance('pathh', 'path')).toBe(1)
  expect(editDistance('bath', 'path')).toBe(1)
  expect(editDistance('tsl', 'tls')).toBe(1)
  expect(editDistance('', 'abc')).toBe(3)
})

test('the distance is 0 for equal texts only, and the same both ways', () => {
  const text = fc.string({ maxLength: 12 })
  fc.assert(
    fc.property(text, text, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a))
      expect(editDistance(a, b) === 0).toBe(a === b)
    }),
  )
})

test('a name that differs in more than a third of its letters is not near', () => {
  expect(nearest('identity', ['allow', 'deny', 'identities'])).toBe('identities')
  expect(nearest('all', ['any', 'unused', 'offline'])).toBeUndefined()
  expect(nearest('x', [])).toBeUndefined()
})
