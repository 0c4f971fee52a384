import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Keyed, listPage, startOf } from './listing.ts'
import type { ListQuery } from './object-store.ts'

/** What S3 says of a listing, without any skipping. */
function expected(keys: readonly string[], query: ListQuery): { items: string[]; commonPrefixes: string[] } {
  const { prefix = '', delimiter = '', after } = query
  const items: string[] = []
  const commonPrefixes: string[] = []
  for (const key of sorted(keys)) {
    if (!key.startsWith(prefix)) continue
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    const shown = at < 0 ? key : key.slice(0, at + delimiter.length)
    if (after !== undefined) {
      const isBelow = at >= 0 && after === shown
      if (isBelow || compare(key, after) <= 0) continue
    }
    if (at < 0) items.push(key)
    else if (commonPrefixes.at(-1) !== shown) commonPrefixes.push(shown)
  }
  return { items, commonPrefixes }
}

const compare = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
const sorted = (keys: readonly string[]) => [...new Set(keys)].sort(compare)

/** Counts what was read. */
function source(keys: readonly string[]) {
  const places: Keyed[] = sorted(keys).map((key) => ({ key: Buffer.from(key), place: Buffer.from(key) }))
  const read = { keys: 0 }
  const readKeys = (from: Buffer, max: number) => {
    const entries = places.filter(({ place }) => Buffer.compare(place, from) >= 0).slice(0, max)
    read.keys += entries.length
    return entries
  }
  return { read, readKeys }
}

function page(keys: readonly string[], query: ListQuery) {
  const { read, readKeys } = source(keys)
  const start = startOf(query)
  const name = ({ key }: Keyed) => key.toString()
  const found = start ? listPage(query, start, readKeys, name, name) : { items: [], commonPrefixes: [] }
  return { ...found, read: read.keys }
}

const character = fc.constantFrom('a', 'b', '/', '\0', '\u{10ffff}', 'é', '\uffee', '\u{1f600}')
const key = fc.string({ unit: character, minLength: 1, maxLength: 6 })
const keys = fc.uniqueArray(key, { maxLength: 60 })
const query = fc.record(
  {
    prefix: fc.string({ unit: character, maxLength: 2 }),
    delimiter: fc.constantFrom('', '/', 'a', 'b/', '\0'),
    after: key,
    max: fc.integer({ min: 1, max: 8 }),
  },
  { requiredKeys: ['max'] },
)

test('the pages together are what S3 says, and none is longer than asked', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(keys, query, (keys, query) => {
      const items: string[] = []
      const commonPrefixes: string[] = []
      let after = query.after
      for (;;) {
        const found = page(keys, after === undefined ? query : { ...query, after })
        expect(found.items.length + found.commonPrefixes.length).toBeLessThanOrEqual(query.max)
        items.push(...found.items)
        commonPrefixes.push(...found.commonPrefixes)
        if (found.next === undefined) break
        expect(found.items.length + found.commonPrefixes.length).toBe(query.max)
        after = found.next
      }
      expect({ items, commonPrefixes }).toEqual(expected(keys, query))
    }),
    { numRuns: 2000 },
  )
})

test('a page that ends with the last key names no next one', () => {
  expect(page(['a', 'b'], { max: 2 })).toMatchObject({ items: ['a', 'b'] })
  expect(page(['a', 'b'], { max: 2 }).next).toBeUndefined()
  expect(page(['a', 'b', 'c'], { max: 2 }).next).toBe('b')
  expect(page(['a/1', 'b'], { max: 1, delimiter: '/' }).next).toBe('a/')
})

test('a page of nothing is empty, and the last', () => {
  expect(page(['a'], { max: 0 })).toMatchObject({ items: [], commonPrefixes: [] })
  expect(page(['a'], { max: 0 }).next).toBeUndefined()
})

test('what lies below a common prefix is not read', () => {
  const many = Array.from({ length: 20 }, (_, folder) =>
    Array.from({ length: 1000 }, (_, file) => `${folder}/${file}`),
  ).flat()
  const found = page([...many, 'z'], { max: 1000, delimiter: '/' })
  expect(found.commonPrefixes).toHaveLength(20)
  expect(found.items).toEqual(['z'])
  expect(found.read).toBeLessThan(21 * 20)
})

test('behind a key of the highest bytes there is nothing', () => {
  const highest = '\u{10ffff}/'
  expect(page([`${highest}a`], { max: 5, delimiter: '/', after: highest })).toMatchObject({
    items: [],
    commonPrefixes: [],
  })
})
