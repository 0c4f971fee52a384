// Slots and the root key of a running server, from the wire and from `kes seal`.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KesClient } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { KeystoreConfig } from '../../packages/kes-server/src/config/keystore-config.ts'
import { Secret } from '../../packages/kes-server/src/config/secret.ts'
import { runKes } from '../kes-cli/harness.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { expectEmpty, expectError, jsonOf, NOT_ALLOWED } from './replies.ts'

interface Seal {
  readonly root_generation: number
  readonly slots: readonly { readonly id: number; readonly kind: string; readonly is_own: boolean }[]
  readonly rotation: { readonly total: number; readonly done: number } | null
}

const CHEAP = { memoryBytes: 8 * 2 ** 20, passes: 1, parallelism: 1 }
const PASSPHRASE = 'correct horse battery'

let folder: string
let keystore: KeystoreConfig
const path = (name: string) => join(folder, name)
const file = (name: string, content: string | Buffer) => {
  writeFileSync(path(name), content, { mode: 0o600 })
  return path(name)
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wire-seal-'))
  const unseal = { type: 'key-file', path: file('root.key', randomBytes(32)) } as const
  keystore = { type: 'sqlite', path: path('keys.db'), unseal, argon2: CHEAP }
})
afterEach(() => rmSync(folder, { recursive: true }))

const start = (options: Parameters<typeof startTestServer>[0] = {}) =>
  startTestServer({ keystore, ...options })
const base64 = (text: string) => Buffer.from(text).toString('base64')
const rootKey = () => ({ unlock_key_file: bytesOf('root.key').toString('base64') })

function bytesOf(name: string): Buffer {
  return readFileSync(path(name))
}

async function describeSeal(server: TestServer): Promise<Seal> {
  return jsonOf<Seal>(await server.request('GET', '/v1/seal/describe'))
}

async function untilRotated(server: TestServer): Promise<Seal> {
  for (;;) {
    const seal = await describeSeal(server)
    if (seal.rotation === null) return seal
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const APIS = [
  ['GET', 'describe'],
  ['PUT', 'add-slot'],
  ['PUT', 'remove-slot/2'],
  ['PUT', 'change-passphrase'],
  ['PUT', 'rotate-root'],
] as const

test.each(APIS)(
  '%s /v1/seal/%s is refused to everybody but the admin, whatever a policy says',
  async (method, api) => {
    const other = await clientOf('other')
    const policies = {
      all: { allow: ['/v1/seal/*', '/v1/seal/remove-slot/*'], identities: [other.identity] },
    }
    await using server = await start({ policies, api: { '/v1/seal/describe': { skipAuth: true } } })
    const body = {
      ...rootKey(),
      passphrase: base64(PASSPHRASE),
      new_passphrase: base64(PASSPHRASE),
      slot_1: base64(PASSPHRASE),
    }
    const options = method === 'PUT' && !api.startsWith('remove') ? { body } : {}
    for (const as of [other, null]) {
      const reply = await server.request(method, `/v1/seal/${api}`, { ...options, as })
      if (as === null && api !== 'describe') expect(reply.status).toBe(400)
      else expectError(reply, 403, NOT_ALLOWED, 'NotAllowed')
    }
    expect((await describeSeal(server)).slots).toHaveLength(1)
  },
)

describe('slots', () => {
  test('a passphrase is added, listed, changed and removed, and nothing of it is logged', async () => {
    await using server = await start()
    const added = await server.request('PUT', '/v1/seal/add-slot', {
      body: { ...rootKey(), passphrase: base64(PASSPHRASE), label: 'safe' },
    })
    expect(jsonOf(added)).toEqual({ id: 2, is_erased: true })
    expect(await describeSeal(server)).toMatchObject({
      root_generation: 1,
      slots: [
        { id: 1, label: 'first', kind: 'key file', is_own: true },
        {
          id: 2,
          label: 'safe',
          kind: 'passphrase',
          is_own: false,
          argon2: { memory_kib: 8192, passes: 1, parallelism: 1 },
        },
      ],
      rotation: null,
    })
    const changed = await server.request('PUT', '/v1/seal/change-passphrase', {
      body: { passphrase: base64(PASSPHRASE), new_passphrase: base64('another long one') },
    })
    expect(jsonOf(changed)).toEqual({ id: 2, is_erased: true })
    expect(jsonOf(await server.request('PUT', '/v1/seal/remove-slot/2'))).toEqual({ id: 2, is_erased: true })
    expect((await describeSeal(server)).slots).toHaveLength(1)
  })

  test('a server starts with a passphrase that was added', async () => {
    await using server = await start({ keys: ['a'] })
    await server.request('PUT', '/v1/seal/add-slot', {
      body: { ...rootKey(), passphrase: base64(PASSPHRASE) },
    })
    await server.stop()
    const unseal = { type: 'passphrase', passphrase: new Secret(PASSPHRASE) } as const
    await using next = await start({ keystore: { ...keystore, unseal } as KeystoreConfig })
    expect((await next.request('PUT', '/v1/key/generate/a')).status).toBe(200)
    expect((await describeSeal(next)).slots.map(({ is_own }) => is_own)).toEqual([false, true])
  })

  test.each([
    ['no secret at all', {}, 400, 'invalid request body', 'InvalidBody'],
    [
      'two secrets',
      { passphrase: base64(PASSPHRASE), key_file: base64('x'.repeat(32)) },
      400,
      'invalid request body',
      'InvalidBody',
    ],
    [
      'a short passphrase',
      { passphrase: base64('short') },
      400,
      'the passphrase has fewer than 8 bytes',
      'InvalidSecret',
    ],
    [
      'a wrong key file to unlock',
      { unlock_key_file: base64('x'.repeat(32)), passphrase: base64(PASSPHRASE) },
      403,
      'the key file opens no slot of this store',
      'WrongSecret',
    ],
  ])('a slot with %s is refused', async (_, body, status, message, code) => {
    await using server = await start()
    const reply = await server.request('PUT', '/v1/seal/add-slot', { body: { ...rootKey(), ...body } })
    expectError(reply, status, message, code)
  })

  test.each([
    ['1', 409, 'slot 1 is the last one', 'SealConflict'],
    ['7', 404, 'slot 7 does not exist', 'SlotNotFound'],
    ['x', 404, 'slot x does not exist', 'SlotNotFound'],
  ])('removing slot %s is refused', async (slot, status, message, code) => {
    await using server = await start()
    expectError(await server.request('PUT', `/v1/seal/remove-slot/${slot}`), status, message, code)
  })

  test('a store in memory has none, and no new root key', async () => {
    await using server = await startTestServer()
    expect((await describeSeal(server)).slots).toEqual([])
    expectError(
      await server.request('PUT', '/v1/seal/rotate-root', { body: {} }),
      409,
      'no slot would be left',
      'SealConflict',
    )
  })
})

describe('a new root key', () => {
  test('is put in place under load, twice, without a failed request', async () => {
    await using server = await start()
    await using client = clientOfServer(server)
    const names = Array.from({ length: 300 }, (_, number) => `key-${number}`)
    for (const name of names) await client.createKey(name)
    const { plaintext, ciphertext } = await client.generateKey('key-5')

    let isDone = false
    let uses = 0
    const use = async (worker: number) => {
      for (let turn = worker; !isDone; turn += 4, uses += 1) {
        const name = names[turn % names.length] ?? ''
        if (turn % 5 === 0) await client.createKey(`made-${turn}`)
        else if (turn % 7 === 0) await client.disableKey(name).then(() => client.enableKey(name))
        else if (turn % 11 === 0 && turn > 50) await client.keyHistory(name)[Symbol.asyncIterator]().next()
        else await client.generateKey('key-5')
      }
    }
    const users = [0, 1, 2, 3].map(use)
    for (const generation of [2, 3]) {
      await client.rotateRootKey()
      expect((await untilRotated(server)).root_generation).toBe(generation)
    }
    isDone = true
    await Promise.all(users)
    expect(uses).toBeGreaterThan(20)
    expect(Buffer.from(await client.decrypt('key-5', ciphertext))).toEqual(Buffer.from(plaintext))
    await server.stop()

    await using next = await start()
    for (const name of names) {
      expect((await next.request('PUT', `/v1/key/generate/${name}`)).status).toBe(200)
    }
  })

  test('needs each slot to be kept or removed', async () => {
    await using server = await start()
    await server.request('PUT', '/v1/seal/add-slot', {
      body: { ...rootKey(), passphrase: base64(PASSPHRASE) },
    })
    const rotate = (body: Record<string, string>) => server.request('PUT', '/v1/seal/rotate-root', { body })
    expectError(await rotate({}), 400, 'slot 2 needs its secret, or must be removed', 'InvalidSecret')
    expectEmpty(await rotate({ slot_2: base64(PASSPHRASE) }))
    await untilRotated(server)
    expectEmpty(await rotate({ remove: '2' }))
    expect(await untilRotated(server)).toMatchObject({ root_generation: 3, slots: [{ id: 1 }] })
  })

  test('is refused if the server can not read its own secret any more', async () => {
    await using server = await start()
    file('root.key', randomBytes(32))
    expectError(
      await server.request('PUT', '/v1/seal/rotate-root', { body: {} }),
      403,
      'the secret does not open slot 1',
      'WrongSecret',
    )
    rmSync(path('root.key'))
    const gone = await server.request('PUT', '/v1/seal/rotate-root', { body: {} })
    expect([gone.status, gone.rawBody.toString()]).toEqual([400, expect.stringContaining('"InvalidSecret"')])
    expect((await describeSeal(server)).root_generation).toBe(1)
  })
})

function clientOfServer(server: TestServer): KesClient {
  return new KesClient({ endpoint: server.url, apiKey: server.apiKey, ca: server.ca })
}

test('kes seal does all of it from the command line, through the server', async () => {
  await using server = await start()
  const env = {
    KES_SERVER: server.url,
    KES_API_KEY: server.apiKey.toString(),
    KES_CA_PATH: file('ca.crt', server.ca),
  }
  const run = (args: string, options: Parameters<typeof runKes>[1] = {}) =>
    runKes(`seal ${args}`, { env, kes: (client) => new KesClient(client), ...options })
  const unlock = `--unlock-key-file ${path('root.key')}`
  const added = await run(
    `add-slot ${unlock} --passphrase-file ${file('pw', `${PASSPHRASE}\n`)} --label safe`,
  )
  expect(added).toMatchObject({ code: 0, stdout: 'Slot 2 was added.\n', stderr: '' })
  expect((await run('ls')).stdout).toMatch(
    /^Slot +Kind +Label +Made +Cost of a guess +In the config\n1 +key file +first +\S+ \S+ +yes\n2 +passphrase +safe +\S+ \S+ +argon2id, 8 MiB, 1 passes, 1 lanes\n$/,
  )
  const changed = await run(`change-passphrase --passphrase-file ${path('pw')} --new-passphrase-file -`, {
    stdin: 'another long one\n',
  })
  expect(changed).toMatchObject({ code: 0, stdout: 'The passphrase of slot 2 was changed.\n', stderr: '' })
  const rotated = await run('rotate-root', { passwords: ['another long one'] })
  expect(rotated).toMatchObject({ code: 0, stdout: 'Every key is sealed under root key 2.\n' })
  const removed = await run('remove-slot 2')
  expect(removed).toMatchObject({ code: 0, stdout: 'Slot 2 was removed.\n' })
  expect(removed.stderr).toContain('still opens copies')
  const refused = await run('remove-slot 1')
  expect(refused).toMatchObject({
    code: 1,
    stdout: '',
    stderr: 'Error: failed to remove slot 1: slot 1 is the last one\n',
  })
})
