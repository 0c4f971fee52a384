import { setTimeout as delay } from 'node:timers/promises'
import { KmsError } from '@latchkey/kms-client/kms'
import { expect, test, vi } from 'vitest'
import { ReadGuards } from '../s3/read-guards.ts'
import { KeyWatch } from './key-watch.ts'

/** Of a key server whose watch always fails so. */
function failingKms(reason: KmsError['reason']) {
  const watchLocks = vi.fn(async function* (): AsyncGenerator<string> {
    yield* []
    throw new KmsError(reason, 'watch', '')
  })
  return { watchLocks, generateKey: () => Promise.reject(new KmsError(reason, 'generate', '')) }
}

test('a watch that the policy does not allow is not asked for again and again; one that broke is', async () => {
  const refused = failingKms('not-allowed')
  const broken = failingKms('unreachable')
  await using _refusedWatch = new KeyWatch(refused, new ReadGuards())
  await using _brokenWatch = new KeyWatch(broken, new ReadGuards())
  await vi.waitUntil(() => broken.watchLocks.mock.calls.length >= 3, { timeout: 20_000 })
  await delay(10)
  expect(refused.watchLocks).toHaveBeenCalledTimes(1)
})
