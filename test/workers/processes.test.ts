/** Worker processes that die, hang or are left behind: what was answered holds, and the server goes on. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { peerTest } from '../peers/peer.ts'
import { type Connection, openConnection } from '../sandbox/connection.ts'
import { Installation } from '../server-process/installation.ts'
import { isAlive, type ServerProcess, sleep } from '../server-process/server-process.ts'

const WORKERS = 4

let installation: Installation

beforeEach(async () => {
  installation = await Installation.make({ keys: ['my-key'] })
})

afterEach(() => installation[Symbol.dispose]())

const start = () => installation.start(['--config', installation.configFile, '--workers', String(WORKERS)])

/** A connection that has been served. */
async function connect(server: ServerProcess): Promise<Connection> {
  const connection = openConnection('h2', server.tlsOptions())
  await connection.send({ method: 'GET', path: '/version', headers: {}, body: undefined })
  return connection
}

function socketsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')
    } catch {
      return false // Closed since the folder was listed.
    }
  }).length
}

async function use(connection: Connection): Promise<number> {
  const request = { method: 'PUT', path: '/v1/key/generate/my-key', headers: {}, body: undefined }
  return (await connection.send(request)).status
}

test('connections that last are spread evenly', async () => {
  await using server = await start()
  const before = server.workers().map(socketsOf)
  expect(before).toHaveLength(WORKERS)
  const connections: Connection[] = []
  for (let count = 0; count < 10 * WORKERS; count += 1) connections.push(await connect(server))
  const added = server.workers().map((pid, index) => socketsOf(pid) - (before[index] ?? 0))
  expect(added).toEqual(Array(WORKERS).fill(10))
  for (const connection of connections) connection.close()
})

test('a worker that is killed is replaced, and what was answered is there', async () => {
  await using server = await start()
  const created: string[] = []
  const create = async (creator: number) => {
    for (let count = 0; created.length < 200; count += 1) {
      const name = `key-${creator}-${count}`
      const connection = await connect(server)
      for (let again = 0; again < 10; again += 1) {
        const path = `/v1/key/create/${name}-${again}`
        const { status } = await connection.send({ method: 'PUT', path, headers: {}, body: undefined })
        if (status === 200) created.push(`${name}-${again}`)
      }
      connection.close()
    }
  }
  const creators = Array.from({ length: 4 }, async (_, creator) => {
    // A connection that goes down with its worker is opened anew.
    while (created.length < 200) await create(creator).catch(() => undefined)
  })
  for (let kills = 0; kills < 6; kills += 1) {
    await sleep(50)
    const [pid] = server.workers()
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
  }
  await Promise.all(creators)
  await expect.poll(() => server.workers().length, { timeout: 20_000 }).toBe(WORKERS)
  expect(server.stderr).toMatch(/worker process \d+ has ended \(SIGKILL\) and is replaced/)
  const { rawBody } = await server.request('GET', '/v1/key/list/key-*')
  expect(JSON.parse(rawBody.toString()).names).toEqual(expect.arrayContaining(created))
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

test('counters do not go back when a worker dies', async () => {
  await using server = await start()
  for (let count = 0; count < 40; count += 1) {
    const connection = await connect(server)
    expect(await use(connection)).toBe(200)
    connection.close()
  }
  const succeeded = async () => {
    const { rawBody } = await server.request('GET', '/v1/metrics')
    return Number(/^kes_http_request_success\{code="200"\} (\d+)$/m.exec(rawBody.toString())?.[1])
  }
  expect(await succeeded()).toBe(40)
  server.closeConnections()
  const [pid = 0] = server.workers()
  process.kill(pid, 'SIGKILL')
  await expect.poll(() => server.workers().includes(pid)).toBe(false)
  expect(await succeeded()).toBe(40)
})

test('a disable does not wait for a worker that hangs: it is killed, and then the answer comes', async () => {
  await using server = await start()
  const connections = await Promise.all(Array.from({ length: WORKERS }, () => connect(server)))
  for (const connection of connections) expect(await use(connection)).toBe(200)
  const [hung = 0] = server.workers()
  process.kill(hung, 'SIGSTOP')
  // A worker that hangs answers nobody, so one of these is not the one to ask.
  const path = '/v1/key/disable/my-key'
  const disable = (connection: Connection) =>
    connection.send({ method: 'PUT', path, headers: {}, body: undefined })
  const { status } = await Promise.any(connections.map(disable))
  expect(status).toBe(200)
  expect(isAlive(hung)).toBe(false)
  for (const connection of connections) connection.close()
  await expect.poll(() => server.workers().length, { timeout: 20_000 }).toBe(WORKERS)
  expect((await server.request('PUT', '/v1/key/generate/my-key')).status).toBe(403)
})

test('nor do requests that ask all workers, which go on without it', async () => {
  await using server = await start()
  const connections = await Promise.all(Array.from({ length: WORKERS }, () => connect(server)))
  const openReader = () => server.connect({ ALPNProtocols: ['http/1.1'] })
  const readers = await Promise.all(Array.from({ length: WORKERS }, openReader))
  const [hung = 0] = server.workers()
  process.kill(hung, 'SIGSTOP')
  const get = (path: string) =>
    Promise.any(connections.map((each) => each.send({ method: 'GET', path, headers: {}, body: undefined })))
  for (const path of ['/v1/key/describe/my-key', '/v1/key/list/?details=true', '/v1/status', '/v1/metrics']) {
    expect((await get(path)).status).toBe(200)
  }
  const heads = readers.map(async (socket) => {
    socket.write('GET /v1/log/error HTTP/1.1\r\nHost: kes\r\n\r\n')
    const [head] = await once(socket, 'data')
    return String(head)
  })
  expect(await Promise.any(heads)).toMatch(/^HTTP\/1\.1 200 /)
  expect(isAlive(hung)).toBe(true)
  process.kill(hung, 'SIGCONT')
  for (const socket of readers) socket.destroy()
  for (const connection of connections) connection.close()
})

test('nor does a reload', async () => {
  await using server = await start()
  const [hung = 0] = server.workers()
  process.kill(hung, 'SIGSTOP')
  server.kill('SIGHUP')
  await expect.poll(() => server.stdout, { timeout: 20_000 }).toMatch(/after SIGHUP signal completed/)
  expect(isAlive(hung)).toBe(false)
  await expect.poll(() => server.workers().length, { timeout: 20_000 }).toBe(WORKERS)
})

peerTest(
  ['chrt', 'taskset'],
  'a worker that gets no processor is waited for, and keeps its clients',
  async () => {
    await using server = await start()
    const connections = await Promise.all(Array.from({ length: WORKERS }, () => connect(server)))
    for (const connection of connections) expect(await use(connection)).toBe(200)
    const before = server.workers()
    const [starved = 0] = before
    // On one processor, where it runs only if nobody else does; and somebody does, for a while.
    const spin = 'const end = Date.now() + 2500; while (Date.now() < end);'
    const command = (...args: readonly string[]) =>
      spawnSync(args[0] ?? '', args.slice(1), { encoding: 'utf8' })
    expect(command('taskset', '--all-tasks', '--cpu-list', '--pid', '0', `${starved}`)).toMatchObject({
      status: 0,
    })
    expect(command('chrt', '--all-tasks', '--idle', '--pid', '0', `${starved}`)).toMatchObject({ status: 0 })
    const spinners = Array.from({ length: 3 }, () =>
      spawn('taskset', ['--cpu-list', '0', process.execPath, '-e', spin], { stdio: 'ignore' }),
    )
    const ended = Promise.all(spinners.map((spinner) => once(spinner, 'exit')))
    await sleep(500)
    const { status } = await server.request('PUT', '/v1/key/disable/my-key')
    expect(status).toBe(200)
    await ended
    expect(server.workers()).toEqual(before)
    for (const connection of connections) {
      expect(await use(connection)).toBe(403)
      connection.close()
    }
  },
)

test('workers end with their supervisor, and the next server takes the store', async () => {
  await using server = await start()
  const workers = server.workers()
  server.kill('SIGKILL')
  await server.ended
  await expect.poll(() => workers.filter(isAlive)).toEqual([])
  await using next = await start()
  expect((await next.request('PUT', '/v1/key/generate/my-key')).status).toBe(200)
  expect(await next.stop()).toEqual({ code: 0, signal: null })
})

test('while a worker of a server that was killed lives, no other server takes the store', async () => {
  await using server = await start()
  const [orphan = 0] = server.workers()
  process.kill(orphan, 'SIGSTOP')
  server.kill('SIGKILL')
  await expect.poll(() => server.isRunning).toBe(false)
  const refused = await installation.run()
  expect(refused).toMatchObject({ code: 1, stdout: '' })
  expect(refused.stderr).toContain('is still in use by worker processes of a server that has ended')
  process.kill(orphan, 'SIGCONT')
  await using next = await installation.start()
  expect(isAlive(orphan)).toBe(false)
  expect((await next.request('PUT', '/v1/key/generate/my-key')).status).toBe(200)
})

test('a worker that can not begin is tried again, and the others serve meanwhile', async () => {
  await using server = await start()
  const lock = `${installation.storeFile}.lock`
  renameSync(lock, `${lock}.away`)
  const [pid = 0] = server.workers()
  process.kill(pid, 'SIGKILL')
  await expect
    .poll(() => server.stderr, { timeout: 20_000 })
    .toMatch(
      /worker process \d+ could not begin \(the store '[^']+' can not be opened: it, or a file beside it,/,
    )
  const connection = await connect(server)
  expect(await use(connection)).toBe(200)
  connection.close()
  renameSync(`${lock}.away`, lock)
  await expect.poll(() => server.workers().length, { timeout: 20_000 }).toBe(WORKERS)
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

test('no key is handed to a worker in its arguments or its environment', async () => {
  await using server = await start()
  for (const pid of server.workers()) {
    const text = ['cmdline', 'environ'].map((name) => readFileSync(`/proc/${pid}/${name}`, 'latin1')).join()
    expect(installation.secrets.findIn(text)).toEqual([])
    expect(text).not.toContain(installation.keyFile)
    expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/^Max core file size +[01] +[01] /m)
  }
})
