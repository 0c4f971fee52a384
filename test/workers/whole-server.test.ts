/** Four worker processes are one server: whichever of them answers. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Connection, openConnection, PROTOCOLS, type Reply } from '../sandbox/connection.ts'
import { type PreparedStore, prepareStore } from '../sandbox/prepared-store.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { openLines, openLog } from '../wire/log-stream.ts'
import { exchange } from '../wire/raw-http.ts'

const WORKERS = 4

let store: PreparedStore
let server: TestServer
/** One to each worker, of each protocol: a new connection goes to the worker that has the fewest. */
const connections: Connection[] = []

beforeAll(async () => {
  store = prepareStore()
  server = await startTestServer({ keystore: store.keystore, keys: ['my-key'], workers: WORKERS })
  for (let index = 0; index < 2 * WORKERS; index += 1) {
    const { key, cert } = server.admin
    const options = { host: '127.0.0.1', port: server.port, ca: server.ca, key, cert }
    const connection = openConnection(PROTOCOLS[index % 2] ?? 'h2', options)
    connections.push(connection)
    expect((await send(connection, 'GET', '/version')).status).toBe(200)
  }
})

afterAll(async () => {
  for (const connection of connections) connection.close()
  await server.stop()
  store[Symbol.dispose]()
})

function send(connection: Connection, method: string, path: string, body?: unknown): Promise<Reply> {
  const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  return connection.send({ method, path, headers: {}, body: bytes })
}

/** The same request over all connections, one after the other. */
async function sendToAll(method: string, path: string): Promise<Reply[]> {
  const replies: Reply[] = []
  for (const connection of connections) replies.push(await send(connection, method, path))
  return replies
}

const statusesOf = (replies: readonly Reply[]) => [...new Set(replies.map(({ status }) => status))]
const generate = (name: string) => sendToAll('PUT', `/v1/key/generate/${name}`)

test('a change that one worker has answered holds in all of them', async () => {
  for (const [index, connection] of connections.entries()) {
    const name = `change-${index}`
    const change = async (method: string, verb: string) =>
      expect((await send(connection, method, `/v1/key/${verb}/${name}`)).status).toBe(200)
    await change('PUT', 'create')
    expect(statusesOf(await generate(name))).toEqual([200])
    await change('PUT', 'disable')
    expect(statusesOf(await generate(name))).toEqual([403])
    await change('PUT', 'enable')
    expect(statusesOf(await generate(name))).toEqual([200])
    await change('PUT', 'disable') // By a pattern, of one name.
    expect((await send(connection, 'PUT', '/v1/key/enable/change-*')).status).toBe(200)
    expect(statusesOf(await generate(name))).toEqual([200])
    await change('DELETE', 'delete')
    expect(statusesOf(await generate(name))).toEqual([404])
  }
})

test('a request that changes the store is answered as by a server of one process', async () => {
  using otherStore = prepareStore()
  await using single = await startTestServer({ keystore: otherStore.keystore, keys: ['my-key'] })
  const [connection] = connections
  if (connection === undefined) throw new Error('no connection')
  const requests: [string, string, unknown?][] = [
    ['PUT', '/v1/key/create/my-key'],
    ['PUT', '/v1/key/create/%20'],
    ['PUT', '/v1/key/create/a?reuse=maybe'],
    ['PUT', '/v1/key/import/b', { bytes: Buffer.alloc(31).toString('base64'), cipher: 'AES256' }],
    ['PUT', '/v1/key/import/b', 'nonsense'],
    ['PUT', '/v1/key/import/b', { bytes: Buffer.alloc(32, 1).toString('base64'), cipher: 'AES256' }],
    ['PUT', '/v1/key/disable/b'],
    ['PUT', '/v1/key/disable/b'],
    ['PUT', '/v1/key/disable/no-key'],
    ['PUT', '/v1/key/disable/none*'],
    ['PUT', '/v1/key/enable/b*'],
    ['DELETE', '/v1/key/delete/b'],
    ['DELETE', '/v1/key/delete/b'],
    ['DELETE', '/v1/key/delete/b?after=7d'],
    ['PUT', '/v1/key/create/b'],
    ['PUT', '/v1/key/create/b?reuse=true'],
  ]
  for (const [method, path, body] of requests) {
    const ours = await send(connection, method, path, body)
    const theirs = await single.request(method, path, {
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const shown = ({ status, rawBody }: Reply) => ({ path, status, body: rawBody.toString() })
    expect(shown(ours)).toEqual(shown(theirs))
  }
})

test('requests that are pipelined behind a change are begun after it, and end with their connection', async () => {
  const put = (verb: string) => `PUT /v1/key/${verb} HTTP/1.1\r\nHost: kes\r\n\r\n`
  const verbs = ['create/piped', 'generate/piped', 'disable/piped', 'generate/piped', 'enable/piped']
  const statuses = (text: string) =>
    [...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].map(([, status]) => Number(status))
  const text = await exchange(server, verbs.map(put).join(''), (received) => statuses(received).length === 5)
  expect(statuses(text)).toEqual([200, 200, 200, 403, 200])

  const socket = await server.connect({ ALPNProtocols: ['http/1.1'] })
  socket.write(Array.from({ length: 100 }, (_, index) => put(`create/cut-${index}`)).join(''))
  await expect.poll(async () => (await sendToAll('GET', '/v1/key/describe/cut-3'))[0]?.status).toBe(200)
  socket.destroy()
  const active = async () =>
    /^kes_http_request_active (\d+)$/m.exec(String((await sendToAll('GET', '/v1/metrics'))[0]?.rawBody))?.[1]
  await expect.poll(active, { timeout: 10_000 }).toBe('0')
})

test('metrics count the requests of all workers, whichever is asked', async () => {
  const succeeded = (reply: Reply | undefined) =>
    Number(/^kes_http_request_success\{code="200"\} (\d+)$/m.exec(String(reply?.rawBody))?.[1])
  const [before] = await sendToAll('GET', '/v1/metrics')
  await generate('my-key')
  await generate('my-key')
  for (const reply of await sendToAll('GET', '/v1/metrics')) {
    expect(succeeded(reply)).toBe(succeeded(before) + 2 * connections.length)
    expect(String(reply.rawBody)).toContain('\nkes_http_request_active 0\n')
  }
})

test('the status is that of the whole server', async () => {
  for (const reply of await sendToAll('GET', '/v1/status')) {
    const { mem_heap_used, uptime, keystore_latency } = JSON.parse(String(reply.rawBody))
    expect(mem_heap_used).toBeGreaterThan(WORKERS * 5_000_000)
    expect(keystore_latency).toBeGreaterThanOrEqual(1)
    expect(uptime).toBeLessThan(600)
  }
})

test.each(PROTOCOLS)('log streams over %s carry what every worker says', async (protocol) => {
  for (let round = 0; round < WORKERS; round += 1) {
    const audit = await openLog(server, 'audit', protocol)
    const errors = await openLog(server, 'error', protocol)
    const path = `/v1/key/describe/no-key-${protocol.length}-${round}`
    expect(statusesOf(await sendToAll('GET', path))).toEqual([404])
    await sendToAll('PUT', '/v1/key/import/%20') // Its refusal has a detail, and so a line in the error log.
    const seen = () => audit.lines().filter((line) => JSON.stringify(line).includes(`"${path}"`))
    await expect.poll(() => seen().length).toBe(connections.length)
    audit.close()
    errors.close()
  }
})

test('seal changes work through any worker, and keys can be used all the while', async () => {
  for (const connection of connections) {
    const described = await send(connection, 'GET', '/v1/seal/describe')
    expect(JSON.parse(String(described.rawBody))).toMatchObject({ slots: [{ is_own: true }], rotation: null })
  }
  const before = JSON.parse(
    String((await send(connections[0] as Connection, 'GET', '/v1/seal/describe')).rawBody),
  )
  const path = '/v1/seal/rotate-root'
  expect((await send(connections[1] as Connection, 'PUT', path, {})).status).toBe(200)
  expect(statusesOf(await generate('my-key'))).toEqual([200])
  const generation = async (connection: Connection) =>
    JSON.parse(String((await send(connection, 'GET', '/v1/seal/describe')).rawBody))
  for (const connection of connections) {
    await expect
      .poll(() => generation(connection))
      .toMatchObject({ root_generation: before.root_generation + 1, rotation: null })
  }
  expect(statusesOf(await generate('my-key'))).toEqual([200])
})

test('a watch of keys sees the changes that every worker has answered', async () => {
  for (const protocol of PROTOCOLS) {
    const watch = await openLines(server, '/v1/key/watch/watched-*', protocol)
    for (const [index, connection] of connections.entries()) {
      const name = `watched-${protocol.length}-${index}`
      expect((await send(connection, 'PUT', `/v1/key/create/${name}`)).status).toBe(200)
      expect((await send(connection, 'PUT', `/v1/key/disable/${name}`)).status).toBe(200)
      expect((await send(connection, 'DELETE', `/v1/key/delete/${name}`)).status).toBe(200)
    }
    const seen = () =>
      watch.lines().filter((line) => JSON.stringify(line).includes(`"watched-${protocol.length}-`))
    await expect.poll(() => seen().length).toBe(3 * connections.length)
    watch.close()
  }
})

test('every worker knows when a key was last used, by whichever of them', async () => {
  const path = '/v1/key/describe/last-used'
  expect((await send(connections[0] as Connection, 'PUT', '/v1/key/create/last-used')).status).toBe(200)
  for (const connection of connections) {
    const beforeMs = Date.now()
    expect((await send(connection, 'PUT', '/v1/key/generate/last-used')).status).toBe(200)
    for (const reply of [
      ...(await sendToAll('GET', path)),
      ...(await sendToAll('GET', '/v1/key/list/last-used?details=true')),
    ]) {
      const document = JSON.parse(String(reply.rawBody))
      expect(Date.parse((document.keys?.[0] ?? document).last_used_at)).toBeGreaterThanOrEqual(beforeMs - 1)
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})

test('the error log of every worker reaches a stream', async () => {
  const errors = await openLog(server, 'error', 'h2')
  expect((await send(connections[0] as Connection, 'PUT', '/v1/key/disable/my-key')).status).toBe(200)
  expect(statusesOf(await generate('my-key'))).toEqual([403])
  const seen = () => errors.lines().filter((line) => JSON.stringify(line).includes('/v1/key/generate/my-key'))
  await expect.poll(() => seen().length).toBe(connections.length)
  expect((await send(connections[0] as Connection, 'PUT', '/v1/key/enable/my-key')).status).toBe(200)
  errors.close()
})

test('every request has one event in the audit log, on a line of its own', async () => {
  const path = '/v1/key/describe/my-key'
  await Promise.all(
    Array.from({ length: 500 }, (_, index) =>
      send(connections[index % connections.length] as Connection, 'GET', path),
    ),
  )
  // Each line that does not parse is an error by itself.
  await expect.poll(() => server.auditLog().filter(({ req }) => req?.path === path).length).toBe(500)
})
