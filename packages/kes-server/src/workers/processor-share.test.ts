import { expect, test } from 'vitest'
import { ProcessorShare, type ProcessorUse } from './processor-share.ts'

let use: ProcessorUse | undefined
const share = (ranMs: number) => {
  use = { isReady: true, ranMs }
  return new ProcessorShare(() => use, 0)
}

test('who is ready and does not run is starved, each time anew', () => {
  const process = share(5000)
  use = { isReady: true, ranMs: 5400 }
  expect(process.isStarved(1000)).toBe(true)
  use = { isReady: true, ranMs: 6100 }
  expect(process.isStarved(2000)).toBe(false)
  expect(process.isStarved(3000)).toBe(true)
})

test('who runs in a loop is not, nor one that sleeps or is stopped', () => {
  const process = share(0)
  use = { isReady: true, ranMs: 1000 }
  expect(process.isStarved(1000)).toBe(false)
  use = { isReady: false, ranMs: 1000 }
  expect(process.isStarved(2000)).toBe(false)
})

test('nor one of whom nobody can say', () => {
  const process = share(0)
  use = undefined
  expect(process.isStarved(1000)).toBe(false)
  use = { isReady: true, ranMs: 0 }
  expect(process.isStarved(2000)).toBe(false)
  expect(ProcessorShare.of(2 ** 30).isStarved()).toBe(false)
})
