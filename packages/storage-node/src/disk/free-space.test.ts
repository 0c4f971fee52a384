import { expect, test, vi } from 'vitest'
import { DiskFullError } from './errors.ts'
import { defaultReserve, FreeSpace } from './free-space.ts'

const MIB = 2 ** 20
const GIB = 2 ** 30

test.each([
  [16 * MIB, 64 * MIB],
  [10 * GIB, 102.4 * MIB],
  [4096 * GIB, 1024 * MIB],
])('of a disk of %d bytes, %d are kept free', (totalBytes, reserve) => {
  expect(defaultReserve({ totalBytes, freeBytes: 0 })).toBe(Math.floor(reserve))
})

test('bytes are given until the reserve is all that is left, and again when there is more', () => {
  let freeBytes = 300
  const space = new FreeSpace(() => ({ totalBytes: 1000, freeBytes }), 100)
  space.take(150)
  freeBytes -= 150
  space.take(50)
  freeBytes -= 50
  expect(() => space.take(1)).toThrow(DiskFullError)
  expect(() => space.take(0)).not.toThrow() // Nothing of the reserve is touched.
  freeBytes += 1
  expect(() => space.take(1)).not.toThrow()
})

test('what was refused is not counted', () => {
  const space = new FreeSpace(() => ({ totalBytes: 1000, freeBytes: 200 }), 100)
  expect(() => space.take(101)).toThrow(DiskFullError)
  expect(() => space.take(100)).not.toThrow()
})

test('the disk is asked now and then, not for each write, and what others write is noticed', () => {
  vi.useFakeTimers()
  try {
    let looks = 0
    let freeBytes = 1_000_000
    const space = new FreeSpace(() => {
      looks += 1
      return { totalBytes: 1_000_000, freeBytes }
    }, 0)
    for (let count = 0; count < 1000; count += 1) space.take(10)
    expect(looks).toBe(1)
    freeBytes = 0
    vi.advanceTimersByTime(100)
    expect(() => space.take(1)).toThrow(DiskFullError)
  } finally {
    vi.useRealTimers()
  }
})

test('a reserve of nothing leaves the disk to be filled', () => {
  const space = new FreeSpace(() => ({ totalBytes: 100, freeBytes: 10 }), 0)
  expect(() => space.take(10)).not.toThrow()
})
