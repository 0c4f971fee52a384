/** The lock protocol under fire; `node test/locking/race.ts --n 1000000` is the same for longer. */
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { race } from './race.ts'

const RACED = 20_000

test.each([
  ['sqlite', RACED],
  ['fs', RACED / 4],
] as const)(
  'no use is accepted that began after its key was locked, none refused after it was resumed: %s',
  async (store, n) => {
    const result = await race({ n, store })
    expect(result.violations.slice(0, 5)).toEqual([])
    expect(result.raced).toBeGreaterThanOrEqual(n)
    expect(result.changes).toBeGreaterThan(20)
  },
  240_000,
)

test('what a worker had to send before it acknowledged a change has left it then, though it stands still', async () => {
  const program = join(import.meta.dirname, 'server-with-paused-workers.ts')
  const result = await race({ n: RACED / 5, program })
  expect(result.violations.slice(0, 5)).toEqual([])
}, 240_000)

test('a server that answers without waiting for its workers is found out', async () => {
  const program = join(import.meta.dirname, 'server-without-barrier.ts')
  const result = await race({ n: 20 * RACED, program, isEndedByViolation: true })
  expect(result.violations[0]).toMatch(/lock/)
}, 240_000)
