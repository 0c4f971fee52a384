import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { DueDeletions } from './due-deletions.ts'
import type { DeletionClock } from './keyring/deletion-clock.ts'
import type { KeyRing } from './keyring/key-ring.ts'
import type { ErrorLog } from './log/error-log.ts'

beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }))
afterEach(() => void vi.useRealTimers())

/** One key is due. */
function makeDeletions(whenWritable: () => Promise<void> | undefined) {
  const due = ['my-key']
  const written: string[] = []
  const said: string[] = []
  const clock = { hasNews: true, resume: () => undefined, save: () => written.push('running time') }
  const ring = {
    hasDue: () => due.length > 0,
    eraseDue: () => {
      const erased = due.splice(0).map((name) => ({ name, scheduledBy: '' }))
      written.push(...erased.map(({ name }) => name))
      return erased
    },
  }
  const deletions = new DueDeletions({
    clock: clock as unknown as DeletionClock,
    ring: ring as unknown as KeyRing,
    errorLog: { info: () => undefined, error: (text: string) => said.push(text) } as unknown as ErrorLog,
    whenWritable,
    onErased: () => Promise.resolve(),
  })
  return { deletions, written, said }
}

const turn = () => new Promise(setImmediate)

test('what is due is erased, and the running time saved, only when the disk takes writes', async () => {
  const opening = Promise.withResolvers<void>()
  const { deletions, written } = makeDeletions(() => opening.promise)
  deletions.start()
  vi.advanceTimersByTime(60_000)
  await turn()
  expect(written).toEqual([])
  opening.resolve()
  await turn()
  expect(written.toSorted()).toEqual(['my-key', 'running time'])
  deletions.stop()
})

test('a disk that takes no writes is complained of once, and asked again', async () => {
  let hangs = true
  const { deletions, written, said } = makeDeletions(() =>
    hangs ? Promise.reject(new Error('it hangs')) : undefined,
  )
  deletions.start()
  for (let second = 0; second < 3; second += 1) {
    vi.advanceTimersByTime(1000)
    await turn()
  }
  expect([written, said]).toEqual([[], ['scheduled deletions do not go on: it hangs']])
  hangs = false
  vi.advanceTimersByTime(1000)
  await turn()
  expect(written).toEqual(['my-key'])
  deletions.stop()
})

test('nothing is written after the stop by what was waited for', async () => {
  const opening = Promise.withResolvers<void>()
  const { deletions, written } = makeDeletions(() => opening.promise)
  deletions.start()
  deletions.stop() // Saves the running time.
  opening.resolve()
  await turn()
  expect(written).toEqual(['running time'])
})
