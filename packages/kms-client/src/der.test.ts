import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { element, objectIdentifier, readElements, TAG, time } from './der.ts'

test('elements that stand side by side are read back, whatever their tags and lengths', () => {
  const part = fc.record({
    tag: fc.integer({ min: 0, max: 0xff }),
    content: fc.uint8Array({ maxLength: 70_000 }),
  })
  fc.assert(
    fc.property(fc.array(part, { maxLength: 4 }), (parts) => {
      const encoded = parts.map(({ tag, content }) => element(tag, content))
      const read = readElements(Buffer.concat(encoded))
      expect(read.map(({ tag }) => tag)).toEqual(parts.map(({ tag }) => tag))
      expect(read.map(({ whole }) => whole)).toEqual(encoded)
      expect(read.every(({ content }, index) => content.equals(parts[index]?.content ?? content))).toBe(true)
    }),
    { numRuns: 50 },
  )
})

/** X.690, section 10.1: in the least number of bytes. */
test.each([
  [0, '0400'],
  [0x7f, '047f'],
  [0x80, '048180'],
  [0xff, '0481ff'],
  [0x100, '04820100'],
  [0xffff, '0482ffff'],
  [0x1_0000, '0483010000'],
])('a length of %i bytes is written as %s', (length, header) => {
  const encoded = element(TAG.octetString, Buffer.alloc(length))
  expect(encoded.subarray(0, encoded.length - length).toString('hex')).toBe(header)
})

/** X.690, section 8.19.5, has the first; the others are those of RFC 8410 and RFC 5758. */
test.each([
  ['2.999.3', '0603883703'],
  ['1.3.101.112', '06032b6570'],
  ['1.2.840.10045.4.3.2', '06082a8648ce3d040302'],
])('%s is written as %s', (id, hex) => {
  expect(objectIdentifier(id).toString('hex')).toBe(hex)
})

test.each([
  ['2049-12-31T23:59:59.999Z', TAG.utcTime, '491231235959Z'],
  ['2050-01-01T00:00:00Z', TAG.generalizedTime, '20500101000000Z'],
])('%s is written in seconds, and in the form for its year', (text, tag, digits) => {
  expect(time(new Date(text))).toEqual(element(tag, Buffer.from(digits)))
})

describe('bytes that end too early', () => {
  test.each(['04', '0401', '3082', '308201'])('%s: are refused', (hex) => {
    expect(() => readElements(Buffer.from(hex, 'hex'))).toThrow(RangeError)
  })
})
