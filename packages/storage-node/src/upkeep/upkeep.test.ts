import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { BuiltinKms, type Kms, KmsError, type KmsErrorReason } from '@latchkey/kms-client/kms'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { makeMemoryFolder } from '../../../../test/memory-folder.ts'
import { ObjectChangedError } from '../disk/errors.ts'
import { FileObjectStore } from '../disk/file-object-store.ts'
import { fsck } from '../disk/fsck.ts'
import type { Upload } from '../disk/object-store.ts'
import { listedEtags } from '../s3/listed-etags.ts'
import { writeObject } from '../s3/object-write.ts'
import { encryptContent, readContent } from '../sse/content.ts'
import { beginEncryption, openEncryption } from '../sse/encryption.ts'
import { encodeEncryption } from '../sse/metadata.ts'
import type { CustomerKey, EncryptionRequest } from '../sse/mode.ts'
import { explainObject } from './explain-object.ts'
import { type RotatedPage, type RotateQuery, rotatePage, rotateUploadsPage } from './rotate-keys.ts'

const CUSTOMER_KEY: CustomerKey = { key: Buffer.alloc(32, 9), md5: 'md5' }

/** Two external keys, each of which may be out of use. */
class TwoKeys {
  readonly #secrets: Record<string, Buffer> = { old: randomBytes(32), new: randomBytes(32) }
  readonly problems = new Map<string, KmsErrorReason>()
  /** How many more calls are answered. */
  callsLeft = Number.POSITIVE_INFINITY
  readonly kms: Kms

  constructor() {
    this.kms = Object.assign(Object.create(new BuiltinKms('old', Buffer.alloc(32))), {
      defaultKey: 'old',
      generateKey: async (request: Parameters<Kms['generateKey']>[0] = {}) =>
        this.#of('generate', request.key ?? 'old').generateKey(request),
      decrypt: async (request: Parameters<Kms['decrypt']>[0]) =>
        this.#of('decrypt', request.key).decrypt(request),
    })
  }

  /** Another key under the same name. */
  replace(name: string): void {
    this.#secrets[name] = randomBytes(32)
  }

  #of(operation: 'generate' | 'decrypt', name: string): Kms {
    if (this.callsLeft-- <= 0) throw new KmsError('unreachable', operation, name)
    const problem = this.problems.get(name)
    if (problem) throw new KmsError(problem, operation, name)
    return new BuiltinKms(name, this.#secrets[name] ?? Buffer.alloc(32))
  }
}

let folder: string
let store: FileObjectStore
let keys: TwoKeys

beforeEach(async () => {
  folder = makeMemoryFolder()
  store = await FileObjectStore.open(folder)
  keys = new TwoKeys()
  await store.createBucket('bucket')
})

afterEach(async () => {
  await store[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true })
})

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

const md5Of = (bytes: Uint8Array) => createHash('md5').update(bytes).digest()

async function put(key: string, bytes: Buffer, encryption: EncryptionRequest | undefined): Promise<void> {
  const services = { store, kms: keys.kms }
  await writeObject(services, {
    bucket: 'bucket',
    key,
    content: one(bytes),
    headers: { 'content-type': 'text/plain' },
    encryption,
    facts: () => ({ size: bytes.length, md5: md5Of(bytes), checksum: undefined, isChecksumTrailing: false }),
  })
}

async function beginUpload(key: string, encryption: EncryptionRequest): Promise<Upload> {
  const { stored } = await beginEncryption(keys.kms, { bucket: 'bucket', key }, encryption)
  const internal = { ...encodeEncryption(stored), 'X-Minio-Internal-Encrypted-Multipart': '' }
  return store.createUpload('bucket', key, { internal, headers: {} })
}

async function putPart(upload: Upload, number: number, bytes: Buffer): Promise<void> {
  const objectKey = await openEncryption(keys.kms, upload, upload.internal)
  if (objectKey === undefined) throw new Error('the upload is not encrypted')
  const finish = () => ({ size: bytes.length, etag: `${number}` })
  const content = encryptContent(one(bytes), objectKey, number)
  await store.putPart(upload, number, content, finish, { isAuthenticated: true })
}

async function complete(upload: Upload): Promise<void> {
  const { internal, headers } = upload
  const parts = store.parts(upload)
  const size = parts.reduce((sum, part) => sum + part.size, 0)
  await store.completeUpload(upload, parts, { size, etag: 'x-2', internal, headers })
}

async function putInParts(key: string, parts: readonly Buffer[]): Promise<void> {
  const upload = await beginUpload(key, { kind: 'SSE-S3' })
  for (const [index, part] of parts.entries()) await putPart(upload, index + 1, part)
  await complete(upload)
}

async function get(key: string): Promise<Buffer> {
  await using object = await store.open('bucket', key)
  const isCustomers = key === 'sse-c'
  const objectKey = await openEncryption(
    keys.kms,
    object.record,
    object.record.internal,
    isCustomers ? CUSTOMER_KEY : undefined,
  )
  const pieces: Buffer[] = []
  for await (const piece of readContent(object, objectKey, { offset: 0, length: object.record.size })) {
    pieces.push(Buffer.from(piece))
  }
  return Buffer.concat(pieces)
}

async function rotate(
  query: Partial<RotateQuery> = {},
  nextPage: typeof rotatePage = rotatePage,
): Promise<Omit<RotatedPage, 'next'>> {
  const sums = { rotated: 0, left: 0, notApplicable: 0, failures: [] as RotatedPage['failures'][number][] }
  for (let after: string | undefined, isFirst = true; isFirst || after !== undefined; isFirst = false) {
    const page = await nextPage(
      { store, kms: keys.kms },
      { bucket: 'bucket', prefix: '', to: 'new', max: 3, after, ...query },
    )
    sums.rotated += page.rotated
    sums.left += page.left
    sums.notApplicable += page.notApplicable
    sums.failures.push(...page.failures)
    after = page.next
  }
  return sums
}

const contents: Record<string, Buffer> = {
  parts: randomBytes(150_000),
  plain: randomBytes(10),
  'sse-c': randomBytes(20),
  'sse-kms': randomBytes(30),
  'sse-s3': randomBytes(100_000),
}
const contentOf = (key: string) => contents[key] ?? Buffer.alloc(0)

async function putAll(): Promise<void> {
  await put('plain', contentOf('plain'), undefined)
  await put('sse-c', contentOf('sse-c'), { kind: 'SSE-C', customerKey: CUSTOMER_KEY })
  await put('sse-s3', contentOf('sse-s3'), { kind: 'SSE-S3' })
  await put('sse-kms', contentOf('sse-kms'), { kind: 'SSE-KMS', externalKey: 'old', context: { a: 'b' } })
  await putInParts('parts', [contentOf('parts').subarray(0, 70_000), contentOf('parts').subarray(70_000)])
}

/** What lies in the files of content, by their names. */
async function dataFiles(): Promise<Map<string, string>> {
  await store[Symbol.asyncDispose]()
  store = await FileObjectStore.open(folder)
  const names = readdirSync(join(folder, 'files'), { recursive: true, encoding: 'utf8' })
  const paths = names.filter((name) => name.includes('/')).map((name) => join(folder, 'files', name))
  const large = paths.filter((path) => readFileSync(path).length > 50_000)
  return new Map(large.map((path) => [path, md5Of(readFileSync(path)).toString('hex')]))
}

async function listed(): Promise<Record<string, string>> {
  const { items } = store.list('bucket', { max: 1000 })
  const etagOf = await listedEtags({ store, kms: keys.kms }, 'bucket', items)
  return Object.fromEntries(items.map((item) => [item.key, etagOf(item)]))
}

describe('a rotation', () => {
  beforeEach(putAll)

  test('brings all objects with a key of the KMS under the new one, and leaves their content where it is', async () => {
    const before = await dataFiles()
    expect(await rotate()).toEqual({ rotated: 3, left: 0, notApplicable: 2, failures: [] })
    expect(await dataFiles()).toEqual(before)
    keys.problems.set('old', 'erased')
    for (const key of Object.keys(contents)) expect((await get(key)).equals(contentOf(key))).toBe(true)
    expect((await listed())['sse-s3']).toBe(md5Of(contentOf('sse-s3')).toString('hex'))
    expect(await rotate()).toEqual({ rotated: 0, left: 3, notApplicable: 2, failures: [] })
  })

  test('keeps properties, ETag and time', async () => {
    const before = store.stat('bucket', 'sse-kms')
    await rotate()
    const { internal, ...after } = store.stat('bucket', 'sse-kms')
    const { size, etag, headers, modifiedAt } = before
    expect(after).toMatchObject({ size, etag, headers, modifiedAt })
    expect(internal['X-Minio-Internal-Server-Side-Encryption-Context']).toBe(
      before.internal['X-Minio-Internal-Server-Side-Encryption-Context'],
    )
  })

  test('goes on where the key server went away', async () => {
    keys.callsLeft = 5
    await expect(rotate()).rejects.toMatchObject({ reason: 'unreachable' })
    keys.callsLeft = Number.POSITIVE_INFINITY
    const { rotated, left } = await rotate()
    expect(rotated + left).toBe(3)
    expect(await rotate()).toMatchObject({ rotated: 0, left: 3 })
    for (const key of Object.keys(contents)) expect((await get(key)).equals(contentOf(key))).toBe(true)
  })

  test('tells which objects it could not open, and does the others', async () => {
    await rotate({ prefix: 'parts' })
    keys.problems.set('old', 'locked')
    const { failures, rotated, left } = await rotate()
    expect({ rotated, left }).toEqual({ rotated: 0, left: 1 })
    expect(failures.map(({ key, externalKey }) => [key, externalKey]).sort()).toEqual([
      ['sse-kms', 'old'],
      ['sse-s3', 'old'],
    ])
    expect(failures[0]?.problem).toContain('locked')
    keys.problems.clear()
    expect(await rotate()).toMatchObject({ rotated: 2, failures: [] })
  })

  test('changes nothing if the new key can not be used', async () => {
    const before = store.list('bucket', { max: 1000 }).items
    for (const reason of ['locked', 'erased', 'not-allowed'] as const) {
      keys.problems.set('new', reason)
      await expect(rotate()).rejects.toMatchObject({ reason })
    }
    expect(store.list('bucket', { max: 1000 }).items).toEqual(before)
  })

  test('takes only what it was asked for', async () => {
    expect(await rotate({ prefix: 'sse-' })).toMatchObject({ rotated: 2, notApplicable: 1 })
    expect(await rotate({ from: 'other' })).toMatchObject({ rotated: 0, left: 3 })
    expect(await rotate({ from: 'new', to: 'old' })).toMatchObject({ rotated: 2, left: 1 })
  })

  test('does not undo what somebody writes meanwhile', async () => {
    const writing = (async () => {
      for (let count = 0; count < 20; count++)
        await put('sse-s3', Buffer.from(`version ${count}`), { kind: 'SSE-S3' })
    })()
    for (let count = 0; count < 10; count++) await rotate()
    await writing
    expect((await get('sse-s3')).toString()).toBe('version 19')
  })

  test('does not stop at damaged metadata', async () => {
    const { revision, internal, headers } = store.stat('bucket', 'sse-kms')
    const { 'X-Minio-Internal-Server-Side-Encryption-Iv': _, ...rest } = internal
    await store.replaceProperties('bucket', 'sse-kms', revision, { etag: 'e', internal: rest, headers })
    const { failures, rotated } = await rotate()
    expect(rotated).toBe(2)
    expect(failures[0]).toMatchObject({ key: 'sse-kms', problem: expect.stringContaining('IV') })
  })
})

describe('a rotation of uploads in progress', () => {
  const rotateUploads = (query: Partial<RotateQuery> = {}) => rotate(query, rotateUploadsPage)
  const again = ({ key, id }: Upload) => store.upload('bucket', key, id)
  const [one, two] = [randomBytes(70_000), randomBytes(80_000)]

  test('brings them under the new key: what was stored before and after is one object', async () => {
    const upload = await beginUpload('parts', { kind: 'SSE-S3' })
    await putPart(upload, 1, one)
    for (let count = 0; count < 5; count++)
      await beginUpload('parts', { kind: 'SSE-KMS', externalKey: 'old', context: {} })
    await beginUpload('of a client', { kind: 'SSE-C', customerKey: CUSTOMER_KEY })
    expect(await rotateUploads()).toEqual({ rotated: 6, left: 0, notApplicable: 1, failures: [] })
    expect(await rotateUploads()).toEqual({ rotated: 0, left: 6, notApplicable: 1, failures: [] })
    keys.problems.set('old', 'erased')
    await store[Symbol.asyncDispose]()
    store = await FileObjectStore.open(folder)
    await putPart(again(upload), 2, two)
    await complete(again(upload))
    expect((await get('parts')).equals(Buffer.concat([one, two]))).toBe(true)
    await store[Symbol.asyncDispose]()
    expect((await fsck(folder, { content: true })).problems).toEqual([])
    store = await FileObjectStore.open(folder)
  })

  test('refuses the completion of an upload as it was before', async () => {
    const upload = await beginUpload('parts', { kind: 'SSE-S3' })
    await putPart(upload, 1, one)
    await rotateUploads()
    await expect(complete(upload)).rejects.toThrow(ObjectChangedError)
    await complete(again(upload))
    expect(await rotate()).toMatchObject({ rotated: 0, left: 1 })
  })

  test('does not bring back what is aborted or completed meanwhile', async () => {
    const uploads = await Promise.all(
      Array.from({ length: 12 }, (_, index) => beginUpload(`key ${index}`, { kind: 'SSE-S3' })),
    )
    for (const upload of uploads) await putPart(upload, 1, one)
    const rotating = rotateUploads({ max: 100 })
    const ends = uploads.map((upload, index) =>
      index % 2 === 0
        ? store.abortUpload(upload)
        : complete(upload).catch((error) => {
            if (!(error instanceof ObjectChangedError)) throw error
            return complete(again(upload))
          }),
    )
    await Promise.all(ends)
    expect((await rotating).failures).toEqual([])
    expect(store.uploads('bucket', { max: 100 }).items).toEqual([])
    await rotate()
    keys.problems.set('old', 'erased')
    for (let index = 1; index < 12; index += 2) expect((await get(`key ${index}`)).equals(one)).toBe(true)
    await store[Symbol.asyncDispose]()
    expect((await fsck(folder, {})).problems).toEqual([])
    store = await FileObjectStore.open(folder)
  })

  test('goes on where the key server went away, and tells what it could not open', async () => {
    const uploads = await Promise.all(['a', 'b', 'c', 'd'].map((key) => beginUpload(key, { kind: 'SSE-S3' })))
    keys.callsLeft = 5
    await expect(rotateUploads()).rejects.toMatchObject({ reason: 'unreachable' })
    keys.callsLeft = Number.POSITIVE_INFINITY
    keys.problems.set('old', 'locked')
    const { failures, left } = await rotateUploads()
    expect(failures.length + left).toBe(4)
    expect(
      failures.every(({ externalKey, problem }) => externalKey === 'old' && /locked/.test(problem)),
    ).toBe(true)
    keys.problems.clear()
    expect(await rotateUploads()).toMatchObject({ rotated: failures.length, failures: [] })
    for (const upload of uploads) await putPart(again(upload), 1, one)
  })
})

describe('a listing key', () => {
  test('is made anew when its external key is another one under the same name', async () => {
    await put('lost', Buffer.from('1'), { kind: 'SSE-S3' })
    keys.replace('old')
    for (const key of ['one', 'two']) await put(key, Buffer.from(key), { kind: 'SSE-S3' })
    expect(store.listingKeys('bucket')).toHaveLength(1)
    expect(await listed()).toEqual({
      lost: store.stat('bucket', 'lost').etag.slice(-32),
      one: md5Of(Buffer.from('one')).toString('hex'),
      two: md5Of(Buffer.from('two')).toString('hex'),
    })
  })

  test('is one, also if several objects need it at once', async () => {
    const names = ['a', 'b', 'c', 'd']
    await Promise.all(names.map((name) => put(name, Buffer.from(name), { kind: 'SSE-S3' })))
    expect(store.listingKeys('bucket')).toHaveLength(1)
    expect(await listed()).toEqual(
      Object.fromEntries(names.map((name) => [name, md5Of(Buffer.from(name)).toString('hex')])),
    )
  })
})

describe('an explanation', () => {
  beforeEach(putAll)

  const explain = (key: string, customerKey?: CustomerKey) =>
    explainObject({ store, kms: keys.kms }, 'bucket', key, customerKey)
  const outcomes = async (key: string, customerKey?: CustomerKey) =>
    Object.fromEntries((await explain(key, customerKey)).stages.map(({ name, outcome }) => [name, outcome]))

  test('shows the chain of an object that opens', async () => {
    const explained = await explain('sse-kms')
    expect(explained).toMatchObject({
      kind: 'SSE-KMS',
      size: 30,
      storedBytes: 62,
      path: 'bucket/sse-kms',
      externalKey: 'old',
      context: '{"a":"b","bucket":"bucket/sse-kms"}',
      dataKeyBytes: 76,
      sealAlgorithm: 'DAREv2-HMAC-SHA256',
      sealedKeyBytes: 64,
      keys: 'one',
      parts: [{ number: 1, size: 30, storedBytes: 62, dare: { version: '2.0', cipher: 'AES-256-GCM' } }],
    })
    expect(explained.stages.map(({ name, outcome }) => `${name} ${outcome}`)).toEqual([
      'metadata opens',
      'data key opens',
      'object key opens',
      'ETag opens',
      'content opens',
    ])
    expect(await explain('parts')).toMatchObject({
      keys: 'one a part',
      parts: [{ number: 1 }, { number: 2 }],
    })
  })

  test('shows no key, whatever the object', async () => {
    const dek = await keys.kms.decrypt({
      key: 'old',
      ciphertext: Buffer.from(
        store.stat('bucket', 'sse-s3').internal[
          'X-Minio-Internal-Server-Side-Encryption-S3-Kms-Sealed-Key'
        ] ?? '',
        'base64',
      ),
      context: { bucket: 'bucket/sse-s3' },
    })
    const oek = await openEncryption(
      keys.kms,
      { bucket: 'bucket', key: 'sse-s3' },
      store.stat('bucket', 'sse-s3').internal,
    )
    const text = JSON.stringify(await explain('sse-s3'))
    for (const secret of [
      Buffer.from(dek.bytes),
      oek?.contentKey.export() ?? Buffer.alloc(0),
      md5Of(contentOf('sse-s3')),
    ]) {
      expect(secret.length).toBeGreaterThan(15)
      for (const encoding of ['hex', 'base64', 'latin1'] as const)
        expect(text).not.toContain(secret.toString(encoding))
    }
  })

  test('says where the chain breaks', async () => {
    keys.problems.set('old', 'locked')
    const locked = await explain('sse-s3')
    expect(locked.stages.find(({ name }) => name === 'data key')).toMatchObject({
      outcome: 'fails',
      reason: expect.stringContaining('locked'),
      keyState: 'locked',
    })
    expect(await outcomes('sse-s3')).toEqual({
      metadata: 'opens',
      'data key': 'fails',
      'object key': 'not tried',
      ETag: 'not tried',
      content: 'not tried',
    })
    keys.problems.clear()

    expect(await outcomes('plain')).toEqual({ metadata: 'not tried', content: 'opens' })
    expect(await outcomes('sse-c')).toMatchObject({
      metadata: 'opens',
      'object key': 'not tried',
      content: 'not tried',
    })
    expect(await outcomes('sse-c', CUSTOMER_KEY)).toMatchObject({ 'object key': 'opens', content: 'opens' })
    expect(await outcomes('sse-c', { key: Buffer.alloc(32), md5: '' })).toMatchObject({
      'object key': 'fails',
    })

    const { revision, internal, headers, etag } = store.stat('bucket', 'sse-s3')
    const iv = { 'X-Minio-Internal-Server-Side-Encryption-Iv': Buffer.alloc(32).toString('base64') }
    await store.replaceProperties('bucket', 'sse-s3', revision, {
      etag,
      headers,
      internal: { ...internal, ...iv },
    })
    expect(await outcomes('sse-s3')).toMatchObject({
      'data key': 'opens',
      'object key': 'fails',
      content: 'not tried',
    })

    for (const path of (await dataFiles()).keys()) truncateSync(path, 100)
    expect(await outcomes('parts')).toMatchObject({ 'object key': 'opens', content: 'fails' })
  })

  test('of an object that is not there is an error', async () => {
    await expect(explain('nothing')).rejects.toMatchObject({ name: 'NoSuchKeyError' })
  })
})
