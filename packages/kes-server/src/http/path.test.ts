import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { cleanPath, decodePath, normalizeTarget, queryOf, rawPathOf } from './path.ts'

describe('a request target', () => {
  test.each([
    ['/a%2Fb%C3%A9?c=%zz', '/a%2Fb%C3%A9?c=%zz'],
    ['https://kes:7373/a?b', '/a?b'],
    ['HTTP://kes/', '/'],
    ['https://kes', 'https://kes'],
    ['/https://kes/a', '/https://kes/a'],
    ['/a%FFb', '/a%EF%BF%BDb'],
    ['/a%C3', '/a%EF%BF%BD'],
    ['/%2F%FF', '/%2F%EF%BF%BD'],
    ['/%', '/%'],
    ['*', '*'],
  ])('%s is routed as %s', (target, normalized) => {
    expect(normalizeTarget(target)).toBe(normalized)
  })

  test.each([
    ['/a?b=c', '/a', 'b=c'],
    ['/a', '/a', ''],
    ['/a?b?c', '/a', 'b?c'],
    ['?x', '', 'x'],
  ])('%s is the path %s and the query %s', (target, path, query) => {
    expect([rawPathOf(target), queryOf(target)]).toEqual([path, query])
  })
})

describe('a path is decoded', () => {
  test.each([
    ['/v1/key/create/a%2Fb', '/v1/key/create/a/b'],
    ['/a%2Db', '/a-b'],
    ['/%25', '/%'],
    ['/%C3%A9', '/é'],
    ['/%ff', '/\ufffd'],
  ])('%s to %s', (raw, decoded) => {
    expect(decodePath(raw)).toBe(decoded)
  })

  test.each(['/%', '/%4', '/%zz', '/a%2'])('%s is malformed', (raw) => {
    expect(decodePath(raw)).toBeUndefined()
  })

  test('as it was encoded', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        expect(decodePath(encodeURIComponent(text.toWellFormed()))).toBe(text.toWellFormed())
      }),
    )
  })
})

describe('a path is cleaned', () => {
  test.each([
    ['//v1/key', '/v1/key'],
    ['/v1//key/', '/v1/key/'],
    ['/v1/./key', '/v1/key'],
    ['/v1/key/..', '/v1'],
    ['/v1/key/.', '/v1/key'],
    ['/v1/key/./', '/v1/key/'],
    ['/../v1', '/v1'],
    ['/..', '/'],
    ['/.', '/'],
    ['//', '/'],
  ])('%s to %s', (raw, clean) => {
    expect(cleanPath(raw)).toBe(clean)
  })

  test.each(['/v1/key/create/a', '/v1/key/list/', '/a.b', '/...', '/.a', '/a..', '/'])(
    '%s is clean as it is',
    (raw) => {
      expect(cleanPath(raw)).toBeUndefined()
    },
  )

  test('once, and then it is clean', () => {
    const path = fc.array(fc.constantFrom('', '.', '..', 'a', 'b.c'), { maxLength: 8 })
    fc.assert(
      fc.property(path, (segments) => {
        const clean = cleanPath(`/${segments.join('/')}`)
        if (clean !== undefined) expect(cleanPath(clean)).toBeUndefined()
      }),
    )
  })
})
