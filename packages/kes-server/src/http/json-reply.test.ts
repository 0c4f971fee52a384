import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InvalidNameError, KeyDisabledError } from '../errors.ts'
import { bytesReply, errorReply, goJson, jsonReply } from './json-reply.ts'

test('an error has its newline before the closing brace and none after it', () => {
  expect(errorReply(new KeyDisabledError()).toString()).toBe(
    '{"message":"not authorized: insufficient permissions","code":"KeyDisabled"\n}',
  )
})

test('what a client sent can not break out of an error message', () => {
  const reply = errorReply(new InvalidNameError('key name', '</script>"&\u2028')).toString()
  expect(reply).toContain(String.raw`\u003c/script\u003e\"\u0026\u2028`)
  expect(JSON.parse(reply).message).toContain('</script>"&\u2028')
})

test('a document ends in a newline', () => {
  expect(jsonReply({ names: ['a'] }).toString()).toBe('{"names":["a"]}\n')
})

test('escaping changes the text and not the value', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const json = goJson(text.toWellFormed())
      expect(JSON.parse(json)).toBe(text.toWellFormed())
      expect(json).not.toMatch(/[<>&\u2028\u2029]/)
    }),
  )
})

test('byte fields stand in their order as base64, whatever their lengths', () => {
  expect(bytesReply(['plaintext', Buffer.from('Hello')], ['ciphertext', Buffer.of()]).toString()).toBe(
    '{"plaintext":"SGVsbG8=","ciphertext":""}\n',
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.uint8Array({ maxLength: 200 }), (one, two) => {
      const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64')
      expect(bytesReply(['a', one], ['bc', two]).toString()).toBe(
        `${JSON.stringify({ a: base64(one), bc: base64(two) })}\n`,
      )
    }),
  )
})
