/** A disk that fills up under a running server: what is there goes on, what can't be written is refused. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Installation } from './installation.ts'

const DISK_BYTES = 4 * 2 ** 20

let disk: string
let reason: string | undefined

beforeAll(() => {
  disk = mkdtempSync(join(tmpdir(), 'latchkey-disk-'))
  const options = `size=${DISK_BYTES},mode=700`
  const { status, error, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk], {
    encoding: 'utf8',
  })
  if (status !== 0) reason = `no small disk can be mounted here: ${error?.message ?? stderr.trim()}`
})

afterAll(() => {
  if (reason === undefined) spawnSync('umount', [disk])
  rmdirSync(disk)
})

/** Takes all space but `leftBytes`. @returns gives it back. */
function fill(folder: string, leftBytes: number): () => void {
  const { bavail, bsize } = statfsSync(folder)
  const path = join(folder, 'filler')
  writeFileSync(path, Buffer.alloc(Math.max(0, bavail * bsize - leftBytes)))
  return () => rmSync(path)
}

/** With no space at all, and with just enough for a part of what a create writes. */
test.for([0, 4_096, 12_288])('a disk with %i bytes left loses nothing', async (leftBytes, { skip }) => {
  if (reason !== undefined) skip(reason)
  using installation = await Installation.make({ under: disk, keys: ['my-key', 'unread'] })
  const acknowledged = ['my-key', 'unread']
  {
    await using server = await installation.start()
    const ask = async (method: string, path: string, body = {}) => {
      const { status, rawBody } = await server.request(method, `/v1/key/${path}`, { body })
      return { status, text: rawBody.toString() }
    }
    const { ciphertext } = JSON.parse((await ask('PUT', 'generate/my-key')).text)
    const free = fill(installation.folder, leftBytes)
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
    // A disable writes less than a create, so it may find room; it is so once it says so, and not at all otherwise.
    const disabled = await ask('PUT', 'disable/my-key')
    expect([200, 502]).toContain(disabled.status)
    expect((await ask('PUT', 'generate/my-key')).status).toBe(disabled.status === 200 ? 403 : 200)
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
