import { kesTest } from '@latchkey/kms-client/testing/vitest'
import { expect } from 'vitest'

const test = kesTest({ keys: ['orders'] })
test('a', async ({ kes }) => {
  expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['orders'])
  await kes.lock('orders')
})
test('b', async ({ kes }) => {
  expect(await kes.requests()).toEqual([])
})
test('c', async () => {})
