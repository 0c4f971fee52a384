/** A disk that fills up under a node: new data is refused while there is room for everything else. */
import { mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { SmallDisk } from '../sandbox/small-disk.ts'
import { startNodeProcess } from './node-process.ts'
import { type Answer, CREDENTIALS } from './node-under-test.ts'
import { plainNode } from './plain-node.ts'

const MIB = 2 ** 20
const ROOT = { MINIO_ROOT_USER: CREDENTIALS.accessKey, MINIO_ROOT_PASSWORD: CREDENTIALS.secretKey }
const OBJECT = Buffer.alloc(3 * MIB, 'x')

let disk: SmallDisk
beforeAll(() => {
  disk = new SmallDisk(48 * MIB)
})
afterAll(() => disk[Symbol.dispose]())

const freeBytes = () => {
  const { bavail, bsize } = statfsSync(disk.folder)
  return bavail * bsize
}

const FULL = { status: 507, code: 'XMinioStorageFull' }
function outcomeOf({ status, body }: Answer) {
  return { status, code: /<Code>(.*?)<\/Code>/.exec(body.toString())?.[1] }
}

test('data is refused before it touches the reserve; reads, lists, deletes and what completes an upload go on', async ({
  skip,
}) => {
  if (disk.problem !== undefined) skip(disk.problem)
  const folder = join(disk.folder, 'data')
  const args = [folder, '--address', '127.0.0.1:0', '--disk-reserve', '16MiB']
  await using node = startNodeProcess(args, ROOT)
  const { url = '' } = (await node.ready) ?? {}
  const { ask } = plainNode(url)
  const put = async (target: string, body = OBJECT) => outcomeOf(await ask('PUT', target, { body }))
  const idOf = ({ body }: Answer) => /<UploadId>(.*?)<\/UploadId>/.exec(body.toString())?.[1] ?? ''

  expect(await put('/bucket', Buffer.alloc(0))).toMatchObject({ status: 200 })
  const begun = idOf(await ask('POST', '/bucket/parts?uploads'))
  const part = await ask('PUT', `/bucket/parts?partNumber=1&uploadId=${begun}`, { body: OBJECT })
  expect(part.status).toBe(200)

  let stored = 0
  let last = await put('/bucket/object-0')
  for (; last.status === 200 && stored < 20; last = await put(`/bucket/object-${stored}`)) stored += 1
  expect(last).toEqual(FULL)
  expect(stored).toBeGreaterThan(5)
  expect(freeBytes()).toBeGreaterThanOrEqual(16 * MIB)
  // Refused in the middle, it has left nothing.
  expect(freeBytes()).toBeGreaterThan(16 * MIB + 128 * 1024)
  expect(readdirSync(join(folder, 'incoming'))).toEqual([])

  const free = disk.fill(12 * MIB)
  for (const [method, target, body] of [
    ['PUT', '/bucket/small', Buffer.from('small')],
    ['PUT', '/another', Buffer.alloc(0)],
    ['POST', '/bucket/new?uploads', Buffer.alloc(0)],
    ['PUT', `/bucket/parts?partNumber=2&uploadId=${begun}`, Buffer.from('part')],
  ] as const) {
    expect(outcomeOf(await ask(method, target, { body })), target).toEqual(FULL)
  }
  const copy = await ask('PUT', '/bucket/copy', { headers: { 'x-amz-copy-source': '/bucket/object-0' } })
  expect(outcomeOf(copy)).toEqual(FULL)

  expect((await ask('GET', '/bucket/object-0')).body.equals(OBJECT)).toBe(true)
  expect((await ask('GET', '/bucket?list-type=2')).body.toString()).toContain('object-0')
  const complete = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`
  const completed = await ask('POST', `/bucket/parts?uploadId=${begun}`, { body: Buffer.from(complete) })
  expect(completed.status).toBe(200)
  expect((await ask('GET', '/bucket/parts')).body.equals(OBJECT)).toBe(true)
  for (let number = 0; number < stored; number += 1) {
    expect((await ask('DELETE', `/bucket/object-${number}`)).status).toBe(204)
  }
  free()
  await expect.poll(() => put('/bucket/later')).toMatchObject({ status: 200 })
}, 60_000)

test.each([
  ['--disk-reserve', ['--disk-reserve', 'much'], {}],
  ['LATCHKEY_NODE_DISK_RESERVE', [], { LATCHKEY_NODE_DISK_RESERVE: 'much' }],
])('%s that is no size ends the start', async (_, args, env) => {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-reserve-'))
  try {
    await using node = startNodeProcess([folder, '--address', '127.0.0.1:0', ...args], { ...ROOT, ...env })
    expect(await node.ended).toBe(1)
    expect(node.stderr()).toBe("Error: 'much' is no size: expected such as 512MiB or 1GiB\n")
  } finally {
    rmSync(folder, { recursive: true })
  }
})
