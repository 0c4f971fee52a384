import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

const POOL_BYTES = 16 * 1024
const source = vi.hoisted(() => ({ fills: [] as Uint8Array[], next: 0 }))

/** Counts instead of rolling dice, so that a byte that is handed out twice shows. */
vi.mock('node:crypto', () => ({
  randomFillSync(target: Uint8Array, start = 0, length = target.length - start) {
    source.fills.push(target)
    const words = new DataView(target.buffer, target.byteOffset + start, length)
    for (let at = 0; at + 4 <= length; at += 4) {
      source.next += 1
      words.setUint32(at, source.next)
    }
    return target
  },
}))

describe('the pool', () => {
  let fillRandom: typeof import('./random-pool.ts').fillRandom
  let takeRandom: typeof import('./random-pool.ts').takeRandom

  beforeEach(async () => {
    vi.resetModules()
    source.fills.length = 0
    ;({ fillRandom, takeRandom } = await import('./random-pool.ts'))
  })
  afterEach(() => vi.restoreAllMocks())

  test('hands out no byte twice, across refills and odd lengths', () => {
    const seen = new Set<number>()
    let words = 0
    for (let round = 0; round < 3000; round += 1) {
      const portion = takeRandom([12, 16, 28, 32, 76][round % 5] ?? 4)
      for (let at = 0; at < portion.length; at += 4) {
        seen.add(portion.readUInt32BE(at))
        words += 1
      }
    }
    expect(seen.size).toBe(words)
    expect(source.fills.length).toBeGreaterThan(5)
  })

  test('keeps nothing of what it handed out', () => {
    const portion = takeRandom(32)
    expect(source.fills[0]?.subarray(0, 32)).toEqual(Buffer.alloc(32))
    expect(portion).not.toEqual(Buffer.alloc(32))
    expect(source.fills[0]?.subarray(32, 64)).not.toEqual(Buffer.alloc(32))
  })

  test('draws from the system once for many portions', () => {
    for (let taken = 0; taken < POOL_BYTES; taken += 32) takeRandom(32)
    expect(source.fills).toHaveLength(1)
    takeRandom(1)
    expect(source.fills).toHaveLength(2)
  })

  test('serves what is larger than itself from the system', () => {
    const bytes = takeRandom(POOL_BYTES + 4)
    expect(source.fills).toEqual([bytes])
    expect(bytes.readUInt32BE(POOL_BYTES)).not.toBe(0)
  })

  test('writes within the bounds it was given', () => {
    const target = Buffer.alloc(20, '!')
    fillRandom(target, 4, 16)
    expect(target.toString('latin1', 0, 4) + target.toString('latin1', 16)).toBe('!!!!!!!!')
    expect(target.subarray(4, 16)).not.toEqual(Buffer.alloc(12, '!'))
  })
})
