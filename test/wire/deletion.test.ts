/** Deletions that are scheduled: what is answered while a key waits, and how its time ends. */
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectEmpty, expectError, jsonOf, NOT_ALLOWED } from './replies.ts'

const WEEK_MS = 604_800_000

/** Clocks that a test sets. */
function testClocks() {
  const time = { wallMs: Date.parse('2026-11-26T00:00:00Z'), monotonicMs: 1_000_000 }
  return {
    clocks: { wallMs: () => time.wallMs, monotonicMs: () => time.monotonicMs },
    pass(ms: number) {
      time.wallMs += ms
      time.monotonicMs += ms
    },
  }
}

const put = (server: TestServer, path: string) => server.request('PUT', `/v1/key/${path}`)
const erase = (server: TestServer, path: string) => server.request('DELETE', `/v1/key/delete/${path}`)
const describeKey = async (server: TestServer, name: string): Promise<object> =>
  jsonOf(await server.request('GET', `/v1/key/describe/${name}`))

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test('a key that waits is refused, listed with its date, and can be had back disabled', async () => {
    const { clocks } = testClocks()
    await using server = await startTestServer({ clocks })
    const request = (method: string, path: string) => server.request(method, path, { protocol })
    await put(server, 'create/a')

    const scheduled = await request('DELETE', '/v1/key/delete/a?after=7d')
    expect(jsonOf(scheduled)).toMatchObject({
      name: 'a',
      state: 'pending',
      revision: 2,
      changed_by: server.admin.identity,
      deletion_at: '2026-12-03T00:00:00Z',
    })
    expect(await describeKey(server, 'a')).toEqual(jsonOf(scheduled))
    const { keys } = jsonOf<{ keys: object[] }>(await request('GET', '/v1/key/list/?details=true'))
    expect(keys).toEqual([jsonOf(scheduled)])
    for (const use of ['generate', 'encrypt', 'decrypt', 'hmac']) {
      const reply = await server.request('PUT', `/v1/key/${use}/a`, { protocol, body: '{}' })
      expectError(reply, 403, NOT_ALLOWED, 'KeyPendingDeletion')
    }
    for (const [method, path] of [
      ['PUT', 'enable/a'],
      ['PUT', 'disable/a'],
      ['DELETE', 'delete/a'],
      ['DELETE', 'delete/a?after=8d'],
    ] as const) {
      expectError(await request(method, `/v1/key/${path}`), 409, 'key is pending deletion', 'WrongState')
    }
    expect(jsonOf(await put(server, 'disable/*'))).toEqual({ matched: 1, changed: 0, pending: 1 })

    expectEmpty(await request('PUT', '/v1/key/cancel-deletion/a'))
    expect(await describeKey(server, 'a')).toMatchObject({ state: 'disabled', revision: 3 })
    const again = await request('PUT', '/v1/key/cancel-deletion/a')
    expectError(again, 409, 'key is not pending deletion', 'WrongState')
    expectError(await put(server, 'cancel-deletion/b'), 404, 'key does not exist', 'KeyNotFound')
  })
})

test('a configured waiting period holds for the admin, too, and a delete without a word waits so long', async () => {
  const { clocks } = testClocks()
  await using server = await startTestServer({ clocks, waitingPeriodMs: WEEK_MS })
  await put(server, 'create/a')
  for (const after of ['0', '0s', '6d', '167h59m59s999ms']) {
    expectError(
      await erase(server, `a?after=${after}`),
      400,
      'waiting period is too short: it must be 7d or more',
      'WaitingPeriodTooShort',
    )
  }
  expectError(
    await erase(server, 'a?receipt=true'),
    400,
    "query parameter 'receipt=true' is invalid: expected none: the key is erased after a waiting period",
    'InvalidParameter',
  )
  expectError(await erase(server, 'nothing'), 404, 'key does not exist', 'KeyNotFound')
  expect(jsonOf(await erase(server, 'a'))).toMatchObject({ deletion_at: '2026-12-03T00:00:00Z' })
})

test.each(['', 'soon', '7', '-7d', '7d ', '4000d'])(
  'after=%j is refused, and nothing is scheduled',
  async (after) => {
    await using server = await startTestServer()
    await put(server, 'create/a')
    const { status, rawBody } = await erase(server, `a?after=${encodeURIComponent(after)}`)
    expect([status, JSON.parse(rawBody.toString()).code]).toEqual([400, 'InvalidParameter'])
    expect(await describeKey(server, 'a')).toMatchObject({ state: 'enabled', revision: 1 })
  },
)

test('after its time the key is gone, off the disk, and its receipt names who wanted it', async () => {
  const { clocks, pass } = testClocks()
  using store = prepareStore([{ name: 'a' }])
  await using server = await startTestServer({ ...store, clocks })
  await erase(server, 'a?after=1d')
  pass(86_400_000 - 1)
  await delay(1500) // The server looks every second.
  expect(await describeKey(server, 'a')).toMatchObject({ state: 'pending' })
  pass(1)
  await expect
    .poll(async () => (await server.request('GET', '/v1/key/describe/a')).status, { timeout: 5000 })
    .toBe(404)
  const receipt = jsonOf(await erase(server, 'a?receipt=true'))
  expect(receipt).toMatchObject({
    name: 'a',
    erased_by: '',
    journal: { action: 'erase', detail: { scheduled_by: server.admin.identity } },
  })
  expectError(await erase(server, 'a'), 404, 'key does not exist', 'KeyNotFound')
  expect(server.errorLog().map(({ msg }) => msg)).toContain(
    `secret key 'a' deleted: its waiting period is over, as ${server.admin.identity} has wanted`,
  )
  expectError(await put(server, 'create/a'), 400, 'key already exists', 'KeyNameReserved')
})

test('a policy that allows to delete does not allow to cancel', async () => {
  const app = await clientOf('app')
  await using server = await startTestServer({
    policies: { app: { allow: ['/v1/key/create/*', '/v1/key/delete/*'], identities: [app.identity] } },
  })
  await server.request('PUT', '/v1/key/create/a', { as: app })
  expect((await server.request('DELETE', '/v1/key/delete/a?after=1d', { as: app })).status).toBe(200)
  const refused = await server.request('PUT', '/v1/key/cancel-deletion/a', { as: app })
  expectError(refused, 403, NOT_ALLOWED, 'NotAllowed')
})
