import { expect, test } from 'vitest'
import { type Change, judge, type Use } from './history.ts'

const change = (locks: boolean, begun: number, ended: number): Change => {
  return { key: 'a', locks, begun, ended, endedAt: { ms: ended, turn: ended } }
}
const CHANGES = [change(false, 1, 2), change(true, 10, 20), change(false, 30, 40), change(true, 50, 60)]

const use = (begun: number, ended: number, status: number | undefined, ms = ended, turn = ms): Use => {
  return { key: 'a', begun, ended, endedAt: { ms, turn }, status }
}

const judged = (...uses: Use[]) => judge(CHANGES, uses)

test('a use that begins after the lock was answered, and ends before it is lifted, must be refused', () => {
  expect(judged(use(21, 29, 200)).violations).toEqual([
    "a use of 'a' that began after its lock was answered was accepted",
  ])
  expect(judged(use(21, 29, 403), use(61, 99, 403)).violations).toEqual([])
  expect(judged(use(61, 99, 200)).violations).toHaveLength(1)
})

test('a use that goes on while a change does may end either way', () => {
  const statuses = [200, 403, undefined]
  for (const status of statuses) {
    expect(judged(use(5, 15, status), use(15, 18, status), use(25, 35, status)).violations).toEqual([])
  }
})

test('a use between an answered enable and the next lock must be accepted, whichever worker has it', () => {
  expect(judged(use(41, 49, 403)).violations).toEqual([
    "a use of 'a' was answered 403 although it was not locked",
  ])
  expect(judged(use(41, 49, undefined)).violations).toEqual([])
})

test('a use that raced a lock has ended when the lock is answered', () => {
  expect(judged(use(5, 25, 200, 119)).violations).toEqual([])
  expect(judged(use(5, 25, 200, 500, 22)).violations).toEqual([]) // The client did not come to reading it.
  expect(judged(use(5, 25, 200, 121)).violations).toEqual([
    "a use of 'a' ended after the lock that it had raced was answered",
  ])
  expect(judged(use(5, 45, 200, 500)).violations).toEqual([]) // It may have come after the enable.
})

test('uses that met a lock are counted', () => {
  expect(judged(use(5, 9, 200), use(5, 15, 200), use(25, 26, 403), use(45, 46, 200)).raced).toBe(2)
})
