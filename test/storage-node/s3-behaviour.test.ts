/**
 * What a MinIO server answered, asked of the node: the same requests in the same order, over objects that MinIO wrote.
 * Where the node means to differ, the case is named in `DIFFERENCES` with its reason.
 */
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FileObjectStore } from '../../packages/storage-node/src/disk/file-object-store.ts'
import { readMinioVectors } from '../minio-vectors.ts'
import { putRecordedObjects, RECORDED_OBJECTS } from './minio-objects.ts'
import {
  type Answer,
  CREDENTIALS,
  DEFAULT_KEY,
  type KeyServerUnderTest,
  type NodeUnderTest,
  RECORDED_KEYS,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from './node-under-test.ts'
import { type ScriptedKeyServer, startScriptedKeyServer } from './scripted-key-server.ts'

interface BehaviourCase {
  readonly id: string
  readonly group: string
  readonly method: string
  readonly path: string
  readonly query: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly requestBody?: string
  readonly status: number
  readonly code?: string
  readonly message?: string
  readonly responseHeaders: Readonly<Record<string, string>>
  readonly responseBody?: string
  readonly responseSize?: number
  readonly responseSHA256?: string
  readonly kesStatus?: number
  readonly kesBody?: string
}

const CASES = readMinioVectors<BehaviourCase>('s3-behaviour.json')
const groupOf = (name: string) => CASES.filter(({ group }) => group === name)

/** Answered otherwise on purpose; docs/s3.md says why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  'defkeydeleted-list-s3': 'a listing never fails because of a key',
  'kesdown-list-s3': 'a listing never fails because of a key',
  'min-status': 'whether the key server can be reached needs no right there',
  'copyctx-get-kms-kms': 'opened without the context that MinIO left behind',
  'copyctx-get-ctx-plain': 'a copy keeps nothing of its source’s context',
  'copyctx-head-ctx-plain': 'a copy keeps nothing of its source’s context',
  'copyctx-get-ctx-kms': 'a copy keeps nothing of its source’s context',
}

/** Calls of MinIO that are none of this node's. */
const isElsewhere = ({ path }: BehaviourCase) => path === '/minio/admin/v3/list-users'

/** Headers whose presence and value must be MinIO's, where MinIO sends them. */
const COMPARED = [
  'content-range',
  'content-type',
  'location',
  'x-amz-mp-parts-count',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-context',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-server-side-encryption-customer-key-md5',
  'x-minio-error-code',
  'x-minio-error-desc',
  'x-minio-write-quorum',
]

interface Spoken {
  readonly code: string | undefined
  readonly message: string | undefined
}

/** What an answer says in XML, in JSON, or in the headers of a HEAD. */
function spoken(type: string | undefined, body: string): Spoken {
  if (type === 'application/json' && body.startsWith('{"Code"')) {
    const { Code: code, Message: message } = JSON.parse(body)
    return { code, message: withoutConnection(message) }
  }
  const code = /<Code>(.*?)<\/Code>/.exec(body)?.[1]
  const message = /<Message>(.*?)<\/Message>/.exec(body)?.[1]
  return { code, message: message && withoutConnection(message) }
}

/** How a connection broke, MinIO says in the words of Go's library, and the node in its own. */
function withoutConnection(message: string): string {
  return message
    .replace(/\((.*?)(?:kes: connection error|https:\/\/).*/, '($1')
    .replace(/(failed to [\w ]+): .*/, '$1')
}

class Replay {
  readonly #node: NodeUnderTest
  /** By path: the node's own id of an upload that has another one in the recording. */
  readonly #uploads = new Map<string, string>()
  /** By path: of the first part of an upload, which is random with a client's own key. */
  readonly #partEtags = new Map<string, string>()

  constructor(node: NodeUnderTest) {
    this.#node = node
  }

  async beginUpload(path: string, headers: Readonly<Record<string, string>>): Promise<void> {
    const { body } = await this.#node.ask('POST', `${path}?uploads=`, { headers })
    this.#uploads.set(path, /<UploadId>(.*?)<\/UploadId>/.exec(body.toString())?.[1] ?? '')
  }

  async run(recorded: BehaviourCase): Promise<Answer> {
    const { id, method, path, query, requestHeaders, requestBody } = recorded
    const upload = this.#uploads.get(path)
    const asked = upload === undefined ? query : query.replace(/uploadId=[^&]+/, `uploadId=${upload}`)
    const target = `${encodeURI(path)}${asked === '' ? '' : `?${asked}`}`
    const headers = Object.fromEntries(
      Object.entries(requestHeaders).map(([name, value]) => [name.toLowerCase(), value]),
    )
    const etag = this.#partEtags.get(path)
    const body = requestBody ?? ''
    const answer = await this.#node.ask(method, target, {
      headers,
      body: etag === undefined ? body : body.replace(/<ETag>.*?<\/ETag>/, `<ETag>${etag}</ETag>`),
      as: path.startsWith('/minio/health/') ? null : signerOf(id),
      region: id.endsWith('-emptyregion') ? '' : 'us-east-1',
    })
    if (query.startsWith('partNumber=1&') && answer.status === 200) {
      this.#partEtags.set(path, answer.headers.etag ?? '')
    }
    const made = /<UploadId>(.*?)<\/UploadId>/.exec(answer.body.toString('latin1'))?.[1]
    if (asked.startsWith('uploads') && made !== undefined) this.#uploads.set(path, made)
    return answer
  }
}

function signerOf(id: string) {
  if (id.endsWith('-unknownuser')) return { ...CREDENTIALS, accessKey: 'nobody' }
  if (id.endsWith('-badsig')) return { ...CREDENTIALS, secretKey: 'another secret' }
  return CREDENTIALS
}

/** The recording holds these objects' bytes; of others only what was answered. */
const KNOWN_BODIES = new Set(RECORDED_OBJECTS.map(({ bucket, object }) => `/${bucket}/${object}`))

function compare(recorded: BehaviourCase, answer: Answer): void {
  const type = recorded.responseHeaders['Content-Type']
  const expected = spoken(type, recorded.responseBody ?? '')
  const got = spoken(answer.headers['content-type'], answer.body.toString())
  expect({ status: answer.status, ...got }).toEqual({ status: recorded.status, ...expected })
  const named = Object.fromEntries(
    Object.entries(recorded.responseHeaders)
      .map(([name, value]) => [name.toLowerCase(), value] as const)
      .filter(([name]) => COMPARED.includes(name)),
  )
  expect(answer.headers).toMatchObject(named)
  if (recorded.responseSHA256 !== undefined && KNOWN_BODIES.has(recorded.path)) {
    expect(createHash('sha256').update(answer.body).digest('hex')).toBe(recorded.responseSHA256)
    expect(answer.headers.etag).toBe(recorded.responseHeaders.ETag)
  }
  if (recorded.path.endsWith('/key/status') || recorded.path.endsWith('/kms/v1/version')) {
    const text = (body: string | undefined) => withoutConnection(body ?? '')
    if (answer.status === 200 && !recorded.id.includes('version')) {
      expect(text(answer.body.toString())).toBe(text(recorded.responseBody))
    }
  }
}

/** @param before - what happened in the recording before the first case whose id begins so. */
function replayGroup(
  name: string,
  replay: () => Replay,
  before: Readonly<Record<string, () => Promise<unknown>>> = {},
): void {
  const done = new Set<string>()
  for (const recorded of groupOf(name)) {
    if (isElsewhere(recorded)) continue
    const difference = DIFFERENCES[recorded.id]
    const title = `${recorded.id}: ${recorded.method} ${recorded.path}`
    const prepare = async () => {
      for (const [prefix, action] of Object.entries(before)) {
        if (!recorded.id.startsWith(prefix) || done.has(prefix)) continue
        done.add(prefix)
        await action()
      }
    }
    if (difference === undefined) {
      test(title, async () => {
        await prepare()
        compare(recorded, await replay().run(recorded))
      })
    } else {
      test(`${title}, otherwise: ${difference}`, async () => {
        await prepare()
        expect((await replay().run(recorded)).status).toBe(200)
      })
    }
  }
}

const SSE = 'x-amz-server-side-encryption'
const BUILTIN_KEY = `my-minio-key:${Buffer.alloc(32, 5).toString('base64')}`
const S3 = { [SSE]: 'AES256' }
const KMS = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: TENANT_KEY }
const customerHeaders = (byte: number) => {
  const key = Buffer.from(Array.from({ length: 32 }, (_, index) => byte + index))
  return {
    [`${SSE}-customer-algorithm`]: 'AES256',
    [`${SSE}-customer-key`]: key.toString('base64'),
    [`${SSE}-customer-key-md5`]: createHash('md5').update(key).digest('base64'),
  }
}
const CUSTOMER = customerHeaders(0x40)
/** `{"Zone":"eu-1","dept":"finance"}` */
const VECTOR_CONTEXT = 'eyJab25lIjoiZXUtMSIsImRlcHQiOiJmaW5hbmNlIn0='

describe('over TLS, with a key server', () => {
  let keys: KeyServerUnderTest
  let node: NodeUnderTest
  let replay: Replay
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'latchkey-behaviour-'))
    const store = await FileObjectStore.open(join(folder, 'data'))
    await putRecordedObjects(store)
    await store[Symbol.asyncDispose]()
    keys = await startKeyServer()
    node = await startNodeUnderTest({ folder: join(folder, 'data'), env: keys.env, kms: { retries: 0 } })
    replay = new Replay(node)
  })
  afterAll(async () => {
    await node[Symbol.asyncDispose]()
    await keys[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })
  const importKey = (name: string) => keys.client.importKey(name, RECORDED_KEYS[name] ?? Buffer.alloc(0))
  const put = (path: string, headers: Readonly<Record<string, string>>, body = 'hello') =>
    node.ask('PUT', path, { headers, body })

  describe('and both keys enabled', () => {
    replayGroup('behaviour', () => replay, {
      async 'put-s3-lower'() {
        await put('/beh/put-plain', {})
        await put('/beh/put-s3', S3)
        await put('/beh/put-kms-key', KMS)
        await put('/vec/c/204800.bin', CUSTOMER, 'x'.repeat(204_800))
        await put('/vec/kms/204800.bin', { ...KMS, [`${SSE}-context`]: VECTOR_CONTEXT }, 'x'.repeat(204_800))
        await put('/vec/kms/multipart.bin', { ...KMS, [`${SSE}-context`]: VECTOR_CONTEXT })
        await put('/vec/s3/65537.bin', S3, 'x'.repeat(65_537))
        await replay.beginUpload('/beh/mpc', CUSTOMER)
      },
    })
  })

  describe('and one key or the other erased', () => {
    replayGroup('keydeleted', () => replay, {
      'online-': () => put('/beh/copy-s3-to-kms', KMS),
      'keydeleted-': () => keys.client.deleteKey(TENANT_KEY),
      'keyrestored-': () => importKey(TENANT_KEY),
      async 'keyreplaced-'() {
        await keys.client.deleteKey(TENANT_KEY)
        await keys.client.createKey(TENANT_KEY)
      },
    })
    replayGroup('defkeydeleted', () => replay, {
      async 'defkeydeleted-'() {
        await keys.client.deleteKey(TENANT_KEY)
        await importKey(TENANT_KEY)
        await keys.client.deleteKey(DEFAULT_KEY)
      },
      'defkeyrestored-': () => importKey(DEFAULT_KEY),
    })
  })

  describe('and copies of objects that have a context', () => {
    replayGroup('copyctx', () => replay, {
      async copyctx() {
        await put('/rot', {}, '')
        await put('/rot/kms', KMS)
        await put('/rot/ctx-kmsr', KMS)
      },
    })
  })

  describe('and a policy that allows no more than generate and decrypt', () => {
    let limited: NodeUnderTest
    beforeAll(async () => {
      limited = await startNodeUnderTest({ env: keys.limitedEnv, kms: { retries: 0 } })
    })
    afterAll(() => limited[Symbol.asyncDispose]())
    replayGroup('minpolicy', () => new Replay(limited), {
      'min-get': () => limited.ask('PUT', '/minb/a', { headers: { [SSE]: 'aws:kms' }, body: 'a' }),
    })
  })

  describe('and the key server gone', () => {
    replayGroup('kesdown', () => replay, {
      async kesdown() {
        await put('/cnt', {}, '')
        await put('/cnt/kms', KMS)
        await put('/cnt/s3c', S3, 'x')
        await put('/cnt/kmsc', KMS)
        await keys.server[Symbol.asyncDispose]()
      },
    })
    replayGroup('kesdown2', () => replay)
  })
})

describe('a key server that answers oddly', () => {
  let keys: ScriptedKeyServer
  let node: NodeUnderTest
  beforeAll(async () => {
    keys = await startScriptedKeyServer()
    node = await startNodeUnderTest({ env: keys.env, kms: { retries: 0 } })
    await node.ask('PUT', '/vec')
    await node.ask('PUT', '/cnt')
    await node.ask('PUT', '/vec/kms/1.bin', { headers: KMS, body: 'x' })
  })
  afterAll(async () => {
    await node[Symbol.asyncDispose]()
    await keys[Symbol.asyncDispose]()
  })

  for (const recorded of groupOf('inject')) {
    test(`${recorded.id}: ${recorded.kesStatus} ${recorded.kesBody ?? ''}`, async () => {
      const { kesStatus: status, kesBody: body = '' } = recorded
      const contentType = recorded.id.includes('-text') ? 'text/plain' : 'application/json'
      keys.answer = status === undefined ? 'reset' : { status, body, contentType }
      compare(recorded, await new Replay(node).run(recorded))
    })
  }
})

describe.each([
  ['no KMS', 'nokms', {}],
  ['the built-in KMS', 'builtin', { MINIO_KMS_SECRET_KEY: BUILTIN_KEY }],
  ['every object encrypted', 'auto', { MINIO_KMS_SECRET_KEY: BUILTIN_KEY, MINIO_KMS_AUTO_ENCRYPTION: 'on' }],
])('over plain HTTP, with %s', (_what, group, env) => {
  let node: NodeUnderTest
  let replay: Replay
  beforeAll(async () => {
    node = await startNodeUnderTest({ isSecure: false, env })
    replay = new Replay(node)
    if (group === 'auto') await node.ask('PUT', '/autob')
  })
  afterAll(() => node[Symbol.asyncDispose]())

  replayGroup(group, () => replay, {
    'auto-put-with-s3-default': () =>
      node.ask('PUT', '/autob?encryption', {
        body: '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>',
      }),
  })
})
