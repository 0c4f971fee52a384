// A new root key is put in place across kills of the server, and by the command line while no server runs.
import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { ApiKey, KesClient } from '@latchkey/kms-client'
import { expect, test } from 'vitest'
import { keyPairOf } from '../sandbox/certificates.ts'
import { Installation } from './installation.ts'
import { requireOfServer, runKes, type ServerProcess, sleep } from './server-process.ts'

/** More with `ROTATION_KILLS=200`. */
const KILLS = Number(process.env.ROTATION_KILLS ?? 4)
const KILLS_MAX = 20
const KEYS = 600

interface Seal {
  readonly root_generation: number
  readonly rotation: { readonly total: number; readonly done: number } | null
}

async function describeSeal(server: ServerProcess): Promise<Seal> {
  return JSON.parse((await server.request('GET', '/v1/seal/describe')).rawBody.toString())
}

async function untilRotated(server: ServerProcess): Promise<Seal> {
  for (;;) {
    const seal = await describeSeal(server)
    if (seal.rotation === null) return seal
    await sleep(20)
  }
}

const names = Array.from({ length: KEYS }, (_, number) => `key-${number}`)

/** Every key gives a data key. */
async function useAll(server: ServerProcess): Promise<void> {
  for (let at = 0; at < names.length; at += 50) {
    const replies = await Promise.all(
      names.slice(at, at + 50).map((name) => server.request('PUT', `/v1/key/generate/${name}`)),
    )
    expect(new Set(replies.map(({ status }) => status))).toEqual(new Set([200]))
  }
}

/** Whether a server that was killed has left rows under two root keys. */
function isMixed({ storeFile }: Installation): boolean {
  const Database = requireOfServer('better-sqlite3')
  const db = new Database(storeFile, { readonly: true })
  try {
    return db.prepare('SELECT count(DISTINCT root_generation) FROM keys').pluck().get() === 2
  } finally {
    db.close()
  }
}

test('killed at any moment of it, a server has all of its keys at the next start, and goes on', {
  timeout: 60_000 + KILLS * 20_000,
}, async () => {
  using installation = await Installation.make({ keys: names })
  let rotations = 0
  let mixed = 0
  for (let kill = 0; kill < KILLS || (mixed === 0 && kill < KILLS_MAX); kill += 1) {
    await using server = await installation.start()
    if ((await describeSeal(server)).rotation === null) {
      await server.request('PUT', '/v1/seal/rotate-root', { body: {} })
      rotations += 1
    }
    await sleep(randomInt(0, 40))
    server.kill('SIGKILL')
    await server.ended
    server.closeConnections()
    if (isMixed(installation)) mixed += 1
  }
  expect(mixed).toBeGreaterThan(0)
  await using server = await installation.start()
  await useAll(server)
  const { root_generation } = await untilRotated(server)
  // A kill may come before the request was acted upon, but what began is never begun anew.
  expect(root_generation).toBeLessThanOrEqual(1 + rotations)
  expect(root_generation).toBeGreaterThan(1)
  await server.stop()
  await using next = await installation.start()
  await useAll(next)
  await next.stop()
})

test('every worker process uses keys under either root key, and none refuses one meanwhile', {
  timeout: 60_000,
}, async () => {
  using installation = await Installation.make({ keys: names, workers: 3 })
  await using server = await installation.start()
  const apiKey = ApiKey.fromPrivateKey(keyPairOf('admin').privateKey)
  const endpoint = `https://127.0.0.1:${server.port}`
  // Each has a connection of its own, and so one of the workers.
  const clients = Array.from({ length: 6 }, () => new KesClient({ endpoint, apiKey, ca: installation.ca }))
  const [first] = clients
  const encrypted = await first?.generateKey('key-7')
  let isDone = false
  let uses = 0
  const use = async (client: KesClient, worker: number) => {
    for (let turn = worker; !isDone; turn += clients.length, uses += 1) {
      await client.generateKey(names[turn % names.length] ?? '')
      if (turn % 10 === 0) await client.createKey(`made-${turn}`)
    }
  }
  const users = clients.map(use)
  for (const generation of [2, 3]) {
    expect((await server.request('PUT', '/v1/seal/rotate-root', { body: {} })).status).toBe(200)
    expect((await untilRotated(server)).root_generation).toBe(generation)
  }
  isDone = true
  await Promise.all(users)
  expect(uses).toBeGreaterThan(50)
  for (const client of clients) {
    const plaintext = await client.decrypt('key-7', encrypted?.ciphertext ?? Buffer.of())
    expect(Buffer.from(plaintext)).toEqual(Buffer.from(encrypted?.plaintext ?? Buffer.of()))
    await client.close()
  }
  await server.stop()
})

test('kes seal works on the store of a config while no server uses it, and names the server that does', async () => {
  using installation = await Installation.make({ keys: ['a'] })
  const seal = (...args: string[]) => runKes(['seal', ...args, '--config', installation.configFile])
  const missing = await seal('ls')
  expect(missing).toMatchObject({ code: 1, stdout: '' })
  expect(missing.stderr).toMatch(/^Error: the store '.*' does not exist\n$/)

  await using server = await installation.start()
  const busy = await seal('ls')
  expect(busy.code).toBe(1)
  expect(busy.stderr).toContain(`in use by another server (pid ${server.pid}`)
  expect(busy.stderr).toContain('leave out --config')
  await server.stop()

  const passphrase = installation.write('passphrase', 'correct horse battery\n')
  expect(await seal('add-slot', '--passphrase-file', passphrase)).toMatchObject({
    code: 0,
    stdout: 'Slot 2 was added.\n',
    stderr: '',
  })
  const rotated = await seal('rotate-root', '--slot', `2=${passphrase}`)
  expect(rotated).toMatchObject({ code: 0, stdout: 'Every key is sealed under root key 2.\n', stderr: '' })
  const listed = JSON.parse((await seal('ls', '--json')).stdout)
  expect(listed).toMatchObject({ root_generation: 2, rotation: null, slots: [{ id: 1 }, { id: 2 }] })
  expect(await seal('remove-slot', '2')).toMatchObject({ code: 0, stdout: 'Slot 2 was removed.\n' })
  expect(await seal('remove-slot', '1')).toMatchObject({ code: 1, stderr: 'Error: slot 1 is the last one\n' })

  await using next = await installation.start()
  expect((await next.request('PUT', '/v1/key/generate/a')).status).toBe(200)
  await next.stop()
  writeFileSync(installation.keyFile, Buffer.alloc(32, 1))
  const wrong = await seal('ls')
  expect(wrong).toMatchObject({ code: 1, stderr: 'Error: the key file does not open this store\n' })
})
