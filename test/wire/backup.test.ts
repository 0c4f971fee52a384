// The backup of a running server over the wire: whose it is, and what goes on meanwhile.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KesClient } from '@latchkey/kms-client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { decodeHeader } from '../../packages/kes-server/src/backup/format.ts'
import type { KeystoreConfig } from '../../packages/kes-server/src/config/keystore-config.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { startTestServer } from '../sandbox/server.ts'
import { expectEmpty, expectError, jsonOf, NOT_ALLOWED } from './replies.ts'

interface Made {
  readonly id: string
  readonly keys: number
  readonly bytes: number
  readonly head: string
}

let folder: string
let keystore: KeystoreConfig

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wire-backup-'))
  const keyFile = join(folder, 'root.key')
  writeFileSync(keyFile, randomBytes(32), { mode: 0o600 })
  const argon2 = { memoryBytes: 8 * 2 ** 20, passes: 1, parallelism: 1 }
  keystore = {
    type: 'sqlite',
    path: join(folder, 'keys.db'),
    unseal: { type: 'key-file', path: keyFile },
    argon2,
  }
})
afterEach(() => rmSync(folder, { recursive: true }))

test('a backup is made, read in pieces from any offset, and dropped', async () => {
  await using server = await startTestServer({ keystore, keys: ['a', 'b'] })
  const made = jsonOf<Made>(await server.request('PUT', '/v1/backup/create'))
  expect(made).toMatchObject({ keys: 2, head: expect.stringMatching(/^\d+:[0-9a-f]{64}$/) })
  const read = (query: string) => server.request('GET', `/v1/backup/read/${made.id}${query}`)
  const whole = (await read('')).rawBody
  expect(whole).toHaveLength(made.bytes)
  expect(decodeHeader(whole.toString().split('\n')[0] ?? '').id).toBe(made.id)
  expect((await read(`?offset=${made.bytes - 10}`)).rawBody).toEqual(whole.subarray(-10))
  expect((await read(`?offset=${made.bytes}`)).rawBody).toHaveLength(0)
  const gone = [404, 'backup does not exist, or was not fetched in time', 'BackupNotFound'] as const
  expectError(await read(`?offset=${made.bytes + 1}`), ...gone)
  expectError(
    await read('?offset=-1'),
    400,
    "query parameter 'offset=-1' is invalid: expected a number of bytes",
    'InvalidParameter',
  )
  expectEmpty(await server.request('PUT', `/v1/backup/drop/${made.id}`))
  expectError(await read(''), ...gone)
})

test.each([
  ['PUT', 'create'],
  ['GET', 'read/x'],
  ['PUT', 'drop/x'],
])('%s /v1/backup/%s is refused to everybody but the admin, whatever a policy says', async (method, api) => {
  const other = await clientOf('other')
  const policies = {
    all: { allow: ['/v1/backup/*', '/v1/backup/read/*', '/v1/backup/drop/*'], identities: [other.identity] },
  }
  await using server = await startTestServer({
    keystore,
    policies,
    api: { '/v1/backup/create': { skipAuth: true } },
  })
  expectError(
    await server.request(method, `/v1/backup/${api}`, { as: other }),
    403,
    NOT_ALLOWED,
    'NotAllowed',
  )
  const { status } = await server.request(method, `/v1/backup/${api}`, { as: null })
  expect(status).toBe(api === 'create' ? 403 : 400)
})

test('a store in memory has none', async () => {
  await using server = await startTestServer()
  const reply = await server.request('PUT', '/v1/backup/create')
  expectError(reply, 409, 'a store in memory has no backup', 'BackupConflict')
})

test('keys are used, made, locked and erased while backups are made', async () => {
  await using server = await startTestServer({ keystore })
  await using client = new KesClient({ endpoint: server.url, apiKey: server.apiKey, ca: server.ca })
  for (let count = 0; count < 300; count += 1) await client.createKey(`key-${count}`)
  let isDone = false
  let uses = 0
  const use = async (worker: number) => {
    for (let turn = worker; !isDone; turn += 3, uses += 1) {
      await client.generateKey('key-0')
      await client.createKey(`made-${turn}`)
      await client.disableKey(`made-${turn}`)
      await client.deleteKey(`made-${turn}`)
    }
  }
  const users = [0, 1, 2].map(use)
  for (let count = 0; count < 5; count += 1) {
    const made = await client.createBackup()
    let bytes = 0
    for await (const piece of client.readBackup(made)) bytes += piece.length
    expect(bytes).toBe(made.bytes)
    expect(made.keys).toBeGreaterThanOrEqual(300)
  }
  isDone = true
  await Promise.all(users)
  expect(uses).toBeGreaterThan(0)
})
