import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { KesConnectionError, KeyDisabledError } from '@latchkey/kms-client'
import { type KesSandbox, startKes } from '@latchkey/kms-client/testing'

let kes: KesSandbox

before(async () => {
  kes = await startKes({ keys: ['orders'] })
})

beforeEach(async () => {
  await kes.reset()
})

after(async () => {
  await kes.stop()
})

test('a locked key is refused', async () => {
  await kes.lock('orders')
  await assert.rejects(kes.client.generateKey('orders'), KeyDisabledError)
})

test('a server that is down is reported as such', async () => {
  await using _outage = await kes.faults.refuse()
  await assert.rejects(kes.client.generateKey('orders'), KesConnectionError)
})

test('one data key for each order', async () => {
  await kes.client.generateKey('orders', Buffer.from('order 1'))
  await kes.client.generateKey('orders', Buffer.from('order 2'))
  assert.equal((await kes.requests({ paths: '/v1/key/generate/*' })).length, 2)
})
