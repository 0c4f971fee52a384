import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeBase64, encodeBase64, InvalidBase64Error } from './base64.ts'

function offsetOf(text: string): number | undefined {
  try {
    decodeBase64(text)
    return undefined
  } catch (error) {
    if (error instanceof InvalidBase64Error) return error.offset
    throw error
  }
}

describe('the place of a fault is the one that the Go decoder names', () => {
  test.each([
    ['a sign of the URL-safe alphabet', 'AA-A', 2],
    ['a space', 'AAAA AAA', 4],
    ['a sign outside ASCII', 'AAAAÄAA=', 4],
    ['a text that stops after one sign', 'AAAAA', 4],
    ['a text that stops before its padding', 'AAAAAA', 4],
    ['padding of which a sign is missing', 'AA=', 3],
    ['padding that another sign breaks', 'AA=A', 2],
    ['padding where no sign was', '=AAA', 0],
    ['padding after one sign', 'A===', 1],
    ['padding in excess', 'AAA==', 4],
    ['signs after the padding', 'AA==AA==', 4],
    ['a line end before the fault', 'AA\r\nA!', 5],
  ])('%s', (_, text, offset) => {
    expect(offsetOf(text)).toBe(offset)
  })
})

test('the message does not repeat the text', () => {
  expect(() => decodeBase64('c2VjcmV0!')).toThrow('illegal base64 data at input byte 8')
})

test('line ends are skipped, also inside the padding', () => {
  expect(decodeBase64('\nc2Vj\r\ncmV0cw=\n=\n').toString()).toBe('secrets')
})

test('bits that belong to no byte may be anything', () => {
  expect(decodeBase64('QR==')).toEqual(decodeBase64('QQ=='))
})

test('what was encoded decodes to the same bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      expect(new Uint8Array(decodeBase64(encodeBase64(bytes)))).toEqual(bytes)
    }),
  )
})

test('a window on a larger buffer encodes alone', () => {
  expect(encodeBase64(Buffer.from('xxabcxx').subarray(2, 5))).toBe('YWJj')
})
