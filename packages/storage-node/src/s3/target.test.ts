import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { S3Error } from './errors.ts'
import { checkKey, isBucketName, readTarget } from './target.ts'

function codeOf(body: () => unknown): string | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof S3Error) return error.code
    throw error
  }
  return undefined
}

test.each([
  ['/', '', ''],
  ['/demo', 'demo', ''],
  ['/demo/', 'demo', ''],
  ['/demo/a/b.txt', 'demo', 'a/b.txt'],
  ['/demo/dir/', 'demo', 'dir/'],
  ['/demo/%E2%9C%93%20+', 'demo', '✓ +'],
])('%s is bucket "%s" and key "%s"', (target, bucket, key) => {
  expect(readTarget(target, 'localhost:9000', [])).toMatchObject({ bucket, key })
})

test('a host under a domain of the node names the bucket', () => {
  expect(readTarget('/a/b', 'demo.s3.test:9000', ['s3.test'])).toMatchObject({ bucket: 'demo', key: 'a/b' })
  expect(readTarget('/demo/b', 's3.test:9000', ['s3.test'])).toMatchObject({ bucket: 'demo', key: 'b' })
})

test('flags may have a value or none, and + is a space', () => {
  const { query } = readTarget('/demo?uploads&prefix=a+b%2B&x=', '', [])
  expect([query.has('uploads'), query.get('prefix'), query.get('x')]).toEqual([true, 'a b+', ''])
})

test.each(['/%', '/demo/%zz', '/demo/%ff', '/demo?x=%', 'http://host/demo'])('%s is no target', (target) => {
  expect(codeOf(() => readTarget(target, '', []))).toBe('BadRequest')
})

describe('keys', () => {
  test.each(['../a', 'a/../b', './a', 'a//b', '/a', 'a/.', '..', 'a\0b'])('%j is refused', (key) => {
    expect(codeOf(() => checkKey(key))).toBe('XMinioInvalidObjectName')
  })

  test.each(['a', 'dir/', '…/x', 'a\\b', '.hidden', 'a..b', '\u202eabc', '💥', 'a\nb'])(
    '%j is taken',
    (key) => {
      expect(checkKey(key)).toBe(key)
    },
  )

  test('have at most 1,024 bytes', () => {
    expect(checkKey('é'.repeat(512))).toHaveLength(512)
    expect(codeOf(() => checkKey(`${'é'.repeat(512)}a`))).toBe('KeyTooLongError')
  })

  test('what is taken is what was encoded, for any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), (key) => {
        const target = `/demo/${encodeURIComponent(key.toWellFormed())}`
        const code = codeOf(() => expect(readTarget(target, '', []).key).toBe(key))
        expect([undefined, 'XMinioInvalidObjectName']).toContain(code)
      }),
    )
  })
})

test.each([
  ['demo', true],
  ['a.b-c1', true],
  ['ab', false],
  ['Demo', false],
  ['-demo', false],
  ['demo.', false],
  ['a..b', false],
  ['192.168.0.1', false],
  ['x'.repeat(64), false],
])('the bucket name %s is valid: %s', (name, isValid) => {
  expect(isBucketName(name)).toBe(isValid)
})
