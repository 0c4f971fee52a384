import fc from 'fast-check'
import { expect, test } from 'vitest'
import { visiblePieces, visibleText } from './visible.ts'

test('letters of any script, signs and emoji stay as they are', () => {
  for (const text of ['invoices/2026-11.pdf', 'חשבונית', 'naïve 漢字 🔑', '<b>&amp;</b>']) {
    expect(visiblePieces(text)).toEqual([{ text, isEscape: false }])
  }
})

test.each([
  ['a right-to-left override', 'invoice\u202egpj.exe', 'invoice\\u{202e}gpj.exe'],
  ['a zero-width space', 'admin\u200b', 'admin\\u{200b}'],
  ['a line feed', 'a\nb', 'a\\u{a}b'],
  ['a NUL', '\0', '\\u{0}'],
  ['a line separator', 'a\u2028b', 'a\\u{2028}b'],
  ['a lone surrogate', 'a\ud800b', 'a\\u{d800}b'],
])('%s is written out', (_, text, shown) => {
  expect(visibleText(text)).toBe(shown)
  expect(visiblePieces(text).some(({ isEscape }) => isEscape)).toBe(true)
})

test('no text shows a character that turns or hides others', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(visibleText(text)).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u)
    }),
  )
})
