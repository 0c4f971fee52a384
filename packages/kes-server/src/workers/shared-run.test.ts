import { expect, test } from 'vitest'
import { SharedRun } from './shared-run.ts'

function counted() {
  const runs: PromiseWithResolvers<number>[] = []
  const shared = new SharedRun(() => {
    const run = Promise.withResolvers<number>()
    runs.push(run)
    return run.promise
  })
  return { shared, runs }
}

test('calls that come while a run is under way share the next one, which begins after them', async () => {
  const { shared, runs } = counted()
  const first = shared.run()
  const others = [shared.run(), shared.run()]
  expect(runs).toHaveLength(1)
  runs[0]?.resolve(1)
  expect(await first).toBe(1)
  await new Promise(setImmediate)
  expect(runs).toHaveLength(2)
  const last = shared.run()
  runs[1]?.resolve(2)
  expect(await Promise.all(others)).toEqual([2, 2])
  await new Promise(setImmediate)
  runs[2]?.resolve(3)
  expect(await last).toBe(3)
})

test('a run that fails is not the result of those who came during it', async () => {
  const { shared, runs } = counted()
  const first = shared.run()
  const second = shared.run()
  runs[0]?.reject(new Error('no'))
  await expect(first).rejects.toThrow('no')
  await new Promise(setImmediate)
  runs[1]?.resolve(2)
  expect(await second).toBe(2)
})
