/** Deletes that wait for the disk: what is answered, and what else goes on meanwhile. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, test } from 'vitest'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { requireOfServer } from '../server-process/server-process.ts'
import { expectEmpty, expectError, jsonOf } from './replies.ts'

const PENDING = 'key is erased, but its record is still being removed from disk'

let reader: ChildProcess | undefined

/** Another process that reads the store on the snapshot of now. */
async function startReading(path: string): Promise<void> {
  const sqlite = requireOfServer.resolve('better-sqlite3')
  const program = `const db = new (require(${JSON.stringify(sqlite)}))(${JSON.stringify(path)})
    db.exec('BEGIN'); db.prepare('SELECT count(*) FROM keys').get(); console.log('reading'); setInterval(() => {}, 1e6)`
  reader = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  if (reader.stdout !== null) await once(reader.stdout, 'data')
}

async function stopReading(): Promise<void> {
  if (reader === undefined) return
  reader.kill('SIGKILL')
  await once(reader, 'exit')
  reader = undefined
}

afterEach(stopReading)

const erase = (server: TestServer, name: string, options = {}) =>
  server.request('DELETE', `/v1/key/delete/${name}`, options)
const generate = (server: TestServer, name: string) => server.request('PUT', `/v1/key/generate/${name}`)

describe('a delete beside a program that reads the store', () => {
  test('answers 503 after 5 s over both protocols, the key is gone at once, and a delete after it answers 200, then 404', async () => {
    using store = prepareStore(
      [{ name: 'h2' }, { name: 'http/1.1' }, { name: 'c' }].map(({ name }) => ({
        name: name.replace(/\W/g, '-'),
      })),
    )
    await using server = await startTestServer(store)
    await startReading(store.keystore.path)
    const names = PROTOCOLS.map((protocol) => [protocol, protocol.replace(/\W/g, '-')] as const)
    const started = performance.now()
    const deletes = names.map(([protocol, name]) => erase(server, name, { protocol }))
    const isAnswered = Promise.race(deletes.map((each) => each.then(() => true)))

    for (const [, name] of names) {
      await expect.poll(async () => (await generate(server, name)).status).toBe(404)
    }
    expect(await usesUntil(server, 'c', isAnswered)).toBeGreaterThan(20)
    for (const reply of await Promise.all(deletes)) expectError(reply, 503, PENDING, 'ErasePending')
    expect(performance.now() - started).toBeGreaterThan(4_900)
    const readReceipt = () => server.request('GET', '/v1/key/history/h2?receipt=true')
    expectError(await readReceipt(), 503, PENDING, 'ErasePending')

    await stopReading()
    for (const [protocol, name] of names) {
      const receipt = jsonOf(await erase(server, `${name}?receipt=true`, { protocol }))
      expect(receipt).toMatchObject({ format: 'latchkey receipt v1', name })
      expectError(await erase(server, name, { protocol }), 404, 'key does not exist', 'KeyNotFound')
    }
    expect(jsonOf(await readReceipt())).toMatchObject({ format: 'latchkey receipt v1', name: 'h2' })
    const errors = server.errorLog().filter(({ level }) => level === 'ERROR')
    expect(errors.map(({ msg }) => msg)).toEqual([
      ...names.map(() => `${PENDING}: a program that reads the store keeps its log from being emptied`),
      `${PENDING}: the files of the store may still hold key 'h2'`,
    ])
  })

  test('goes on where its client has gone, and its audit event is written', async () => {
    using store = prepareStore([{ name: 'a' }])
    await using server = await startTestServer(store)
    await startReading(store.keystore.path)
    const socket = await server.connect({ ALPNProtocols: ['http/1.1'] })
    socket.write('DELETE /v1/key/delete/a HTTP/1.1\r\nHost: kes\r\n\r\n')
    await expect.poll(async () => (await generate(server, 'a')).status).toBe(404)
    socket.destroy()
    await stopReading()
    await expect
      .poll(() =>
        server
          .auditLog()
          .filter(({ req }) => req?.method === 'DELETE')
          .map(({ res }) => res?.code),
      )
      .toEqual([200])
    expectError(await erase(server, 'a'), 404, 'key does not exist', 'KeyNotFound')
  })
})

/** How often a key could be used, one use after the other, before something else ended. */
async function usesUntil(server: TestServer, name: string, end: Promise<unknown>): Promise<number> {
  let isOver = false
  const over = end.then(() => {
    isOver = true
  })
  let uses = 0
  for (; !isOver; uses += 1) {
    expect((await generate(server, name)).status).toBe(200)
    await delay(5) // Each reply is searched for in the logs at the end.
  }
  await over
  return uses
}

test('uses of other keys are answered while many keys of a large store are erased', async () => {
  const keys = Array.from({ length: 20_000 }, (_, index) => ({ name: `key-${index}` }))
  using store = prepareStore(keys)
  await using server = await startTestServer(store)
  const erased = (async () => {
    for (let index = 0; index < 100; index += 1) expectEmpty(await erase(server, `key-${index * 7}`))
  })()
  expect(await usesUntil(server, 'key-1', erased)).toBeGreaterThan(20)
})
