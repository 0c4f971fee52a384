import { expect, test } from 'vitest'
import { InvalidApiKeyError, parseApiKey } from './api-key.ts'

const SEED = Uint8Array.from({ length: 32 }, (_, index) => index)
const TEXT = `kes:v1:${btoa(String.fromCharCode(0, ...SEED))}`

test('an API key gives its seed, with or without its prefix and the white space of a paste', () => {
  expect(parseApiKey(TEXT)).toEqual(SEED)
  expect(parseApiKey(TEXT.slice('kes:v1:'.length))).toEqual(SEED)
  expect(parseApiKey(` ${TEXT}\r\n`)).toEqual(SEED)
})

test.each([
  ['nothing', ''],
  ['a prefix alone', 'kes:v1:'],
  ['a text that lost its end', TEXT.slice(0, -2)],
  ['31 bytes of seed', `kes:v1:${btoa(String.fromCharCode(...SEED))}`],
  ['33 bytes of seed', `kes:v1:${btoa(String.fromCharCode(0, ...SEED, 7))}`],
  ['another type', `kes:v1:${btoa(String.fromCharCode(1, ...SEED))}`],
  ['another alphabet', TEXT.replace('A', '_')],
  ['HTML', '<b>kes:v1:</b>'],
])('%s is refused, and not repeated in the refusal', (_, text) => {
  expect(() => parseApiKey(text)).toThrow(InvalidApiKeyError)
  try {
    parseApiKey(text)
  } catch (error) {
    if (text.length > 10) expect(String(error)).not.toContain(text.slice(7))
  }
})
