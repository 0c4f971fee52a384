import { existsSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeMemoryFolder } from '../../../../test/memory-folder.ts'
import { FileObjectStore } from './file-object-store.ts'
import { fsck } from './fsck.ts'

let folder: string

beforeEach(() => {
  folder = makeMemoryFolder()
})

afterEach(() => rmSync(folder, { recursive: true }))

async function withStore<Result>(use: (store: FileObjectStore) => Promise<Result>): Promise<Result> {
  await using store = await FileObjectStore.open(folder)
  return await use(store)
}

async function* contentOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

function put(store: FileObjectStore, bucket: string, key: string, bytes: Buffer, isAuthenticated = false) {
  const properties = {
    size: bytes.length,
    etag: `${bytes.length}`,
    internal: { a: 'b' },
    headers: { c: 'd' },
  }
  return store.put(bucket, key, contentOf(bytes), () => properties, { isAuthenticated })
}

/** All that the store knows, and all content. */
async function stateOf(store: FileObjectStore): Promise<unknown> {
  const buckets = store.buckets().map(({ name, createdAt, settings }) => ({ name, createdAt, settings }))
  const objects: unknown[] = []
  const uploads: unknown[] = []
  for (const { name } of buckets) {
    for (const { key } of store.list(name, { max: 1000 }).items) {
      await using object = await store.open(name, key)
      const content: Buffer[] = []
      for (const [index, part] of object.record.parts.entries()) {
        for await (const piece of object.read(index, 0, part.storedBytes)) content.push(piece)
      }
      objects.push({ ...object.record, content: Buffer.concat(content).toString('hex') })
    }
    for (const upload of store.uploads(name, { max: 1000 }).items)
      uploads.push({ ...upload, parts: store.parts(upload) })
  }
  const listingKeys = buckets.map(({ name }) =>
    store.listingKeys(name).toSorted((a, b) => a.id.localeCompare(b.id)),
  )
  return { buckets, objects, uploads, listingKeys }
}

function removeIndex(): void {
  for (const name of readdirSync(folder)) if (name.startsWith('index.db')) rmSync(join(folder, name))
}

const files = () =>
  readdirSync(join(folder, 'files'), { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.includes('/'),
  )

/** One change of a store, whatever there is in it. */
type Step = (store: FileObjectStore, random: number) => Promise<unknown>

const STEPS: readonly Step[] = [
  (store, random) => put(store, 'b1', `key-${random % 4}`, Buffer.alloc(random % 1000, random)),
  (store, random) => put(store, 'b2', `\0${random % 3}/é`, Buffer.alloc(random % 10), true),
  (store, random) => store.delete('b1', `key-${random % 4}`),
  async (store, random) => {
    const { revision } = await put(store, 'b1', `key-${random % 4}`, Buffer.alloc(5))
    const properties = { etag: `new-${random}`, internal: {}, headers: {} }
    await store.replaceProperties('b1', `key-${random % 4}`, revision, properties)
  },
  (store, random) => store.createUpload('b1', `upload-${random % 2}`, { internal: {}, headers: {} }),
  async (store, random) => {
    const [upload] = store.uploads('b1', { max: 1 }).items
    if (!upload) return
    const finish = () => ({ size: random % 50, etag: `${random}` })
    await store.putPart(upload, (random % 3) + 1, contentOf(Buffer.alloc(random % 50)), finish, {
      isAuthenticated: true,
    })
  },
  async (store, random) => {
    const [upload] = store.uploads('b1', { max: 1 }).items
    const parts = upload && store.parts(upload)
    if (!upload || !parts || parts.length === 0) return
    const size = parts.reduce((sum, part) => sum + part.size, 0)
    const properties = { size, etag: `${random}-${parts.length}`, internal: {}, headers: {} }
    await store.completeUpload(upload, parts, properties)
  },
  async (store, random) => {
    const [upload] = store.uploads('b1', { max: 1 }).items
    if (upload) await store.replaceUpload(upload, { number: String(random) })
  },
  async (store) => {
    const [upload] = store.uploads('b1', { max: 1 }).items
    if (upload) await store.abortUpload(upload)
  },
  (store, random) => store.setBucketSettings('b2', random % 2 === 0 ? undefined : Buffer.of(random & 0xff)),
  (store, random) => store.addListingKey('b1', `ek-${random % 2}`, Buffer.of(random & 0xff)),
  async (store) => {
    for (const { key } of store.list('b2', { max: 1000 }).items) await store.delete('b2', key)
    await store.deleteBucket('b2')
    await store.createBucket('b2')
  },
]

test('after any changes there is no problem, and the files alone give the same state', {
  timeout: 60_000,
}, async () => {
  const steps = fc.array(fc.tuple(fc.constantFrom(...STEPS), fc.nat(100_000)), { maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(steps, async (steps) => {
      rmSync(folder, { recursive: true })
      const before = await withStore(async (store) => {
        await store.createBucket('b1')
        await store.createBucket('b2')
        for (const [step, random] of steps) await step(store, random)
        return await stateOf(store)
      })
      expect(await fsck(folder, { content: true })).toMatchObject({ problems: [], isRepaired: false })

      removeIndex()
      await expect(FileObjectStore.open(folder)).rejects.toThrow('fsck')
      const report = await fsck(folder, { repair: true })
      expect(report.problems).toEqual([{ of: 'index', text: 'the index is gone' }])
      expect(report.isRepaired).toBe(true)
      expect(await withStore(stateOf)).toEqual(before)
      expect((await fsck(folder)).problems).toEqual([])
    }),
    { numRuns: 20 },
  )
})

describe('a problem', () => {
  beforeEach(() =>
    withStore(async (store) => {
      await store.createBucket('bucket')
      await put(store, 'bucket', 'one', Buffer.alloc(1000, 1))
      await put(store, 'bucket', 'two', Buffer.alloc(300_000, 2))
    }),
  )

  const fileOf = async (key: string) => {
    const long = files().find((name) => {
      const text = readFileSync(join(folder, 'files', name)).toString('latin1')
      return text.includes(`"key":"${key}"`)
    })
    return join(folder, 'files', long ?? '')
  }

  test('is a damaged index, and its repair brings everything back', async () => {
    const before = await withStore(stateOf)
    const path = join(folder, 'index.db')
    const index = readFileSync(path)
    writeFileSync(path, index.fill(0xff, 4096, 8192))
    const checked = await fsck(folder)
    expect(checked.isRepaired).toBe(false)
    expect(checked.problems[0]?.of).toBe('index')
    expect(readFileSync(path).equals(index)).toBe(true)
    expect(await fsck(folder, { repair: true })).toMatchObject({ objects: 2, isRepaired: true })
    expect(await withStore(stateOf)).toEqual(before)
    expect(existsSync(join(folder, 'index.db.replaced'))).toBe(true)
  })

  test('is a file that is gone: the other objects stay', async () => {
    rmSync(await fileOf('one'))
    const report = await fsck(folder, { repair: true })
    expect(report.problems).toEqual([
      {
        of: 'object',
        bucket: 'bucket',
        key: 'one',
        text: 'the index has it, and the files do not have it so',
      },
    ])
    await withStore(async (store) => {
      expect(store.list('bucket', { max: 10 }).items.map(({ key }) => key)).toEqual(['two'])
    })
  })

  test('is a file that was cut off', async () => {
    truncateSync(await fileOf('one'), 500)
    const { problems } = await fsck(folder)
    expect(problems.map((problem) => problem.of).sort()).toEqual(['file', 'object'])
    expect(problems.find((problem) => problem.of === 'file')?.text).toContain('end of the file')
  })

  test('is content that was changed, if it is asked for', async () => {
    const path = await fileOf('two')
    const bytes = readFileSync(path)
    bytes[270_000] = (bytes[270_000] ?? 0) ^ 1
    writeFileSync(path, bytes)
    expect((await fsck(folder)).problems).toEqual([])
    expect((await fsck(folder, { content: true })).problems).toContainEqual(
      expect.objectContaining({ of: 'file', text: expect.stringContaining('checksum') }),
    )
  })

  test('is an object that the index has lost: its file brings it back', async () => {
    const before = await withStore(stateOf)
    const db = new Database(join(folder, 'index.db'))
    db.exec("DELETE FROM object WHERE key = CAST('one' AS BLOB)")
    db.exec("UPDATE object SET size = 5 WHERE key = CAST('two' AS BLOB)")
    db.close()
    const { problems } = await fsck(folder, { repair: true })
    expect(problems.filter((problem) => problem.key === 'one')).toHaveLength(1)
    expect(problems.filter((problem) => problem.key === 'two')).toHaveLength(2)
    expect(await withStore(stateOf)).toEqual(before)
  })

  test('is a file that nothing names: a repair moves it out of the way', async () => {
    const copy = 'ab'.repeat(16)
    writeFileSync(join(folder, 'files', 'ab', copy), readFileSync(await fileOf('one')))
    // The copy has the revision of the original, and the higher id is taken.
    const { problems } = await fsck(folder, { repair: true })
    expect(problems.some((problem) => problem.of === 'file' && problem.text === 'nothing names it')).toBe(
      true,
    )
    expect(readdirSync(join(folder, 'lost'))).toHaveLength(1)
    expect((await fsck(folder)).problems).toEqual([])
  })

  test('is none while a node uses the folder: then nothing is looked at', async () => {
    await withStore(async () => {
      await expect(fsck(folder)).rejects.toThrow('in use')
    })
    await expect(fsck(join(folder, 'files'))).rejects.toThrow('node.json')
  })
})

test('an object of which a part is gone is told, and answers so', async () => {
  await withStore(async (store) => {
    await store.createBucket('bucket')
    const upload = await store.createUpload('bucket', 'key', { internal: {}, headers: {} })
    const finish = () => ({ size: 10, etag: 'e' })
    for (const number of [1, 2]) {
      await store.putPart(upload, number, contentOf(Buffer.alloc(10, number)), finish, {
        isAuthenticated: true,
      })
    }
    await store.completeUpload(upload, store.parts(upload), {
      size: 20,
      etag: 'e-2',
      internal: {},
      headers: {},
    })
  })
  const part = files().find((name) => {
    const text = readFileSync(join(folder, 'files', name)).toString('latin1')
    return text.includes('"kind":"part"') && text.includes('"number":2')
  })
  rmSync(join(folder, 'files', part ?? ''))
  const { problems, objects } = await fsck(folder, { repair: true })
  expect(problems).toEqual([
    expect.objectContaining({ of: 'object', key: 'key', text: expect.stringContaining('gone') }),
  ])
  expect(objects).toBe(1)
  await withStore(async (store) => {
    await expect(stateOf(store)).rejects.toMatchObject({ name: 'DataDamagedError' })
  })
})

test('a killed upload that was completed does not come back with the files', async () => {
  const copied = join(folder, 'kept')
  await withStore(async (store) => {
    await store.createBucket('bucket')
    const upload = await store.createUpload('bucket', 'key', { internal: {}, headers: {} })
    const finish = () => ({ size: 3, etag: 'e' })
    await store.putPart(upload, 1, contentOf(Buffer.alloc(3)), finish, { isAuthenticated: true })
    const places = [
      join(folder, 'files', upload.id.slice(0, 2), upload.id),
      join(folder, 'incoming', upload.id),
    ]
    const record = readFileSync(places.find(existsSync) ?? '')
    await store.completeUpload(upload, store.parts(upload), {
      size: 3,
      etag: 'e-1',
      internal: {},
      headers: {},
    })
    writeFileSync(copied, upload.id)
    writeFileSync(`${copied}.record`, record)
  })
  const id = readFileSync(copied, 'utf8')
  writeFileSync(join(folder, 'files', id.slice(0, 2), id), readFileSync(`${copied}.record`))
  removeIndex()
  const report = await fsck(folder, { repair: true })
  expect(report).toMatchObject({ objects: 1, uploads: 0 })
  await withStore(async (store) => {
    expect(store.uploads('bucket', { max: 10 }).items).toEqual([])
  })
})
