import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeContext, type KmsContext, objectContext, objectPath } from './context.ts'

interface Row {
  readonly id: string
  readonly context?: KmsContext | null
  /** In place of a context: the value, which is not UTF-8, of its only entry. */
  readonly contextValueHex?: string
  readonly canonical: string
  readonly canonicalHex: string
  readonly wireBase64: string
}

const rows: readonly Row[] = JSON.parse(
  readFileSync(new URL('../../../../test/vectors/minio/contexts.json', import.meta.url), 'utf8'),
)

function contextOf({ context, contextValueHex, canonical }: Row): KmsContext | null | undefined {
  if (contextValueHex === undefined) return context
  const [name = ''] = Object.keys(JSON.parse(canonical))
  return { [name]: Buffer.from(contextValueHex, 'hex') }
}

describe('a context is encoded as MinIO does', () => {
  test.each(rows)('$id', (row) => {
    const encoded = encodeContext(contextOf(row))
    expect(encoded.toString('hex')).toBe(row.canonicalHex)
    expect(encoded.toString('base64')).toBe(row.wireBase64)
  })
})

test.each([
  ['quotes and backslashes', { 'a"': '\\' }, '{"a\\"":"\\\\"}'],
  [
    'what Go escapes and JSON.stringify does not',
    { a: '<&>\u2028\u2029' },
    '{"a":"\\u003c\\u0026\\u003e\\u2028\\u2029"}',
  ],
  [
    'control characters',
    { a: '\b\f\n\r\t\u0000\u001f\u007f' },
    '{"a":"\\u0008\\u000c\\n\\r\\t\\u0000\\u001f\u007f"}',
  ],
  ['names that JavaScript would put first', { b: '', 10: '', 9: '' }, '{"10":"","9":"","b":""}'],
  [
    'names in the order of their bytes, not of their UTF-16',
    { '\u{1f600}': '', '\uffee': '' },
    '{"\uffee":"","\u{1f600}":""}',
  ],
  ['a name that is a property of every object', JSON.parse('{"__proto__":"a"}'), '{"__proto__":"a"}'],
] as const)('%s', (_, context: KmsContext, canonical) => {
  expect(encodeContext(context).toString()).toBe(canonical)
})

test.each([
  ['a lone byte', 'ff', '\\ufffd'],
  ['a sequence that is cut off', 'e282', '\\ufffd\\ufffd'],
  ['an over-long sequence', 'c080', '\\ufffd\\ufffd'],
  ['half of a surrogate pair', 'eda080', '\\ufffd\\ufffd\\ufffd'],
  ['text around it', '61ffe282ac62', 'a\\ufffd€b'],
  ['the replacement character itself, which is text', 'efbfbd', '\ufffd'],
])('bytes that are not UTF-8: %s', (_, hex, escaped) => {
  expect(encodeContext({ a: Buffer.from(hex, 'hex') }).toString()).toBe(`{"a":"${escaped}"}`)
})

test('half of a surrogate pair in a string is refused', () => {
  expect(() => encodeContext({ a: '\ud800' })).toThrow(TypeError)
  expect(() => encodeContext({ '\udc00': '' })).toThrow(TypeError)
})

test('the text is JSON of the same entries, whatever their order, and of nothing but them', () => {
  const entries = fc.uniqueArray(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' })), {
    selector: ([name]) => name,
  })
  fc.assert(
    fc.property(entries, (pairs) => {
      const encoded = encodeContext(Object.fromEntries(pairs))
      expect(Object.entries(JSON.parse(encoded.toString())).sort()).toEqual([...pairs].sort())
      expect(encodeContext(Object.fromEntries(pairs.toReversed()))).toEqual(encoded)
    }),
  )
})

test('bytes that are UTF-8 are encoded as their text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(encodeContext({ a: Buffer.from(text) })).toEqual(encodeContext({ a: text }))
    }),
  )
})

test.each([
  ['b', 'o', 'b/o'],
  ['b', 'dir/', 'b/dir'],
  ['b', '', 'b'],
  ['b', '/o', 'b/o'],
  ['b', 'a//b/./c', 'b/a/b/c'],
  ['b', 'a/../c', 'b/c'],
  ['b', '../c', 'c'],
])('the path of object %j/%j', (bucket, object, path) => {
  expect(objectPath(bucket, object)).toBe(path)
})

test("the context of an object has its path, beside what the user gave, and the user's own entry wins", () => {
  expect(objectContext('b', 'o')).toEqual({ b: 'b/o' })
  expect(objectContext('b', 'o', { team: 'red' })).toEqual({ team: 'red', b: 'b/o' })
  expect(objectContext('b', 'o', { b: 'mine' })).toEqual({ b: 'mine' })
})
