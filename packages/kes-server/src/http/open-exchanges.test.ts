import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { OpenExchanges } from './open-exchanges.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

function newBook() {
  const expired: string[] = []
  const book = new OpenExchanges<{ name: string; expiresMs: number }>(({ name }) => expired.push(name))
  const add = (name: string, timeoutMs: number) => {
    const exchange = { name, expiresMs: performance.now() + timeoutMs }
    book.add(exchange)
    return exchange
  }
  return { book, add, expired }
}

test('an exchange expires once, within a second of its time and never before it', () => {
  const { add, expired } = newBook()
  add('slow', 2500)
  vi.advanceTimersByTime(2400)
  expect(expired).toEqual([])
  vi.advanceTimersByTime(1100)
  expect(expired).toEqual(['slow'])
  vi.advanceTimersByTime(10_000)
  expect(expired).toEqual(['slow'])
})

test('an exchange that has ended does not expire', () => {
  const { book, add, expired } = newBook()
  book.remove(add('quick', 100))
  vi.advanceTimersByTime(5000)
  expect([expired, book.count]).toEqual([[], 0])
})

test('an exchange without an end, a log, does not expire', () => {
  const { add, expired } = newBook()
  add('log', Number.POSITIVE_INFINITY)
  vi.advanceTimersByTime(3_600_000)
  expect(expired).toEqual([])
})
