/** `kesTest`, the fixture for vitest. */
import { KesClient, KesConnectionError } from '@latchkey/kms-client'
import type { KesSandbox } from '@latchkey/kms-client/testing'
import { kesTest } from '@latchkey/kms-client/testing/vitest'
import { afterAll, expect } from 'vitest'

const test = kesTest({ keys: ['orders'], seed: 7 })
const seen = new Set<KesSandbox>()

test('a test has the server that it asks for', async ({ kes }) => {
  seen.add(kes)
  await kes.lock('orders')
  await kes.create('left-behind')

  expect(kes.seed).toBe(7)
})

test('the next test has another one, with nothing of the first', async ({ kes }) => {
  seen.add(kes)

  expect(seen.size).toBe(2)
  expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['orders'])
  expect(await kes.client.generateKey('orders')).toHaveProperty('plaintext')
})

// Each has ended with its test.
afterAll(async () => {
  for (const kes of seen) {
    await using client = new KesClient(kes.clientOptions)
    await expect(client.version()).rejects.toThrow(KesConnectionError)
  }
})
