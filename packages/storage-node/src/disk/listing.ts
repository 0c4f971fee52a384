/**
 * One page of a listing, as S3 wants it: keys in the order of their bytes, those with the delimiter behind the prefix
 * as one. What lies below a common prefix is skipped, not read, so a page costs the same whatever lies there.
 */
import type { ListPage, ListQuery } from './object-store.ts'

export interface Keyed {
  readonly key: Buffer
  /** Where it stands in the order: the key, or the key and what tells several of one key apart. */
  readonly place: Buffer
}

/** Entries at or behind `from`, in their order; fewer than `max` at the end alone. */
export type ReadKeys<Entry extends Keyed> = (from: Buffer, max: number) => Entry[]

const KEYS_MAX = 1000

/**
 * @param start - the first place that may be on the page.
 * @param itemOf - called for those that are.
 * @param nextOf - what names the entry to go on behind.
 */
export function listPage<Entry extends Keyed, Item>(
  query: ListQuery,
  start: Buffer,
  readKeys: ReadKeys<Entry>,
  itemOf: (entry: Entry) => Item,
  nextOf: (entry: Entry) => string,
): ListPage<Item> {
  const prefix = Buffer.from(query.prefix ?? '')
  const delimiter = Buffer.from(query.delimiter ?? '')
  const items: Item[] = []
  const commonPrefixes: string[] = []
  let next: string | undefined
  const isFull = () => items.length + commonPrefixes.length >= query.max

  for (const entry of entriesBelow(prefix, start, readKeys)) {
    // Only now is it known that the full page is not the last one.
    if (isFull()) return { items, commonPrefixes, ...(next !== undefined && { next }) }
    const common = commonPrefixOf(entry.value.key, prefix, delimiter)
    if (common === undefined) {
      items.push(itemOf(entry.value))
      next = nextOf(entry.value)
    } else {
      next = common.toString()
      commonPrefixes.push(next)
      entry.skipBelow(common)
    }
  }
  return { items, commonPrefixes }
}

/** What is shown in place of a key, if it has the delimiter behind the prefix. */
function commonPrefixOf(key: Buffer, prefix: Buffer, delimiter: Buffer): Buffer | undefined {
  if (delimiter.length === 0) return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : key.subarray(0, at + delimiter.length)
}

/** The first place behind all that begin so; `undefined` if there is none. */
export function behind(prefix: Buffer): Buffer | undefined {
  for (let end = prefix.length; end > 0; end--) {
    const last = prefix[end - 1] ?? 0xff
    if (last < 0xff) return Buffer.concat([prefix.subarray(0, end - 1), Buffer.of(last + 1)])
  }
  return undefined
}

interface Step<Entry> {
  readonly value: Entry
  /** Go on behind everything that begins so. */
  skipBelow(prefix: Buffer): void
}

function* entriesBelow<Entry extends Keyed>(
  prefix: Buffer,
  start: Buffer,
  readKeys: ReadKeys<Entry>,
): Generator<Step<Entry>> {
  /** `undefined`: nothing comes any more. */
  let next: Buffer | undefined = Buffer.compare(start, prefix) > 0 ? start : prefix
  const skipBelow = (common: Buffer) => {
    next = behind(common)
  }
  // Few at first: of what is read behind a common prefix, all but the first may be skipped.
  let max = 1
  while (next !== undefined) {
    const entries = readKeys(next, max)
    let isSkipping = false
    for (const value of entries) {
      if (next === undefined || !startsWith(value.key, prefix)) return
      isSkipping = Buffer.compare(value.place, next) < 0
      if (isSkipping) continue
      next = after(value.place)
      yield { value, skipBelow }
    }
    if (entries.length < max) return
    max = isSkipping ? 1 : Math.min(max * 4, KEYS_MAX)
  }
}

/**
 * The first place behind `query.after`, and behind all below it if that is a common prefix.
 *
 * @param lastPlaceOf - the last place of a key.
 * @returns `undefined` if there is none.
 */
export function startOf(
  query: ListQuery,
  lastPlaceOf: (key: string) => Buffer = (key) => Buffer.from(key),
): Buffer | undefined {
  if (query.after === undefined) return Buffer.alloc(0)
  const key = Buffer.from(query.after)
  const common = commonPrefixOf(key, Buffer.from(query.prefix ?? ''), Buffer.from(query.delimiter ?? ''))
  return common?.length === key.length ? behind(key) : after(lastPlaceOf(query.after))
}

/** The first place behind this one. */
function after(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.of(0)])
}

function startsWith(key: Buffer, prefix: Buffer): boolean {
  return key.length >= prefix.length && key.compare(prefix, 0, prefix.length, 0, prefix.length) === 0
}
