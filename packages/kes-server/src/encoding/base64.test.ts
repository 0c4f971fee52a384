import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { decodeBase64, findIllegalBase64Offset, readBase64, writeBase64 } from './base64.ts'

type ApiKeys = { rows: { api_key: string; error?: string }[] }
type StoredKeys = { rows: { stored: string; error?: string }[] }

/** RFC 4648 read literally, the slow way: what the fast decoder must agree with. */
function decodeByTheBook(text: string): Buffer | undefined {
  const unbroken = text.replaceAll('\n', '').replaceAll('\r', '')
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(unbroken)) return undefined
  return Buffer.from(unbroken, 'base64')
}

const almostBase64 = fc.string({
  unit: fc.constantFrom(...'AZaz09+/QQQQ==\r\n-_ \t\0é\u0141\u2028'),
  maxLength: 24,
})

describe('decodeBase64', () => {
  test.each([
    ['no padding', 'QQ'],
    ['half the padding', 'QQ='],
    ['too much padding', 'QUE=='],
    ['padding alone', '===='],
    ['padding in the middle', 'QQ==QQ=='],
    ['the URL-safe alphabet', 'P_-_'],
    ['a space', 'QUFB QUF'],
    ['a tab', 'QUF\t'],
    ['a wide character whose low byte is in the alphabet', '\u0141AAA'],
    ['a Latin-1 character', 'QUF\u00e9'],
    ['a zero byte', 'QUF\0'],
  ])('refuses %s', (_, text) => {
    expect(decodeBase64(text)).toBeUndefined()
  })

  test.each([
    ['', ''],
    ['QQ==', 'A'],
    ['QR==', 'A'],
    ['QUF=', 'AA'],
    ['Q\nQ\r=\n=', 'A'],
    ['\nQUFB\r\n', 'AAA'],
  ])('reads %j as %j', (text, expected) => {
    expect(decodeBase64(text)?.toString()).toBe(expected)
  })

  test('agrees with the book on text that is nearly base64', () => {
    fc.assert(
      fc.property(almostBase64, (text) => {
        expect(decodeBase64(text)).toEqual(decodeByTheBook(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('agrees with the book on valid text with one character replaced', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 90 }),
        fc.nat(),
        fc.nat(0xffff),
        (bytes, at, other) => {
          const valid = Buffer.from(bytes).toString('base64')
          const text =
            valid.slice(0, at % valid.length) +
            String.fromCharCode(other) +
            valid.slice((at % valid.length) + 1)
          expect(decodeBase64(text)).toEqual(decodeByTheBook(text))
        },
      ),
    )
  })
})

describe('findIllegalBase64Offset', () => {
  const PREFIX = 'kes:v1:'
  const recorded = [
    ...readVectors<ApiKeys>('api-keys.json').rows.map((row) => [stripPrefix(row.api_key), row.error]),
    ...readVectors<StoredKeys>('stored-keys.json').rows.map((row) => [row.stored, row.error]),
  ].flatMap(([text, error]) => {
    const offset = /^illegal base64 data at input byte (\d+)$/.exec(String(error))?.[1]
    return offset === undefined ? [] : [{ text: String(text), offset: Number(offset) }]
  })

  function stripPrefix(apiKey: string): string {
    return apiKey.startsWith(PREFIX) ? apiKey.slice(PREFIX.length) : apiKey
  }

  test.each(recorded)('reports byte $offset of $text as KES does', ({ text, offset }) => {
    expect(findIllegalBase64Offset(text)).toBe(offset)
  })

  test('has recorded errors to agree with', () => {
    expect(recorded.length).toBeGreaterThan(8)
  })

  test.each([
    ['Q', 0],
    ['QUFBQ', 4],
    ['=', 0],
    ['Q===', 1],
    ['QQ=', 3],
    ['QQ=\n', 4],
    ['QQ=Q', 2],
    ['QQ==Q', 4],
    ['QUE=Q', 4],
    ['QUF-', 3],
  ])('finds the fault of %j at byte %i', (text, offset) => {
    expect(findIllegalBase64Offset(text)).toBe(offset)
  })

  test('finds a fault exactly where the decoder refuses', () => {
    fc.assert(
      fc.property(almostBase64, (text) => {
        expect(findIllegalBase64Offset(text) === -1).toBe(decodeBase64(text) !== undefined)
      }),
      { numRuns: 2000 },
    )
  })
})

describe('readBase64', () => {
  const read = (text: string) => readBase64(Buffer.from(text, 'latin1'))

  test('reads what the decoder of strings reads, where there are no line breaks', () => {
    const unbroken = almostBase64.filter((text) => !/[\r\n]/.test(text))
    fc.assert(
      fc.property(unbroken, (text) => {
        expect(readBase64(Buffer.from(text))).toEqual(decodeBase64(text))
      }),
      { numRuns: 2000 },
    )
  })

  test('reads all bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(read(Buffer.from(bytes).toString('base64'))).toEqual(Buffer.from(bytes))
      }),
    )
  })

  test('refuses every byte that is no character of base64', () => {
    const alphabet = /[A-Za-z0-9+/]/
    for (let code = 0; code < 256; code += 1) {
      const character = String.fromCharCode(code)
      expect([character, read(`QQ${character}Q`) !== undefined]).toEqual([
        character,
        alphabet.test(character),
      ])
    }
  })

  test('takes a slash that JSON has escaped, and no other escape', () => {
    expect(read('\\/\\/8=')).toEqual(decodeBase64('//8='))
    for (const text of ['\\nQQ=', 'QQQ\\', 'QQ\\/', '\\u0041QQ']) expect(read(text)).toBeUndefined()
  })
})

describe('writeBase64', () => {
  test('writes what Node writes, at the offset and nowhere else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(20), (bytes, offset) => {
        const text = Buffer.from(bytes).toString('base64')
        const target = Buffer.alloc(offset + text.length + 3, '!')
        expect(writeBase64(bytes, target, offset)).toBe(offset + text.length)
        expect(target.toString()).toBe(`${'!'.repeat(offset)}${text}!!!`)
      }),
    )
  })

  test('refuses a target that is one byte too short', () => {
    expect(() => writeBase64(new Uint8Array(32), Buffer.alloc(44), 1)).toThrow(RangeError)
  })
})
