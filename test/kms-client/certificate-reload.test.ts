/** Certificates and CAs from files that change while calls are made. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encryptPrivateKey, IncorrectPasswordError, KesClient } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { type Credentials, clientOf, keyPairOf } from '../sandbox/certificates.ts'
import { callerOf, type FakeServer, sendJson, startFakeServer } from './fake-server.ts'

let folder: string
let server: FakeServer
let before: Credentials
let after: Credentials

/** In one step, as whoever cares for running programs does it. */
function write(name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(`${path}.new`, text)
  renameSync(`${path}.new`, path)
  return path
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-reload-'))
  before = await clientOf('before')
  after = await clientOf('after')
  server = await startFakeServer((request, response) => sendJson(response, { version: callerOf(request) }))
})

afterEach(async () => {
  vi.useRealTimers()
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

const filesOf = (credentials: Credentials) => ({
  certFile: write('client.crt', credentials.cert),
  keyFile: write('client.key', credentials.key),
})

describe.each(['h2', 'http/1.1'] as const)('over %s', (protocol) => {
  const clientFrom = (credentials: Credentials, onReloadError?: (error: Error) => void) =>
    new KesClient({
      endpoint: server.endpoint,
      ca: server.ca,
      protocol,
      retries: 0,
      certificate: filesOf(credentials),
      onReloadError,
    })
  const identityOf = async (client: KesClient) => (await client.version()).version

  test('a new certificate is in use within seconds, without being asked for', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    await using client = clientFrom(before)
    expect(await identityOf(client)).toBe(before.identity)
    filesOf(after)
    vi.setSystemTime(Date.now() + 9_000)
    expect(await identityOf(client)).toBe(before.identity)
    vi.setSystemTime(Date.now() + 2_000)
    expect(await identityOf(client)).toBe(after.identity)
    expect(server.sockets).toHaveLength(2)
  })

  test('no call fails while certificates change, and none keeps an old connection', async () => {
    await using client = clientFrom(before)
    let isOver = false
    const identities = new Set<string>()
    const caller = async () => {
      while (!isOver) identities.add(await identityOf(client))
    }
    const callers = Promise.all(Array.from({ length: 8 }, caller))
    for (let change = 0; change < 10; change++) {
      filesOf(change % 2 === 0 ? after : before)
      client.reload()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    isOver = true
    await callers
    expect(identities).toEqual(new Set([before.identity, after.identity]))
    const open = () => server.sockets.filter((socket) => !socket.destroyed)
    while (open().length > (protocol === 'h2' ? 1 : 8)) await new Promise((resolve) => setTimeout(resolve, 5))
  })

  test('half of a new pair is reported, and the former serves until the other half is there', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const errors: Error[] = []
    await using client = clientFrom(before, (error) => errors.push(error))
    write('client.crt', after.cert)
    expect(() => client.reload()).toThrow(TypeError)
    vi.setSystemTime(Date.now() + 11_000)
    expect(await identityOf(client)).toBe(before.identity)
    expect(errors.map(({ message }) => message)).toEqual([
      "the client's certificate or its private key can't be used",
    ])
    write('client.key', after.key)
    vi.setSystemTime(Date.now() + 11_000)
    expect(await identityOf(client)).toBe(after.identity)
    expect(errors).toHaveLength(1)
  })
})

test('files that have not changed leave the connection alone', async () => {
  await using client = new KesClient({ ...server, certificate: filesOf(before) })
  for (let call = 0; call < 3; call++) {
    await client.version()
    client.reload()
  }
  expect(server.sockets).toHaveLength(1)
})

test('a new authority is trusted, from a file or a folder, and a former one no more', async () => {
  await using other = await startFakeServer((_, response) => sendJson(response, { version: 'other' }))
  for (const caPath of [write('ca.crt', server.ca), folder]) {
    write('ca.crt', server.ca)
    await using client = new KesClient({ endpoint: [other.endpoint], caPath, retries: 0 })
    await expect(client.version()).rejects.toThrow('signed by an unknown authority')
    write('ca.crt', `# comments may stand around\n${other.ca}\n`)
    client.reload()
    expect(await client.version()).toMatchObject({ version: 'other' })
    write('ca.crt', server.ca)
    client.reload()
    await expect(client.version()).rejects.toThrow('signed by an unknown authority')
  }
})

test('an encrypted key is read with its password, and refused without', () => {
  const { certFile } = filesOf(before)
  const keyFile = write('locked.key', encryptPrivateKey(keyPairOf('before').privateKey, 'open sesame'))
  const open = (password?: string) =>
    new KesClient({ endpoint: 'localhost:1', certificate: { certFile, keyFile, password } })
  expect(() => open('open sesame')).not.toThrow()
  expect(() => open()).toThrow('the private key is encrypted, and there is no password')
  expect(() => open('guess')).toThrow(expect.objectContaining({ cause: expect.any(IncorrectPasswordError) }))
})

test('a damaged authority is named by its file, also in a folder of good ones', () => {
  write('ca.crt', server.ca)
  for (const text of [
    '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    server.ca.slice(0, 200),
  ]) {
    write('bad.crt', text)
    expect(() => new KesClient({ endpoint: 'localhost:1', caPath: folder })).toThrow(
      `'${folder}/bad.crt': it has a damaged certificate`,
    )
  }
})

test.each([
  ['a file that is not there', () => ({ certificate: { certFile: 'nowhere.crt', keyFile: 'nowhere.key' } })],
  ['a CA that is not there', () => ({ caPath: 'nowhere.crt' })],
  ['a file of CAs without any', () => ({ caPath: write('ca.crt', 'none') })],
  [
    'a key that is a certificate',
    () => ({ certificate: { ...filesOf(before), keyFile: write('k', before.cert) } }),
  ],
])('%s makes no client', (_, options) => {
  expect(() => new KesClient({ endpoint: 'localhost:1', ...options() })).toThrow(TypeError)
})
