import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Field, frame } from './frame.ts'

test('a frame is each field behind its length', () => {
  expect(frame('ab', 'c', Buffer.of(0xff), 258).toString('hex')).toBe(
    ['00000002', '6162', '00000001', '63', '00000001', 'ff', '00000008', '0000000000000102'].join(''),
  )
})

test('two lists of fields of the same types have the same frame only if they are equal', () => {
  const texts = fc.array(fc.string({ unit: 'binary', maxLength: 3 }), { maxLength: 4 })
  fc.assert(
    fc.property(texts, texts, (a, b) => {
      expect(frame('x', ...a).equals(frame('x', ...b))).toBe(JSON.stringify(a) === JSON.stringify(b))
    }),
  )
})

test('bytes that move over a border between fields change the frame', () => {
  expect(frame('x', 'ab', 'c')).not.toEqual(frame('x', 'a', 'bc'))
  expect(frame('x', 'a', '')).not.toEqual(frame('x', 'a'))
  expect(frame('xa')).not.toEqual(frame('x', 'a'))
})

test.each<[string, Field]>([
  ['a lone surrogate', '\ud800'],
  ['a negative integer', -1],
  ['a fraction', 0.5],
  ['an integer that a double does not hold exactly', 2 ** 53],
])('%s has no frame', (_, field) => {
  expect(() => frame('x', field)).toThrow()
})
