import { expect, test } from 'vitest'
import { ReportedUses } from './reported-uses.ts'

const [a, b] = ['0a'.repeat(16), '0b'.repeat(16)]

test('what was used here is told once; what others tell is known, and not told back', () => {
  const uses = new ReportedUses()
  uses.add([[a, 5]])
  uses.add([[a, 4]])
  uses.learn([[b, 7]])
  expect(uses.takeNews()).toEqual([[a, 5]])
  expect(uses.takeNews()).toEqual([])
  expect([uses.of(a), uses.of(b)]).toEqual([5, 7])
})

test('of a key that was erased nothing is kept, and nothing told', () => {
  const uses = new ReportedUses()
  uses.add([[a, 5]])
  uses.forget(a)
  uses.add([[a, 6]])
  uses.learn([[a, 7]])
  expect(uses.takeNews()).toEqual([])
  expect(uses.all()).toEqual([])
})
