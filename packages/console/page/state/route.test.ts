import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseRoute, routeTo } from './route.ts'

test('every name and prefix comes back from its address', () => {
  const text = fc.string({ unit: 'grapheme', minLength: 1 })
  fc.assert(
    fc.property(fc.array(text), fc.string({ unit: 'grapheme' }), (names, prefix) => {
      expect(parseRoute(routeTo('objects', names, prefix))).toEqual({ view: 'objects', names, prefix })
    }),
  )
})

test.each(['', '#', '#/', '#/nowhere', '#//', '#/%zz'])('the address "%s" shows the keys', (hash) => {
  expect(parseRoute(hash).view).toBe('keys')
})
