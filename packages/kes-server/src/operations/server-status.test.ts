import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { StoreUnavailableError, StoreUnreachableError } from '../errors.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { assertReady } from './server-status.ts'

/** Longer than a probe waits for the disk. */
const BUSY_MS = 500

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('a store whose disk does not answer is unreachable within 100 ms', async () => {
  const ready = assertReady({ status: () => new Promise(() => undefined) })
  const refused = expect(ready).rejects.toThrow(StoreUnreachableError)
  await vi.advanceTimersByTimeAsync(100)
  await refused
})

test('what is answered in time counts, also if this process was held up meanwhile', async () => {
  const answer = Promise.withResolvers<void>()
  const ready = assertReady({ status: () => answer.promise })
  vi.advanceTimersToNextTimer() // The timer is due; what came in meanwhile is read next.
  answer.resolve()
  await expect(ready).resolves.toBeUndefined()
  expect(vi.getTimerCount()).toBe(1)
})

describe('a process that was held up itself', () => {
  test('gives the disk the time again', async () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
    const answer = Promise.withResolvers<void>()
    const ready = assertReady({ status: () => answer.promise })
    clock.mockReturnValue(500)
    await vi.advanceTimersByTimeAsync(100)
    answer.resolve()
    await expect(ready).resolves.toBeUndefined()
  })

  test('does so for a second at most', async () => {
    const clock = vi.spyOn(performance, 'now').mockReturnValue(0)
    const ready = assertReady({ status: () => new Promise(() => undefined) })
    const refused = expect(ready).rejects.toThrow(StoreUnreachableError)
    clock.mockReturnValue(1500)
    await vi.advanceTimersByTimeAsync(100)
    await refused
  })
})

test('a store on a disk is not taken for one that hangs while this process has other things to do', async () => {
  vi.useRealTimers()
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-status-'))
  const store = SqliteStore.open(join(folder, 'kes.db'))
  try {
    const ready = assertReady(store)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_MS)
    await expect(ready).resolves.toBeUndefined()
  } finally {
    store.close()
    rmSync(folder, { recursive: true })
  }
})

test.each([
  [new StoreUnreachableError(), StoreUnreachableError],
  [new StoreUnavailableError(), StoreUnavailableError],
  [new TypeError('the connection is not open'), StoreUnavailableError],
])('a store that answers %o is not ready', async (error, expected) => {
  await expect(assertReady({ status: () => Promise.reject(error) })).rejects.toThrow(expected)
})
