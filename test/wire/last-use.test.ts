/** When keys were last used: what describe and list tell, and what a restart keeps. */
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { jsonOf } from './replies.ts'

const put = (server: TestServer, path: string, body: object = {}) =>
  server.request('PUT', `/v1/key/${path}`, { body: { ...body } })

async function usedAt(server: TestServer, name: string): Promise<string | undefined> {
  const reply = await server.request('GET', `/v1/key/describe/${name}`)
  return jsonOf<{ last_used_at?: string }>(reply).last_used_at
}

test('every use counts, and nothing else does', async () => {
  await using server = await startTestServer()
  await put(server, 'create/a')
  const { ciphertext } = jsonOf<{ ciphertext: string }>(await put(server, 'generate/a'))
  const uses = [
    () => put(server, 'generate/a'),
    () => put(server, 'encrypt/a', { plaintext: '' }),
    () => put(server, 'decrypt/a', { ciphertext }),
    () => put(server, 'hmac/a', { message: '' }),
  ]
  let last = (await usedAt(server, 'a')) ?? ''
  for (const use of uses) {
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect((await use()).status).toBe(200)
    const used = (await usedAt(server, 'a')) ?? ''
    expect(Date.parse(used)).toBeGreaterThan(Date.parse(last))
    last = used
  }
  await put(server, 'disable/a')
  expect((await put(server, 'generate/a')).status).toBe(403)
  await put(server, 'enable/a')
  expect(await usedAt(server, 'a')).toBe(last)
  const { keys } = jsonOf<{ keys: { last_used_at?: string }[] }>(
    await server.request('GET', '/v1/key/list/?details=true'),
  )
  expect(keys.map(({ last_used_at }) => last_used_at)).toEqual([last])
})

test('a server that is stopped remembers, and one whose file was damaged warns and goes on', async () => {
  using store = prepareStore([{ name: 'a' }])
  const first = await startTestServer(store)
  await put(first, 'generate/a')
  const last = await usedAt(first, 'a')
  await first.stop()

  const second = await startTestServer(store)
  expect(await usedAt(second, 'a')).toBe(last)
  await second.stop()

  const file = `${store.keystore.path}.uses`
  writeFileSync(file, readFileSync(file).subarray(1))
  await using third = await startTestServer(store)
  expect(await usedAt(third, 'a')).toBeUndefined()
  expect(third.errorLog()).toContainEqual(
    expect.objectContaining({
      level: 'WARN',
      msg: `'${file}' is damaged, so it is not known when keys were last used`,
    }),
  )
})
