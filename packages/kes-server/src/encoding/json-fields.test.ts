import { describe, expect, test } from 'vitest'
import { bytesField, fieldsOf, type JsonFields, parseJson, textField } from './json-fields.ts'

function read(text: string): JsonFields {
  const fields = fieldsOf(parseJson(text)?.value)
  if (fields === undefined) throw new Error(`no fields in ${text}`)
  return fields
}

test.each(['', '{', '{"a":1', "{'a':1}", '{"a":1} x', '\ufeff{}'])('%j is not JSON', (text) => {
  expect(parseJson(text)).toBeUndefined()
})

test.each(['1', '"a"', '[]', 'true'])('%s has no fields', (text) => {
  expect(fieldsOf(parseJson(text)?.value)).toBeUndefined()
})

test('null has no fields either, but is no mistake', () => {
  expect(read('null').size).toBe(0)
})

test('names match in any case, and the last one wins', () => {
  expect(textField(read('{"NAME":"a"}'), 'name')).toBe('a')
  expect(textField(read('{"name":"a","Name":"b"}'), 'name')).toBe('b')
  expect(textField(read('{"__proto__":"a"}'), 'name')).toBe('')
})

describe('a text field', () => {
  test.each(['1', 'true', '[]', '{}'])('is never %s', (json) => {
    expect(textField(read(`{"a":${json}}`), 'a')).toBeUndefined()
  })

  test('is empty if it is absent or null', () => {
    expect(textField(read('{}'), 'a')).toBe('')
    expect(textField(read('{"a":null}'), 'a')).toBe('')
  })
})

describe('a bytes field', () => {
  test.each(['1', '"QQ"', '"Q_=="', '[256]', '[-1]', '[1.5]', '["1"]', '{}'])('is never %s', (json) => {
    expect(bytesField(read(`{"a":${json}}`), 'a')).toBeUndefined()
  })

  test.each([
    ['"QUI="', 'AB'],
    ['[65,66]', 'AB'],
    ['[65,null]', 'A\0'],
    ['[]', ''],
    ['null', ''],
  ])('reads %s', (json, expected) => {
    expect(bytesField(read(`{"a":${json}}`), 'a')?.toString()).toBe(expected)
  })
})
