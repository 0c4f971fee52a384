import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { type KeyUse, LastUses } from './last-uses.ts'

const storeId = randomBytes(16)
const [a, b] = ['0a'.repeat(16), '0b'.repeat(16)]

let folder: string
let store: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'last-uses-'))
  store = join(folder, 'keys.db')
})

afterEach(() => rmSync(folder, { recursive: true }))

function saved(...uses: readonly KeyUse[]): LastUses {
  const lastUses = new LastUses()
  lastUses.add(uses)
  lastUses.save(store, storeId)
  return lastUses
}

function loaded(): { lastUses: LastUses; warnings: string[] } {
  const lastUses = new LastUses()
  return { lastUses, warnings: lastUses.load(store, storeId) }
}

test('the last of several uses counts, in whatever order they are told', () => {
  const lastUses = new LastUses()
  lastUses.add([[a, 5]])
  lastUses.add([
    [a, 3],
    [b, 7],
  ])
  expect([lastUses.of(a), lastUses.of(b), lastUses.of('0c'.repeat(16))]).toEqual([5, 7, undefined])
})

test('of an erased key no use is noted that is told late, and then nothing is kept of it', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  onTestFinished(() => {
    vi.useRealTimers()
  })
  const lastUses = new LastUses()
  const told: string[] = []
  lastUses.onForget((keyId) => told.push(keyId))
  lastUses.add([[a, 5]])
  lastUses.forget(a)
  expect(told).toEqual([a])
  for (const seconds of [0, 119, 100]) {
    vi.advanceTimersByTime(seconds * 1000)
    lastUses.forget(b)
    expect(lastUses.add([[a, 6]])).toEqual([])
  }
  vi.advanceTimersByTime(120_000)
  lastUses.forget(b)
  // As if it had never been.
  expect(lastUses.add([[a, 7]])).toEqual([[a, 7]])
  lastUses.forget(a)
  vi.advanceTimersByTime(300_000)
  expect(lastUses.add([[a, 8]])).toEqual([[a, 8]])
})

test('all uses come back from the file, which its owner alone may read', () => {
  const keyId = fc
    .uint8Array({ minLength: 16, maxLength: 16 })
    .map((bytes) => Buffer.from(bytes).toString('hex'))
  const anyUse = fc.tuple(keyId, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }))
  fc.assert(
    fc.property(fc.uniqueArray(anyUse, { selector: ([id]) => id, minLength: 1 }), (uses) => {
      saved(...uses)
      const { lastUses, warnings } = loaded()
      expect(warnings).toEqual([])
      expect(uses.map(([id]) => [id, lastUses.of(id)])).toEqual(uses)
    }),
    { numRuns: 30 },
  )
  expect(statSync(`${store}.uses`).mode & 0o777).toBe(0o600)
  expect(readdirSync(folder)).toEqual(['keys.db.uses'])
})

test('the file is written for news alone', () => {
  const lastUses = saved([a, 5])
  rmSync(`${store}.uses`)
  lastUses.add([[a, 4]])
  lastUses.forget(b)
  lastUses.save(store, storeId)
  expect(existsSync(`${store}.uses`)).toBe(false)
  lastUses.forget(a)
  lastUses.save(store, storeId)
  expect(loaded().lastUses.of(a)).toBeUndefined()
})

test('no file is no news, and no reason for a warning', () => {
  expect(loaded().warnings).toEqual([])
})

test.each<[string, (bytes: Buffer) => Buffer]>([
  ['cut short', (bytes) => bytes.subarray(0, bytes.length - 1)],
  ['cut to a whole use', (bytes) => bytes.subarray(0, bytes.length - 24)],
  ['longer', (bytes) => Buffer.concat([bytes, Buffer.alloc(24)])],
  ['empty', () => Buffer.alloc(0)],
  [
    'that of another store',
    (bytes) => Buffer.concat([bytes.subarray(0, 8), randomBytes(16), bytes.subarray(24)]),
  ],
  ["another program's", () => Buffer.from('{"uses": []}')],
])('a file that is %s is a warning, and the server goes on without it', (_, edit) => {
  saved([a, 5], [b, 6])
  writeFileSync(`${store}.uses`, edit(readFileSync(`${store}.uses`)))
  const { lastUses, warnings } = loaded()
  expect(warnings).toEqual([`'${store}.uses' is damaged, so it is not known when keys were last used`])
  expect(lastUses.of(a)).toBeUndefined()
})

test('a file with any bit flipped is a warning', () => {
  saved([a, 5])
  const whole = readFileSync(`${store}.uses`)
  fc.assert(
    fc.property(fc.nat(whole.length * 8 - 1), (bit) => {
      const bytes = Buffer.from(whole)
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      writeFileSync(`${store}.uses`, bytes)
      expect(loaded().warnings).toHaveLength(1)
    }),
  )
})
