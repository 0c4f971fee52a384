import fc from 'fast-check'
import { expect, test } from 'vitest'
import { matcherOf, pathOf } from './matching.ts'

test('without paths and methods everything matches', () => {
  expect(matcherOf({})('GET', '/v1/status')).toBe(true)
})

test.each([
  ['/v1/key/decrypt/orders', '/v1/key/decrypt/orders', true],
  ['/v1/key/decrypt/orders', '/v1/key/decrypt/orders2', false],
  ['/v1/key/decrypt/*', '/v1/key/decrypt/orders', true],
  ['/v1/key/decrypt/*', '/v1/key/generate/orders', false],
  ['/v1/key/*/orders', '/v1/key/decrypt/orders', true],
  ['*', '/v1/status', true],
  ['/v1/key/decrypt/o.ders', '/v1/key/decrypt/orders', false],
  ['', '/v1/status', false],
])('the pattern %s and the path %s: %s', (paths, path, isMatch) => {
  expect(matcherOf({ paths })('PUT', path)).toBe(isMatch)
})

test('one of several paths, and one of several methods, is enough', () => {
  const isMatch = matcherOf({ paths: ['/a', '/b'], methods: ['put', 'DELETE'] })
  const matching = ['GET /a', 'PUT /a', 'PUT /c', 'DELETE /b'].filter((request) => {
    const [method = '', path = ''] = request.split(' ')
    return isMatch(method, path)
  })
  expect(matching).toEqual(['PUT /a', 'DELETE /b'])
})

test('every path matches itself, whatever stands in it, and a pattern of its beginning', () => {
  const path = fc.string().filter((text) => !text.includes('*'))
  fc.assert(
    fc.property(path, path, (start, end) => {
      expect(matcherOf({ paths: start + end })('GET', start + end)).toBe(true)
      expect(matcherOf({ paths: `${start}*` })('GET', start + end)).toBe(true)
    }),
  )
})

test('the path of a target ends before its query', () => {
  expect(pathOf('/v1/key/list/a?details=true?')).toBe('/v1/key/list/a')
  expect(pathOf('/v1/key/list/')).toBe('/v1/key/list/')
})
