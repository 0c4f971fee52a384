/** What was answered outlives every death; `node test/locking/crash.ts --kills 10000 --stores 4` is the same for longer. */
import { expect, test } from 'vitest'
import { crash } from './crash.ts'

const KILLS = 100

test('servers and workers that are killed at any moment leave what they have answered', async () => {
  const result = await crash({ kills: KILLS, stores: 2 })
  expect(result.violations.slice(0, 5)).toEqual([])
  expect(result.kills).toBeGreaterThanOrEqual(KILLS)
  expect(result.answered).toBeGreaterThan(KILLS)
  expect(result.unanswered).toBeGreaterThan(0)
}, 400_000)
