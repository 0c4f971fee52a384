// A disk that hangs is told by /v1/ready at once, and holds up no request that does not need it. Nor does another program
// that writes to the store.
import { realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { describe, expect, test } from 'vitest'
import { peerTest } from '../peers/peer.ts'
import { openConnection, PROTOCOLS, type Protocol } from '../sandbox/connection.ts'
import { readAuditLines } from '../server-process/audit-log-files.ts'
import { Installation, type InstallationOptions } from '../server-process/installation.ts'
import { requireOfServer, ServerProcess, sleep } from '../server-process/server-process.ts'
import { FaultShim } from './fault-shim.ts'

describe.each([1, 2])('a server of %i processes that serve', (workers) => {
  peerTest(
    'cc',
    'says that its store is unreachable while the disk hangs, and serves from memory',
    async () => {
      await using started = await startOnDisk({ workers })
      const { server, disk } = started
      /** With two workers, each protocol's connection has one of its own. */
      const ask = (method: string, path: string) =>
        Promise.all(PROTOCOLS.map((protocol) => server.request(method, path, { protocol })))
      const use = async () => (await ask('PUT', '/v1/key/generate/my-key')).map(({ status }) => status)
      const readiness = async () => (await ask('GET', '/v1/ready')).map(({ status }) => status)
      expect([await use(), await readiness()]).toEqual([
        [200, 200],
        [200, 200],
      ])

      // None of these replies waits for the disk: it does not answer before the file is gone.
      disk.hang()
      for (let time = 0; time < 3; time += 1) {
        for (const { status, rawBody } of await ask('GET', '/v1/ready')) {
          expect(status).toBe(504)
          expect(rawBody.toString()).toBe(
            '{"message":"key store is not reachable","code":"StoreUnreachable"\n}',
          )
        }
        expect(await use()).toEqual([200, 200])
      }
      for (const { rawBody } of await ask('GET', '/v1/status')) {
        expect(JSON.parse(rawBody.toString())).toMatchObject({ keystore_unreachable: true })
      }

      disk.goOn()
      await expect.poll(readiness).toEqual([200, 200])
      expect(server.stderr).toContain('the disk of the store has not answered within 75 ms')
      expect(await server.stop()).toEqual({ code: 0, signal: null })
    },
  )
})

describe.each([1, 2])('while a change waits, a server of %i processes that serve', (workers) => {
  peerTest('cc', 'answers new connections, and refuses it when the disk hangs on', async () => {
    await using started = await startOnDisk({ workers })
    const { server, disk } = started
    for (const protocol of PROTOCOLS) {
      expect((await askAnew(server, protocol, 'PUT', '/v1/key/generate/my-key')).status).toBe(200)
    }
    disk.hang()
    const lock = server.request('PUT', '/v1/key/disable/my-key')
    const create = server.request('PUT', '/v1/key/create/next', { protocol: 'http/1.1' })
    for (const protocol of [...PROTOCOLS, ...PROTOCOLS]) {
      await sleep(50) // The changes have come.
      expect((await askAnew(server, protocol, 'GET', '/v1/ready')).status).toBe(504)
      expect((await askAnew(server, protocol, 'PUT', '/v1/key/generate/my-key')).status).toBe(200)
    }
    const replies = await Promise.all([lock, create])
    expect(replies.map(({ status, rawBody }) => [status, JSON.parse(rawBody.toString())])).toEqual([
      [502, { message: 'failed to change key', code: 'StoreUnavailable' }],
      [502, { message: 'failed to create key', code: 'StoreUnavailable' }],
    ])
    await expect.poll(() => server.stderr).toContain('the disk of the store has taken no write for 8 s')
    // Nothing was changed, and the next changes are made as soon as the disk goes on.
    const later = [
      server.request('PUT', '/v1/key/create/next', { protocol: 'http/1.1' }),
      server.request('PUT', '/v1/key/disable/my-key'),
    ]
    await sleep(50)
    expect((await askAnew(server, 'h2', 'PUT', '/v1/key/generate/my-key')).status).toBe(200)
    disk.goOn()
    expect((await Promise.all(later)).map(({ status }) => status)).toEqual([200, 200])
    expect((await askAnew(server, 'h2', 'PUT', '/v1/key/generate/my-key')).status).toBe(403)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })

  test('answers new connections, and refuses it when another program does not end writing', async () => {
    using installation = await Installation.make({ keys: ['my-key'], workers })
    await using server = await installation.start()
    const answered: string[] = []
    const create = async () => {
      const { status } = await server.request('PUT', '/v1/key/create/next')
      answered.push(`create ${status}`)
    }
    const Database = requireOfServer('better-sqlite3')
    const other = new Database(installation.storeFile)
    other.exec('BEGIN IMMEDIATE')
    const change = create()
    for (const protocol of PROTOCOLS) {
      await sleep(50)
      answered.push(`ready ${(await askAnew(server, protocol, 'GET', '/v1/ready')).status}`)
    }
    await change // A second is as long as a write waits.
    expect(answered).toEqual(['ready 200', 'ready 200', 'create 502'])
    const next = create()
    await sleep(100)
    other.close()
    await next
    expect(answered.at(-1)).toBe('create 200')
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  })
})

peerTest('cc', 'with an audit file on the disk that hangs, /v1/ready waits for no event', async () => {
  await using started = await startOnDisk({ audit: { stdout: 'off' } })
  const { server, disk, installation } = started
  expect((await askAnew(server, 'h2', 'PUT', '/v1/key/generate/my-key')).status).toBe(200)
  disk.hang()
  let hasUsed = false
  const use = server.request('PUT', '/v1/key/generate/my-key').finally(() => {
    hasUsed = true
  })
  for (const protocol of PROTOCOLS) {
    expect((await askAnew(server, protocol, 'GET', '/v1/ready')).status).toBe(504)
  }
  expect(hasUsed).toBe(false)
  disk.goOn()
  expect((await use).status).toBe(200)
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  const lines = await readAuditLines(installation)
  const probes = lines.filter(({ req }) => req?.path === '/v1/ready')
  expect(probes.map(({ res }) => res?.code)).toEqual([504, 504])
})

/** A server with one key, on a disk that hangs when it is told to. */
async function startOnDisk(options: InstallationOptions) {
  await using stack = new AsyncDisposableStack()
  const shim = stack.use(new FaultShim())
  const under = realpathSync(tmpdir())
  const installation = stack.use(await Installation.make({ keys: ['my-key'], under, ...options }))
  const hang = `${installation.folder}/hang`
  const { env } = shim.plan({ folder: installation.folder, at: 0, how: 'EIO', hang })
  const args = ['server', '--config', installation.configFile]
  const server = stack.use(await ServerProcess.start(installation, args, { env }))
  const all = stack.move()
  return {
    server,
    installation,
    disk: { hang: () => installation.write('hang', ''), goOn: () => rmSync(hang) },
    [Symbol.asyncDispose]: () => all.disposeAsync(),
  }
}

/** On a connection of its own. */
async function askAnew(server: ServerProcess, protocol: Protocol, method: string, path: string) {
  const connection = openConnection(protocol, server.tlsOptions())
  try {
    return await connection.send({ method, path, headers: {}, body: undefined })
  } finally {
    connection.close()
  }
}
