/** A disk that fills up under a running server: what is there goes on, what can't be written is refused. */
import { existsSync, statSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SmallDisk } from '../sandbox/small-disk.ts'
import { readAuditLines, verifyAudit } from './audit-log-files.ts'
import { Installation } from './installation.ts'

/** With room for the reserve, and as much beside it. */
const DISK_BYTES = 32 * 2 ** 20

let disk: SmallDisk

beforeAll(() => {
  disk = new SmallDisk(DISK_BYTES)
})

afterAll(() => disk[Symbol.dispose]())

/** A new server makes its reserve while it serves already. */
async function untilReserved({ storeFile }: Installation): Promise<void> {
  const size = () => statSync(`${storeFile}.reserve`, { throwIfNoEntry: false })?.size
  await expect.poll(size, { timeout: 10_000 }).toBe(8 * 2 ** 20)
}

/** With no space at all, and with just enough for a part of what a create writes. */
test.for([0, 4_096, 12_288])('a disk with %i bytes left loses nothing', async (leftBytes, { skip }) => {
  if (disk.problem !== undefined) skip(disk.problem)
  using installation = await Installation.make({ under: disk.folder, keys: ['my-key', 'unread', 'gone'] })
  const acknowledged = ['my-key', 'unread']
  {
    await using server = await installation.start()
    const ask = async (method: string, path: string, body = {}) => {
      const { status, rawBody } = await server.request(method, `/v1/key/${path}`, { body })
      return { status, text: rawBody.toString() }
    }
    const { ciphertext } = JSON.parse((await ask('PUT', 'generate/my-key')).text)
    await untilReserved(installation)
    const free = disk.fill(leftBytes)
    let refused = 0
    for (let count = 0; count < 200 && refused < 20; count += 1) {
      const name = `key-${leftBytes}-${count}`
      const { status, text } = await ask('PUT', `create/${name}`)
      if (status === 200) acknowledged.push(name)
      else {
        refused += 1
        expect([status, text]).toEqual([
          502,
          '{"message":"failed to create key","code":"StoreUnavailable"\n}',
        ])
      }
    }
    expect(refused).toBe(20)
    expect((await ask('PUT', 'decrypt/my-key', { ciphertext })).status).toBe(200)
    for (const name of acknowledged) expect((await ask('PUT', `generate/${name}`)).status).toBe(200)
    // For this the reserve is there.
    expect((await ask('PUT', 'disable/my-key')).status).toBe(200)
    expect((await ask('PUT', 'generate/my-key')).status).toBe(403)
    expect((await ask('DELETE', 'delete/gone')).status).toBe(200)
    expect((await ask('PUT', 'generate/gone')).status).toBe(404)
    const { text } = await ask('GET', 'list/')
    expect(JSON.parse(text).names.sort()).toEqual([...acknowledged].sort())

    free()
    expect((await ask('PUT', 'create/later')).status).toBe(200)
    acknowledged.push('later')
    expect((await ask('PUT', 'enable/my-key')).status).toBe(200)
    expect((await ask('PUT', 'disable/unread')).status).toBe(200)
    expect((await ask('PUT', 'generate/unread')).status).toBe(403)
    expect(await server.stop()).toEqual({ code: 0, signal: null })
  }
  await using server = await installation.start()
  const { rawBody } = await server.request('GET', '/v1/key/list/')
  expect(JSON.parse(rawBody.toString()).names).toEqual([...acknowledged].sort())
  for (const name of acknowledged) {
    const { status } = await server.request('PUT', `/v1/key/generate/${name}`)
    expect(status).toBe(name === 'unread' ? 403 : 200)
  }
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})

const UNAVAILABLE = '{"message":"audit log is unavailable","code":"AuditUnavailable"\n}'

const TITLE =
  'with %i workers and no room for the audit file, keys are locked and erased, and not used until there is'

test.for([1, 2])(TITLE, async (workers, { skip }) => {
  if (disk.problem !== undefined) skip(disk.problem)
  using installation = await Installation.make({
    under: disk.folder,
    workers,
    keys: ['my-key', 'gone', 'other'],
    audit: { stdout: 'off' },
  })
  await using server = await installation.start()
  const answered = new Map<string, number>()
  const ask = async (method: string, path: string) => {
    const { status, rawBody } = await server.request(method, path)
    if (status !== 503) answered.set(path, (answered.get(path) ?? 0) + 1)
    return { status, text: rawBody.toString() }
  }
  const free = disk.fill(0)
  // What is under way when the disk is full gets the reserve; then nothing is used any more.
  let uses = 0
  while (uses < 1000 && (await ask('PUT', '/v1/key/generate/my-key')).status === 200) uses += 1
  expect(uses).toBeGreaterThan(0)
  expect(uses).toBeLessThan(100)
  expect(existsSync(`${installation.storeFile}.reserve`)).toBe(false)
  for (const [method, path] of [
    ['PUT', '/v1/key/generate/my-key'],
    ['PUT', '/v1/key/create/new'],
    ['PUT', '/v1/key/enable/my-key'],
    ['GET', '/v1/key/list/'],
    ['GET', '/v1/nothing'],
  ] as const) {
    expect(await ask(method, path)).toEqual({ status: 503, text: UNAVAILABLE })
  }
  for (let count = 0; count < 50; count += 1) {
    expect((await ask('PUT', '/v1/key/disable/my-key')).status).toBe(200)
  }
  expect((await ask('PUT', '/v1/key/disable/other')).status).toBe(200)
  expect((await ask('DELETE', '/v1/key/delete/gone')).status).toBe(200)
  expect(server.stderr).toContain(
    "keys.db.reserve' was given up for it, so that keys can be disabled and deleted",
  )

  free()
  await untilReserved(installation)
  await expect.poll(async () => (await ask('GET', '/version')).status, { timeout: 10_000 }).toBe(200)
  expect((await ask('PUT', '/v1/key/generate/my-key')).status).toBe(403)
  expect((await ask('PUT', '/v1/key/generate/gone')).status).toBe(404)
  expect((await ask('PUT', '/v1/key/enable/my-key')).status).toBe(200)
  expect((await ask('PUT', '/v1/key/generate/my-key')).status).toBe(200)
  expect((await ask('PUT', '/v1/key/create/new')).status).toBe(200)

  await verifyAudit(installation, server)
  const lines = await readAuditLines(installation)
  for (const [path, count] of answered) {
    expect(
      lines.filter(({ req }) => req?.path === path),
      path,
    ).toHaveLength(count)
  }
  expect(lines.find(({ audit }) => audit?.unrecorded !== undefined)).toMatchObject({
    audit: { unrecorded: expect.any(Number), since: expect.any(String) },
  })
  expect(server.stderr).toContain('is there again')
  expect(await server.stop()).toEqual({ code: 0, signal: null })
})
