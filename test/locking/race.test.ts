/** The lock protocol under fire; `node test/locking/race.ts --n 1000000` is the same for longer. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { race } from './race.ts'

const RACED = 20_000

test('no use is accepted that began after its key was locked, none refused after it was resumed', async () => {
  const result = await race({ n: RACED })
  expect(result.violations.slice(0, 5)).toEqual([])
  expect(result.raced).toBeGreaterThanOrEqual(RACED)
  expect(result.changes).toBeGreaterThan(50)
}, 240_000)

test('a server that answers without waiting for its workers is found out', async () => {
  const program = join(import.meta.dirname, 'server-without-barrier.ts')
  const result = await race({ n: 20 * RACED, program, isEndedByViolation: true })
  expect(result.violations[0]).toMatch(/lock/)
}, 240_000)
