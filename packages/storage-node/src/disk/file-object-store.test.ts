import { createHash, randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeMemoryFolder } from '../../../../test/memory-folder.ts'
import { DiskFullError } from './errors.ts'
import { FileObjectStore } from './file-object-store.ts'
import { EXTERNAL_KEY } from './index-file.ts'
import type {
  Content,
  ObjectProperties,
  ObjectRecord,
  OpenObject,
  PutOptions,
  Upload,
} from './object-store.ts'

let parent: string
let folder: string
let store: FileObjectStore

beforeEach(async () => {
  parent = makeMemoryFolder()
  folder = join(parent, 'data')
  store = await FileObjectStore.open(folder)
  await store.createBucket('bucket')
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(parent, { recursive: true })
})

async function reopen(): Promise<void> {
  await store[Symbol.asyncDispose]()
  store = await FileObjectStore.open(folder)
}

async function* contentOf(bytes: Uint8Array, pieceBytes = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

function propertiesOf(bytes: Uint8Array, more: Partial<ObjectProperties> = {}): ObjectProperties {
  const etag = createHash('md5').update(bytes).digest('hex')
  return { size: bytes.length, etag, internal: {}, headers: { 'content-type': 'text/plain' }, ...more }
}

function put(key: string, bytes: Uint8Array, options: Partial<PutOptions> = {}): Promise<ObjectRecord> {
  return store.put('bucket', key, contentOf(bytes), () => propertiesOf(bytes), {
    isAuthenticated: false,
    ...options,
  })
}

async function readOpen(
  object: OpenObject,
  offset = 0,
  length = object.record.size,
  into?: Buffer,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  let start = 0
  for (const [index, part] of object.record.parts.entries()) {
    const from = Math.max(offset, start)
    const to = Math.min(offset + length, start + part.size)
    if (from < to)
      for await (const piece of object.read(index, from - start, to - from, into))
        pieces.push(Buffer.from(piece))
    start += part.size
  }
  return Buffer.concat(pieces)
}

async function get(key: string, offset?: number, length?: number, into?: Buffer): Promise<Buffer> {
  await using object = await store.open('bucket', key)
  return await readOpen(object, offset, length, into)
}

/** Every file of the store, without the index. */
function files(): string[] {
  const names = readdirSync(join(folder, 'files'), { recursive: true, encoding: 'utf8' })
  return names.filter((name) => name.includes('/')).map((name) => join(folder, 'files', name))
}

const incoming = () => readdirSync(join(folder, 'incoming'))

const nameOf = (call: Promise<unknown>) =>
  call.then(
    () => 'no error',
    (error: Error) => error.name,
  )

describe('objects', () => {
  test.each([0, 1, 5000, 262_144, 262_145, 1_000_000])(
    'of %i bytes come back, whole and in ranges',
    async (size) => {
      const bytes = randomBytes(size)
      for (const isAuthenticated of [true, false]) {
        const record = await put('key', bytes, { isAuthenticated })
        expect(record).toMatchObject({ key: 'key', size, parts: [{ number: 1, size, storedBytes: size }] })
        expect((await get('key')).equals(bytes)).toBe(true)
        for (const [from, length] of [
          [0, 1],
          [1, size - 1],
          [262_143, 2],
          [size - 1, 1],
          [300_000, 600_000],
        ] as const) {
          if (from < 0 || length < 0 || from + length > size) continue
          expect((await get('key', from, length)).equals(bytes.subarray(from, from + length))).toBe(true)
        }
      }
    },
  )

  test('are there after a restart, as they were', async () => {
    const before = await put('key', Buffer.from('content'))
    await reopen()
    expect(store.stat('bucket', 'key')).toMatchObject(before)
    expect((await get('key')).toString()).toBe('content')
    expect(incoming()).toEqual([])
  })

  test('that are replaced or deleted leave no file behind, and are read to the end by who has begun', async () => {
    await put('key', Buffer.from('first'))
    await using first = await store.open('bucket', 'key')
    await put('key', Buffer.from('second'))
    await using second = await store.open('bucket', 'key')
    expect(await store.delete('bucket', 'key')).toBe(true)
    expect(await store.delete('bucket', 'key')).toBe(false)
    expect(await nameOf(get('key'))).toBe('NoSuchKeyError')
    expect((await readOpen(first)).toString()).toBe('first')
    expect((await readOpen(second)).toString()).toBe('second')
    await first[Symbol.asyncDispose]()
    await second[Symbol.asyncDispose]()
    await reopen()
    expect(files()).toHaveLength(1) // The bucket's.
  })

  test('that were still read at the end of the process are gone after the next start', async () => {
    await put('key', Buffer.from('content'))
    const object = await store.open('bucket', 'key')
    await store.delete('bucket', 'key')
    await store[Symbol.asyncDispose]()
    await object[Symbol.asyncDispose]()
    store = await FileObjectStore.open(folder)
    expect(files()).toHaveLength(1)
  })

  test('get other properties without a change of their file', async () => {
    const bytes = randomBytes(300_000)
    const first = await put('key', bytes)
    await reopen() // Files are moved to their place behind the answer.
    const data = files().find((path) => readFileSync(path).length > bytes.length) ?? ''
    const before = readFileSync(data)
    const properties = { etag: 'new', internal: { a: 'b' }, headers: { c: 'd' } }
    const second = await store.replaceProperties('bucket', 'key', first.revision, properties)
    expect(second).toMatchObject({ ...properties, size: bytes.length, modifiedAt: first.modifiedAt })
    expect(await nameOf(store.replaceProperties('bucket', 'key', first.revision, properties))).toBe(
      'ObjectChangedError',
    )
    await store.replaceProperties('bucket', 'key', second.revision, { ...properties, etag: 'newer' })
    await reopen()
    expect(store.stat('bucket', 'key')).toMatchObject({ etag: 'newer', internal: { a: 'b' } })
    expect((await get('key')).equals(bytes)).toBe(true)
    expect(readFileSync(data).equals(before)).toBe(true)
    expect(files()).toHaveLength(3) // Bucket, content, and one record.
    await store.delete('bucket', 'key')
    await reopen()
    expect(files()).toHaveLength(1)
  })

  test('under any key come back, and no key reaches another file', { timeout: 60_000 }, async () => {
    const hostile = [
      '../../escape',
      '/etc/passwd',
      'a\0b',
      '..',
      '.',
      'é'.repeat(512),
      'x'.repeat(1024),
      '\u{10ffff}',
      'con',
      ' ',
      'a/',
      'a//b',
      '%2e%2e',
    ]
    const key = fc.oneof(
      fc.constantFrom(...hostile),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 300 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { minLength: 1, maxLength: 8 }), async (keys) => {
        for (const name of keys) await put(name.toWellFormed(), Buffer.from(name))
        for (const name of keys)
          expect((await get(name.toWellFormed())).toString()).toBe(Buffer.from(name).toString())
      }),
      { numRuns: 8 },
    )
    expect(readdirSync(parent)).toEqual(['data'])
    expect(await nameOf(put('\ud800', Buffer.alloc(1)))).toBe('TypeError')
  })

  test('that fail on the way leave nothing, and what was there stays', async () => {
    await put('key', Buffer.from('before'))
    async function* failing(): Content {
      yield randomBytes(500_000)
      throw new Error('the connection broke')
    }
    const options = { isAuthenticated: true }
    const call = store.put('bucket', 'key', failing(), () => propertiesOf(Buffer.alloc(0)), options)
    await expect(call).rejects.toThrow('the connection broke')
    const refuse = () => {
      throw new Error('the digest is wrong')
    }
    await expect(store.put('bucket', 'key', contentOf(randomBytes(9)), refuse, options)).rejects.toThrow(
      'digest',
    )
    expect((await get('key')).toString()).toBe('before')
    expect([...incoming(), ...files()]).toHaveLength(2)
  })

  test('are put under a condition that sees the object of that moment', async () => {
    const onlyNew = (current: ObjectRecord | undefined) => {
      if (current) throw new Error('it exists')
    }
    const calls = Array.from({ length: 20 }, (_, index) =>
      put('key', Buffer.from(`${index}`), { condition: onlyNew }),
    )
    const results = await Promise.allSettled(calls)
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await expect(store.delete('bucket', 'key', onlyNew)).rejects.toThrow('it exists')
    await reopen()
    expect(files()).toHaveLength(2)
  })

  test('that are put at once end as one of them, whole', async () => {
    const contents = Array.from({ length: 20 }, (_, index) => Buffer.alloc(200_000, index))
    await Promise.all(contents.map((bytes) => put('key', bytes)))
    const read = await get('key')
    expect(contents.some((bytes) => bytes.equals(read))).toBe(true)
    await reopen()
    expect((await get('key')).equals(read)).toBe(true)
    expect(files()).toHaveLength(2)
  })
})

describe('buckets', () => {
  test('are made once, and deleted when they are empty', async () => {
    expect(await nameOf(store.createBucket('bucket'))).toBe('BucketExistsError')
    await put('key', Buffer.alloc(1))
    expect(await nameOf(store.deleteBucket('bucket'))).toBe('BucketNotEmptyError')
    await store.delete('bucket', 'key')
    await store.createUpload('bucket', 'upload', { internal: {}, headers: {} })
    await store.addListingKey('bucket', 'ek', Buffer.alloc(3))
    await store.setBucketSettings('bucket', Buffer.from('settings'))
    await store.deleteBucket('bucket')
    expect(await nameOf(store.deleteBucket('bucket'))).toBe('NoSuchBucketError')
    expect(await nameOf(put('key', Buffer.alloc(1)))).toBe('NoSuchBucketError')
    await reopen()
    expect(store.buckets()).toEqual([])
    expect(files()).toEqual([])
  })

  test('keep their settings and the time they were made', async () => {
    const { createdAt } = store.bucket('bucket')
    await store.setBucketSettings('bucket', Buffer.from('first'))
    await store.setBucketSettings('bucket', Buffer.from('settings'))
    await reopen()
    expect(store.bucket('bucket')).toMatchObject({ createdAt, settings: Buffer.from('settings') })
    await store.setBucketSettings('bucket', undefined)
    await reopen()
    expect(store.bucket('bucket').settings).toBeUndefined()
    expect(files()).toHaveLength(2)
  })

  test('that are deleted while something is put take it with them', async () => {
    async function* slow(): Content {
      yield Buffer.alloc(1)
      await store.deleteBucket('bucket')
      await store.createBucket('bucket')
    }
    const call = store.put('bucket', 'key', slow(), () => propertiesOf(Buffer.alloc(1)), {
      isAuthenticated: true,
    })
    // The bucket that was made anew is there when the object comes.
    await call
    expect(store.list('bucket', { max: 10 }).items).toHaveLength(1)
    await store.delete('bucket', 'key')
    const gone = store.put('bucket', 'key', deleting(), () => propertiesOf(Buffer.alloc(1)), {
      isAuthenticated: true,
    })
    async function* deleting(): Content {
      yield Buffer.alloc(1)
      await store.deleteBucket('bucket')
    }
    expect(await nameOf(gone)).toBe('NoSuchBucketError')
  })

  test('have one listing key for each external key', async () => {
    const [first, second] = await Promise.all([
      store.addListingKey('bucket', 'ek', Buffer.from('1')),
      store.addListingKey('bucket', 'ek', Buffer.from('2')),
    ])
    expect(second).toEqual(first)
    await store.addListingKey('bucket', 'other', Buffer.from('3'))
    await reopen()
    expect(store.listingKeys('bucket')).toHaveLength(2)
    expect(store.listingKeys('bucket')).toContainEqual(first)
  })
})

describe('a listing', () => {
  test('shows keys in the order of their bytes, by pages', async () => {
    for (const key of ['b', 'a/2', 'a/1', 'é', '\uffee', '\u{1f600}']) await put(key, Buffer.from(key))
    const all = store.list('bucket', { max: 1000 })
    expect(all.items.map(({ key }) => key)).toEqual(['a/1', 'a/2', 'b', 'é', '\uffee', '\u{1f600}'])
    expect(all.items[2]).toMatchObject({ size: 1, etag: createHash('md5').update('b').digest('hex') })
    expect(store.list('bucket', { max: 1, delimiter: '/' })).toMatchObject({
      commonPrefixes: ['a/'],
      next: 'a/',
    })
    expect(store.list('bucket', { max: 1, delimiter: '/', after: 'a/' })).toMatchObject({ next: 'b' })
    expect(store.list('bucket', { max: 5, prefix: 'a/', after: 'a/1' }).items.map(({ key }) => key)).toEqual([
      'a/2',
    ])
  })

  test('shows ETags as they were sealed for it', async () => {
    const { id } = await store.addListingKey('bucket', 'ek', Buffer.from('1'))
    const listedEtag = { listingKey: id, sealed: Buffer.from('sealed') }
    const finish = () => propertiesOf(Buffer.alloc(0), { listedEtag })
    await store.put('bucket', 'key', contentOf(Buffer.alloc(0)), finish, { isAuthenticated: true })
    await reopen()
    expect(store.list('bucket', { max: 1 }).items[0]?.listedEtag).toEqual(listedEtag)
  })
})

describe('uploads in parts', () => {
  const putPart = (upload: Upload, number: number, bytes: Buffer) =>
    store.putPart(
      upload,
      number,
      contentOf(bytes),
      () => ({ size: bytes.length, etag: `e${bytes.length}` }),
      {
        isAuthenticated: false,
      },
    )
  const create = (key: string) =>
    store.createUpload('bucket', key, { internal: { a: 'b' }, headers: { c: 'd' } })

  test('become an object of the parts that were chosen, also after a restart', async () => {
    const [one, two, three] = [randomBytes(300_000), randomBytes(70_000), randomBytes(100)]
    const upload = await create('key')
    await putPart(upload, 7, two)
    await putPart(upload, 3, randomBytes(5))
    await putPart(upload, 3, one)
    await putPart(upload, 9, three)
    await reopen()
    const again = store.upload('bucket', 'key', upload.id)
    expect(again).toMatchObject({ key: 'key', internal: { a: 'b' }, headers: { c: 'd' } })
    expect(store.parts(again).map(({ number, size }) => [number, size])).toEqual([
      [3, 300_000],
      [7, 70_000],
      [9, 100],
    ])
    const whole = Buffer.concat([one, two])
    const chosen = [
      { number: 3, etag: 'e300000' },
      { number: 7, etag: 'e70000' },
    ]
    const record = await store.completeUpload(again, chosen, propertiesOf(whole))
    expect(record.parts.map(({ number }) => number)).toEqual([3, 7])
    await reopen()
    expect((await get('key')).equals(whole)).toBe(true)
    expect((await get('key', 299_990, 20)).equals(whole.subarray(299_990, 300_010))).toBe(true)
    expect(await nameOf(Promise.resolve().then(() => store.upload('bucket', 'key', upload.id)))).toBe(
      'NoSuchUploadError',
    )
    expect(files()).toHaveLength(4)
    await store.delete('bucket', 'key')
    await reopen()
    expect(files()).toHaveLength(1)
  })

  test('refuse parts that are not there, or have changed', async () => {
    const upload = await create('key')
    await putPart(upload, 1, Buffer.alloc(10))
    const complete = (parts: { number: number; etag: string }[]) =>
      nameOf(store.completeUpload(upload, parts, propertiesOf(Buffer.alloc(10))))
    expect(await complete([{ number: 2, etag: 'e10' }])).toBe('InvalidPartError')
    expect(await complete([{ number: 1, etag: 'e11' }])).toBe('InvalidPartError')
    expect(await complete([{ number: 1, etag: 'e10' }])).toBe('no error')
    expect(await complete([{ number: 1, etag: 'e10' }])).toBe('NoSuchUploadError')
  })

  test('that are aborted leave nothing, whatever is under way', async () => {
    const upload = await create('key')
    await putPart(upload, 1, Buffer.alloc(10))
    async function* slow(): Content {
      yield Buffer.alloc(1)
      await store.abortUpload(upload)
    }
    const late = store.putPart(upload, 2, slow(), () => ({ size: 1, etag: 'x' }), { isAuthenticated: true })
    expect(await nameOf(late)).toBe('NoSuchUploadError')
    expect(await nameOf(store.abortUpload(upload))).toBe('NoSuchUploadError')
    await reopen()
    expect(files()).toHaveLength(1)
  })

  test('are found under their own key alone, and listed in its order', async () => {
    const uploads = [await create('b'), await create('a/1'), await create('a/1'), await create('a/2')]
    expect(() => store.upload('bucket', 'a', uploads[0]?.id ?? '')).toThrow('does not exist')
    const all = store.uploads('bucket', { max: 10 })
    expect(all.items.map(({ key }) => key)).toEqual(['a/1', 'a/1', 'a/2', 'b'])
    const first = store.uploads('bucket', { max: 1 })
    expect(store.uploads('bucket', { max: 10, after: first.next ?? '' }).items).toEqual(all.items.slice(1))
    expect(store.uploads('bucket', { max: 10, after: 'a/1' }).items).toEqual(all.items.slice(2))
    expect(store.uploads('bucket', { max: 10, delimiter: '/' })).toMatchObject({ commonPrefixes: ['a/'] })
    expect(store.uploads('bucket', { max: 10, delimiter: '/', after: 'a/' }).items).toEqual(
      all.items.slice(3),
    )
  })

  test('completed twice at once become one object', async () => {
    const upload = await create('key')
    await putPart(upload, 1, Buffer.alloc(10))
    const complete = () =>
      store.completeUpload(upload, [{ number: 1, etag: 'e10' }], propertiesOf(Buffer.alloc(10)))
    const results = await Promise.allSettled([complete(), complete()])
    expect(results.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect((await get('key')).length).toBe(10)
  })
})

test('any range comes back, read into a buffer of any length or into none', async () => {
  const bytes = randomBytes(1_300_000)
  await put('checked', bytes)
  await put('authenticated', bytes, { isAuthenticated: true })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('checked', 'authenticated'),
      fc.tuple(fc.nat(bytes.length), fc.nat(bytes.length)),
      fc.option(fc.integer({ min: 10_000, max: 1_400_000 })),
      async (key, bounds, intoBytes) => {
        const [start, end] = bounds.toSorted((a, b) => a - b)
        const into = intoBytes === null ? undefined : Buffer.alloc(intoBytes)
        const read = await get(key, start, (end ?? 0) - (start ?? 0), into)
        expect(read.equals(bytes.subarray(start, end))).toBe(true)
      },
    ),
  )
})

describe('damage', () => {
  const dataFile = (size: number) => files().find((path) => readFileSync(path).length > size) ?? ''

  test('of content that has checksums is noticed where it is, and nowhere else', async () => {
    const bytes = randomBytes(800_000)
    await put('key', bytes)
    await put('other', Buffer.from('other'))
    await reopen()
    const path = dataFile(bytes.length)
    const damaged = readFileSync(path)
    damaged[500_000] = (damaged[500_000] ?? 0) ^ 1
    writeFileSync(path, damaged)
    expect(await nameOf(get('key'))).toBe('DataDamagedError')
    expect(await nameOf(get('key', 400_000, 100))).toBe('DataDamagedError')
    expect((await get('key', 0, 262_144)).equals(bytes.subarray(0, 262_144))).toBe(true)
    const into = Buffer.alloc(1_000_000)
    expect(await nameOf(get('key', 0, 600_000, into))).toBe('DataDamagedError')
    expect((await get('key', 0, 262_144, into)).equals(bytes.subarray(0, 262_144))).toBe(true)
    expect((await get('other')).toString()).toBe('other')
    expect(store.list('bucket', { max: 10 }).items).toHaveLength(2)
  })

  test('a file that is cut off or gone is an error of its object, which can be deleted', async () => {
    for (const isAuthenticated of [true, false]) {
      const bytes = randomBytes(100_000)
      await put('key', bytes, { isAuthenticated })
      await reopen()
      const path = dataFile(bytes.length)
      truncateSync(path, 50_000)
      expect(await nameOf(get('key'))).toBe('DataDamagedError')
      rmSync(path)
      expect(await nameOf(store.open('bucket', 'key'))).toBe('DataDamagedError')
      expect(store.stat('bucket', 'key').size).toBe(100_000)
      expect(await store.delete('bucket', 'key')).toBe(true)
    }
  })

  test('of the index is told at the start, or when it is met', async () => {
    await put('key', Buffer.alloc(1))
    await store[Symbol.asyncDispose]()
    const path = join(folder, 'index.db')
    const index = readFileSync(path)
    for (const damage of [index.subarray(0, 5000), Buffer.from('something else'.repeat(1000))]) {
      writeFileSync(path, damage)
      expect(await nameOf(FileObjectStore.open(folder))).toBe('IndexDamagedError')
    }
    writeFileSync(path, index)
    store = await FileObjectStore.open(folder)
    expect(store.stat('bucket', 'key').size).toBe(1)
  })
})

describe('the data folder', () => {
  test('is used by one process at a time', async () => {
    expect(await nameOf(FileObjectStore.open(folder))).toBe('DataFolderLockedError')
  })

  test('is not taken if something else lies in it', async () => {
    const other = join(parent, 'other')
    for (const [name, content] of [
      ['file', 'x'],
      ['node.json', '{"format":"other"}'],
      ['node.json', '{"format":"latchkey-node","version":2}'],
      ['node.json', 'no JSON'],
    ] as const) {
      rmSync(other, { recursive: true, force: true })
      const once = await FileObjectStore.open(other)
      await once[Symbol.asyncDispose]()
      rmSync(join(other, 'node.json'))
      writeFileSync(join(other, name), content)
      expect(await nameOf(FileObjectStore.open(other))).toBe('NotADataFolderError')
    }
  })

  test('is swept of what a killed process was writing', async () => {
    await put('key', Buffer.from('content'))
    await store[Symbol.asyncDispose]()
    const torn = join(folder, 'incoming', 'ab'.repeat(16))
    writeFileSync(torn, 'half a file')
    writeFileSync(join(folder, 'incoming', 'not-ours'), 'x')
    store = await FileObjectStore.open(folder)
    expect(existsSync(torn)).toBe(false)
    expect(incoming()).toEqual(['not-ours'])
    expect((await get('key')).toString()).toBe('content')
  })
})

describe('what an external key opens', () => {
  const NAME = 'X-Minio-Internal-Server-Side-Encryption-S3-Kms-Key-Id'
  const under = (externalKey: string) => ({ internal: { [NAME]: externalKey } })

  function putUnder(externalKey: string, key: string, size: number): Promise<ObjectRecord> {
    const bytes = Buffer.alloc(size)
    const finish = () => propertiesOf(bytes, under(externalKey))
    return store.put('bucket', key, contentOf(bytes), finish, { isAuthenticated: true })
  }

  const NOTHING = { objects: 0, bytes: 0, uploads: 0, largest: [] }

  test('is told as objects are put, replaced, moved to another key and deleted', async () => {
    expect(store.holdingsOf('one', 10)).toEqual(NOTHING)
    await putUnder('one', 'a', 1)
    await putUnder('one', 'b', 3)
    await putUnder('two', 'c', 2)
    await put('plain', Buffer.alloc(9))
    const named = (key: string, size: number) => ({
      bucket: 'bucket',
      key,
      size,
      internal: under('one').internal,
    })
    expect(store.holdingsOf('one', 10)).toEqual({
      objects: 2,
      bytes: 4,
      uploads: 0,
      largest: [named('b', 3), named('a', 1)],
    })
    expect(store.holdingsOf('one', 1).largest).toEqual([named('b', 3)])
    const { revision, ...properties } = store.stat('bucket', 'b')
    await store.replaceProperties('bucket', 'b', revision, { ...properties, ...under('two') })
    await put('a', Buffer.alloc(5))
    expect(store.holdingsOf('one', 10)).toEqual(NOTHING)
    expect(store.holdingsOf('two', 0)).toEqual({ objects: 2, bytes: 5, uploads: 0, largest: [] })
    await store.delete('bucket', 'b')
    await store.delete('bucket', 'c')
    expect(store.holdingsOf('two', 10)).toEqual(NOTHING)
  })

  test('has the uploads in progress', async () => {
    const upload = await store.createUpload('bucket', 'parts', { ...under('one'), headers: {} })
    expect(store.holdingsOf('one', 10)).toEqual({ ...NOTHING, uploads: 1 })
    await store.abortUpload(upload)
    expect(store.holdingsOf('one', 10)).toEqual(NOTHING)
  })

  test('is known of a store whose index is of the version before, too, with a damaged row in it', async () => {
    await putUnder('one', 'a', 1)
    await putUnder('one', 'damaged', 1)
    await store[Symbol.asyncDispose]()
    const db = new Database(join(folder, 'index.db'))
    db.exec('DROP INDEX object_by_external_key; DROP INDEX upload_by_external_key; PRAGMA user_version = 1')
    db.prepare("UPDATE object SET internal = '{' WHERE key = ?").run(Buffer.from('damaged'))
    db.close()
    store = await FileObjectStore.open(folder)
    expect(store.holdingsOf('one', 10)).toMatchObject({ objects: 1, bytes: 1 })
    await putUnder('one', 'b', 1)
    await reopen()
    expect(store.holdingsOf('one', 10)).toMatchObject({ objects: 2 })
  })

  test('is looked up and not searched for', async () => {
    await store[Symbol.asyncDispose]()
    const db = new Database(join(folder, 'index.db'))
    const plan = (sql: string) => db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all('one')
    const queries = [
      `SELECT count(*), sum(size) FROM object WHERE ${EXTERNAL_KEY} = ?`,
      `SELECT key FROM object WHERE ${EXTERNAL_KEY} = ? ORDER BY size DESC`,
      `SELECT count(*) FROM upload WHERE ${EXTERNAL_KEY} = ?`,
    ]
    for (const query of queries) {
      const steps = plan(query)
      expect(steps).toHaveLength(1) // Without a sort.
      expect(steps[0]).toMatchObject({ detail: expect.stringMatching(/^SEARCH \w+ USING (COVERING )?INDEX/) })
    }
    db.close()
    store = await FileObjectStore.open(folder)
  })
})

function bytesIn(path: string): number {
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0)
}

/** The disk is asked now and then. */
const untilLookedAt = () => new Promise((resolve) => setTimeout(resolve, 150))

describe('a disk that has only the reserve left', () => {
  let freeBytes: number
  beforeEach(async () => {
    freeBytes = 10_000_000
    await put('old', Buffer.from('old'))
    await store[Symbol.asyncDispose]()
    const look = () => ({ totalBytes: 100_000_000, freeBytes: freeBytes - bytesIn(join(folder, 'incoming')) })
    store = await FileObjectStore.open(folder, { reserveBytes: 5_000_000, look })
  })

  test('refuses new data, and content in the middle, and leaves nothing of it', async () => {
    await expect(put('large', Buffer.alloc(6_000_000))).rejects.toThrow(DiskFullError)
    expect(readdirSync(join(folder, 'incoming'))).toEqual([])
    freeBytes = 5_000_000
    await untilLookedAt()
    const upload = { internal: {}, headers: {} }
    await expect(put('small', Buffer.from('small'))).rejects.toThrow(DiskFullError)
    await expect(store.createBucket('another')).rejects.toThrow(DiskFullError)
    await expect(store.createUpload('bucket', 'upload', upload)).rejects.toThrow(DiskFullError)
    const { revision } = store.stat('bucket', 'old')
    const properties = propertiesOf(Buffer.from('old'))
    await expect(store.replaceProperties('bucket', 'old', revision, properties)).rejects.toThrow(
      DiskFullError,
    )
    expect(store.list('bucket', { max: 10 }).items.map(({ key }) => key)).toEqual(['old'])
  })

  test('takes what makes it no fuller: deletes, settings, and what ends an upload', async () => {
    const begun = await store.createUpload('bucket', 'upload', { internal: {}, headers: {} })
    const bytes = Buffer.from('part')
    const facts = () => ({ size: bytes.length, etag: 'etag' })
    const part = await store.putPart(begun, 1, contentOf(bytes), facts, { isAuthenticated: false })
    const other = await store.createUpload('bucket', 'other', { internal: {}, headers: {} })
    freeBytes = 0
    await untilLookedAt()
    await expect(
      store.putPart(begun, 2, contentOf(bytes), facts, { isAuthenticated: false }),
    ).rejects.toThrow(DiskFullError)
    await store.completeUpload(begun, [part], propertiesOf(bytes))
    await store.abortUpload(other)
    await store.setBucketSettings('bucket', Buffer.from('settings'))
    expect(await get('upload')).toEqual(bytes)
    expect(await store.delete('bucket', 'old')).toBe(true)
    freeBytes = 10_000_000
    await put('new', bytes)
  })
})
