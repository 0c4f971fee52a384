import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MalformedBodyError, parseFields } from './json-body.ts'

const read = (text: string) => {
  const { plaintext, cipher } = parseFields(Buffer.from(text), { plaintext: 'bytes', cipher: 'string' })
  return [plaintext.toString(), cipher]
}

describe('a body is read', () => {
  test.each([
    ['{"plaintext":"SGVsbG8=","cipher":"AES256"}', ['Hello', 'AES256']],
    ['{"PlainText":"SGVsbG8="}', ['Hello', '']],
    ['{}', ['', '']],
    ['null', ['', '']],
    ['{"plaintext":null,"cipher":null}', ['', '']],
    ['{"plaintext":"QQ==","plaintext":"Qg=="}', ['B', '']],
    ['{"plaintext":"QQ==","PLAINTEXT":"Qg=="}', ['B', '']],
    ['{"plaintext":"QR=="}', ['A', '']],
    ['{"plaintext":"SGVs\\r\\nbG8="}', ['Hello', '']],
    ['{"plaintext":[72,105]}', ['Hi', '']],
    ['{"unknown":{"plaintext":1},"plaintext":"QQ=="}', ['A', '']],
    ['{"version":"v9","plaintext":"QQ=="}', ['A', '']],
    [' \r\n\t{"plaintext":"QQ=="}', ['A', '']],
    ['{"plaintext":"QQ=="} trailing', ['A', '']],
    ['{"plaintext":"QQ=="}{"plaintext":"Qg=="}', ['A', '']],
    ['{"cipher":"}\\"{"}}}', ['', '}"{']],
    ['null,', ['', '']],
    ['nullx', ['', '']],
  ])('%s', (text, expected) => {
    expect(read(text)).toEqual(expected)
  })
})

describe('a body is refused', () => {
  test.each([
    '',
    ' ',
    '{',
    '{"plaintext":"QQ=="',
    '[]',
    '"text"',
    '1',
    'true',
    '\ufeff{}',
    '{"plaintext":"QQ"}',
    '{"plaintext":"Q_=="}',
    '{"plaintext":1}',
    '{"plaintext":{}}',
    '{"plaintext":[256]}',
    '{"plaintext":[-1]}',
    '{"plaintext":[1.5]}',
    '{"cipher":1}',
    '{"version":1}',
    "{'plaintext':''}",
    '{"plaintext":"QQ==",}',
  ])('%s', (text) => {
    expect(() => read(text)).toThrow(MalformedBodyError)
  })

  test('with words that repeat nothing of it', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z]{12,20}$/), (secret) => {
        for (const text of [secret, `{"plaintext":"${secret}!"}`, `{"cipher":["${secret}"]}`]) {
          try {
            read(text)
            expect.unreachable()
          } catch (error) {
            expect(String(error) + String((error as Error).cause)).not.toContain(secret)
          }
        }
      }),
    )
  })
})

test('whatever the bytes, the outcome is fields or a refusal', () => {
  const nearJson = fc
    .array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', 'plaintext', '"plaintext":', '1', '\\', ' '))
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(fc.oneof(nearJson, fc.string(), fc.json()), (text) => {
      try {
        expect(read(text)).toHaveLength(2)
      } catch (error) {
        expect(error).toBeInstanceOf(MalformedBodyError)
      }
    }),
    { numRuns: 500 },
  )
})

test('what follows a value never changes how it is read', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), fc.string(), (bytes, tail) => {
      const text = JSON.stringify({ plaintext: Buffer.from(bytes).toString('base64') })
      const { plaintext } = parseFields(Buffer.from(`${text}${tail}`), { plaintext: 'bytes' })
      expect(plaintext).toEqual(Buffer.from(bytes))
    }),
  )
})
