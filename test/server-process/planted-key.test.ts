/**
 * A key whose bytes are known is imported, used and erased: then neither the store's files nor the server's memory hold
 * them. `docs/erasure.md` says what such a search can reach.
 */
import { createHmac, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, test } from 'vitest'
import { PROTOCOLS, type Protocol } from '../sandbox/connection.ts'
import { Installation } from './installation.ts'
import { type Found, processTree, searchMemory } from './process-memory.ts'
import { requireOfServer, type ServerProcess } from './server-process.ts'

/** A run of so many bytes of the sealed record counts: see docs/erasure.md. */
const RUN_BYTES = 11

let key: Buffer
let body: string

beforeEach(() => {
  key = randomBytes(32)
  body = `{"key":"${key.toString('base64')}","cipher":"AES256"}`
})

/** The key of an iv: with it all that was encrypted under that iv opens. See docs/wire.md, *Ciphertexts*. */
function derivedOf(ciphertext: string): Buffer {
  const raw = Buffer.from(ciphertext, 'base64')
  return createHmac('sha256', key).update(raw.subarray(-28, -12)).digest()
}

/** All forms in which a program may have the bytes. Base64 without its end, which may be joined to something else. */
function formsOf(bytes: Buffer): Record<string, Buffer> {
  const base64 = bytes.toString('base64').slice(0, 42)
  const hex = bytes.toString('hex')
  return {
    bytes,
    base64: Buffer.from(base64),
    'base64 in UTF-16': Buffer.from(base64, 'utf16le'),
    hex: Buffer.from(hex),
    'hex in upper case': Buffer.from(hex.toUpperCase()),
  }
}

/** @param derived - keys that were derived from the planted one. */
function found(server: ServerProcess, derived: readonly Buffer[] = []): Found[] {
  const needles = {
    ...formsOf(key),
    ...Object.fromEntries(derived.map((bytes, index) => [`derived key ${index}`, bytes])),
  }
  return processTree(server.pid).flatMap((pid) => searchMemory(pid, needles))
}

const put = (server: ServerProcess, path: string, protocol: Protocol, body: object | string = {}) =>
  server.request('PUT', `/v1/key/${path}`, { protocol, body: typeof body === 'string' ? body : { ...body } })

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test('the memory of the server holds no copy of an imported key after its erasure', async () => {
    using installation = await Installation.make({ workers: 1 })
    await using server = await installation.start()
    await put(server, 'import/planted', protocol, body)
    const derived: Buffer[] = []
    for (const api of ['generate', 'encrypt', 'encrypt']) {
      const reply = await put(server, `${api}/planted`, protocol, { plaintext: 'AAAA' })
      const { ciphertext } = JSON.parse(reply.rawBody.toString())
      derived.push(derivedOf(ciphertext))
      expect((await put(server, 'decrypt/planted', protocol, { ciphertext })).status).toBe(200)
    }
    // While the key is in use there is what it is used by: so the search finds what is there.
    const living = found(server, derived).map(({ name }) => name)
    expect(living).toEqual(expect.arrayContaining(['bytes', 'derived key 0', 'derived key 2']))

    await server.request('DELETE', '/v1/key/delete/planted', { protocol })
    await put(server, 'create/other', protocol)
    // Node receives into buffers of its own, and leaves there what came until something longer comes.
    await put(server, 'encrypt/other', protocol, { plaintext: 'A'.repeat(40_000) })
    expect(found(server, derived)).toEqual([])
  })

  test('a key that was disabled is not kept either', async () => {
    using installation = await Installation.make()
    await using server = await installation.start()
    await put(server, 'import/planted', protocol, body)
    await put(server, 'generate/planted', protocol)
    await put(server, 'disable/planted', protocol)
    await put(server, 'create/other', protocol)
    await put(server, 'encrypt/other', protocol, { plaintext: 'A'.repeat(40_000) })
    expect(found(server)).toEqual([])
  })

  test('an import whose body comes in pieces leaves no more', async () => {
    using installation = await Installation.make({ workers: 1 })
    await using server = await installation.start()
    // 30 kB behind the key: more than one piece of either protocol.
    await put(server, 'import/planted', protocol, body.replace('}', `,"padding":"${'x'.repeat(60_000)}"}`))
    await server.request('DELETE', '/v1/key/delete/planted', { protocol })
    await put(server, 'create/other', protocol)
    await put(server, 'encrypt/other', protocol, { plaintext: 'A'.repeat(100_000) })
    expect(found(server)).toEqual([])
  })
})

test('no heap snapshot of the server holds the key, neither while it lives nor after its erasure', async () => {
  using installation = await Installation.make({ workers: 1 })
  await using server = await installation.start(undefined, {
    env: { NODE_OPTIONS: `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${installation.folder}` },
  })
  const snapshot = async () => {
    const before = snapshotsOf(installation.folder).length
    server.kill('SIGUSR2')
    await expect
      .poll(() => snapshotsOf(installation.folder).length, { timeout: 60_000 })
      .toBeGreaterThan(before)
    await expect.poll(() => isWhole(snapshotsOf(installation.folder).at(-1)), { timeout: 60_000 }).toBe(true)
    return readFileSync(snapshotsOf(installation.folder).at(-1) ?? '')
  }
  const formsIn = (bytes: Buffer) =>
    Object.entries(formsOf(key)).flatMap(([name, form]) => (bytes.includes(form) ? [name] : []))

  await put(server, 'import/planted', 'h2', body)
  await put(server, 'generate/planted', 'h2')
  const living = await snapshot()
  expect(living.includes('/v1/key/import/')).toBe(true) // Strings stand in it as they are.
  expect(formsIn(living)).toEqual([])
  await server.request('DELETE', '/v1/key/delete/planted')
  expect(formsIn(await snapshot())).toEqual([])
})

function snapshotsOf(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.heapsnapshot'))
    .sort()
    .map((name) => join(folder, name))
}

function isWhole(file: string | undefined): boolean {
  return file !== undefined && readFileSync(file).subarray(-2).toString() === ']}'
}

test('no file of the store holds the key or a run of its sealed record after the erasure, at any offset', async () => {
  using installation = await Installation.make({ workers: 1 })
  await using server = await installation.start()
  await put(server, 'import/planted', 'h2', body)
  for (const change of ['disable', 'enable', 'disable']) await put(server, `${change}/planted`, 'h2')
  const sealed = sealedOf(installation.storeFile, 'planted')
  expect(runsOnDisk(installation, [sealed])).not.toEqual([]) // So the search finds what is there.
  expect(runsOnDisk(installation, [key, Buffer.from(key.toString('base64'))])).toEqual([])

  await server.request('DELETE', '/v1/key/delete/planted')
  expect(runsOnDisk(installation, [sealed, key, Buffer.from(key.toString('base64'))])).toEqual([])
  await server.stop()
  expect(runsOnDisk(installation, [sealed, key, Buffer.from(key.toString('base64'))])).toEqual([])
})

/** The sealed record of a key, as another process reads it. */
function sealedOf(storeFile: string, name: string): Buffer {
  const Database = requireOfServer('better-sqlite3')
  const db = new Database(storeFile, { readonly: true })
  try {
    return db.prepare('SELECT sealed FROM keys WHERE name = ?').pluck().get(name)
  } finally {
    db.close()
  }
}

/** The files that hold a run of one of these, byte by byte. */
function runsOnDisk({ storeFile }: Installation, secrets: readonly Buffer[]): string[] {
  const folder = dirname(storeFile)
  return readdirSync(folder).filter((name) => {
    const bytes = readFileSync(join(folder, name))
    return secrets.some((secret) => {
      for (let at = 0; at + RUN_BYTES <= secret.length; at += 1) {
        if (bytes.includes(secret.subarray(at, at + RUN_BYTES))) return true
      }
      return false
    })
  })
}
