import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseFields } from './json-body.ts'
import { takeSecretField } from './secret-field.ts'

const take = (text: string) => {
  const body = Buffer.from(text)
  return [takeSecretField(body, 'key')?.toString(), body.toString()]
}

describe('the field is taken out', () => {
  test.each([
    ['{"key":"SGVsbG8=","cipher":"AES256"}', 'Hello', '{"key":"        ","cipher":"AES256"}'],
    ['{"cipher":"}{\\"","KEY" : "QQ=="}', 'A', '{"cipher":"}{\\"","KEY" : "    "}'],
    [' \n{"a":[{"key":"x"},"]"],"key":"QQ==","b":{"c":"}"}} trailing', 'A', undefined],
    ['{"key":"QQ==","key":"Qg=="}', 'B', '{"key":"    ","key":"    "}'],
    ['{"key":"Pz8\\/"}', '???', '{"key":"     "}'],
    ['{"key":""}', '', '{"key":""}'],
    ['{"n":-1.5e3,"t":true,"z":null,"key":"QQ=="}', 'A', '{"n":-1.5e3,"t":true,"z":null,"key":"    "}'],
  ])('of %s', (text, expected, left) => {
    const [found, body] = take(text)
    expect(found).toBe(expected)
    if (left !== undefined) expect(body).toBe(left)
    expect(body).not.toContain('QQ==')
  })
})

describe('the body is left to others', () => {
  test.each([
    '',
    '[]',
    '"key"',
    '{',
    '{"key"',
    '{"key":',
    '{"key":"QQ==',
    '{"key":"QQ=="',
    '{"key":"QQ==";}',
    '{"cipher":"AES256"}',
    '{"key":null}',
    '{"key":[65]}',
    '{"key":"QQ==","key":null}',
    '{"key":"Q"}',
    '{"key":"Q_=="}',
    '{"key":"SGVs\\nbG8="}',
    '{"k\\u0065y":"QQ=="}',
    '{"a":"\\',
    '{"a":{"b":"',
    '{,"key":"QQ=="}',
  ])('%s', (text) => {
    expect(take(text)).toEqual([undefined, text])
  })
})

test('what is taken is what would have been read, and the rest of the body is read as before', () => {
  const field = fc.tuple(
    fc.string({ unit: 'binary' }).filter((name) => !/key|cipher|version/i.test(name)),
    fc.jsonValue({ maxDepth: 2 }),
  )
  fc.assert(
    fc.property(
      fc.array(field, { maxLength: 5 }),
      fc.uint8Array({ maxLength: 40 }),
      fc.string(),
      fc.nat(),
      (fields, key, cipher, place) => {
        const members = fields.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`)
        members.splice(place % (members.length + 1), 0, `"key":"${Buffer.from(key).toString('base64')}"`)
        members.splice(place % (members.length + 1), 0, `"cipher" : ${JSON.stringify(cipher)}`)
        const text = `{${members.join(',')}}`
        const shape = { key: 'bytes', cipher: 'string' } as const
        const expected = parseFields(Buffer.from(text), shape)
        const body = Buffer.from(text)
        const taken = takeSecretField(body, 'key')
        // An escape in a name leaves the body as it was: then it is read as ever.
        if (taken === undefined) expect(body.toString()).toBe(text)
        else expect({ key: taken, ...parseFields(body, { cipher: 'string' }) }).toEqual(expected)
      },
    ),
  )
})

test('nothing that is no body breaks it', () => {
  const piece = fc.constantFrom('{', '}', '[', ']', '"', ',', ':', '\\', 'key', '"key":', '"QQ=="', ' ', '1')
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
      const body = Buffer.from(pieces.join(''))
      const taken = takeSecretField(body, 'key')
      if (taken === undefined) expect(body.toString()).toBe(pieces.join(''))
    }),
    { numRuns: 2000 },
  )
})
