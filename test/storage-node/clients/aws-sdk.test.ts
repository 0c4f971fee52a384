/** The AWS SDK for JavaScript against the node, with the defaults that it has. */
import { createHash, randomBytes } from 'node:crypto'
import { Agent, request } from 'node:https'
import { Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteBucketEncryptionCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketEncryptionCommand,
  GetBucketLocationCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  type GetObjectCommandInput,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutBucketEncryptionCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  paginateListObjectsV2,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { authorityOf } from '../../sandbox/certificates.ts'
import {
  CREDENTIALS,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from '../node-under-test.ts'

const BUCKET = 'sdk-bucket'
const PART_BYTES = 5 * 1024 * 1024

let keys: KeyServerUnderTest
let node: NodeUnderTest
let s3: S3Client
let ca: string

beforeAll(async () => {
  ca = (await authorityOf('servers')).certificate.toString()
  keys = await startKeyServer()
  node = await startNodeUnderTest({ env: keys.env, kms: { retries: 0 } })
  s3 = clientOf(CREDENTIALS)
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }))
})
afterAll(async () => {
  s3.destroy()
  await node[Symbol.asyncDispose]()
  await keys[Symbol.asyncDispose]()
})

function clientOf({
  accessKey,
  secretKey,
}: {
  readonly accessKey: string
  readonly secretKey: string
}): S3Client {
  return new S3Client({
    endpoint: node.node.url,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestHandler: { httpsAgent: new Agent({ ca, keepAlive: true }) },
  })
}

async function errorOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
  } catch (error) {
    if (error instanceof S3ServiceException) return `${error.$metadata.httpStatusCode} ${error.name}`
    throw error
  }
  return 'none'
}

async function get(input: Omit<GetObjectCommandInput, 'Bucket'>): Promise<Buffer> {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, ...input }))
  return Buffer.from((await Body?.transformToByteArray()) ?? [])
}

const customerKey = Buffer.alloc(32, 0x6b)
const CUSTOMER = {
  SSECustomerAlgorithm: 'AES256',
  SSECustomerKey: customerKey.toString('base64'),
  SSECustomerKeyMD5: createHash('md5').update(customerKey).digest('base64'),
}
type Encryption = Partial<
  Pick<
    PutObjectCommandInput,
    | 'ServerSideEncryption'
    | 'SSEKMSKeyId'
    | 'SSEKMSEncryptionContext'
    | 'SSECustomerAlgorithm'
    | 'SSECustomerKey'
    | 'SSECustomerKeyMD5'
  >
>
const KINDS: readonly (readonly [string, Encryption])[] = [
  ['no encryption', {}],
  ['SSE-S3', { ServerSideEncryption: 'AES256' }],
  [
    'SSE-KMS',
    {
      ServerSideEncryption: 'aws:kms',
      SSEKMSKeyId: TENANT_KEY,
      SSEKMSEncryptionContext: Buffer.from('{"department":"finance"}').toString('base64'),
    },
  ],
  ['SSE-C', CUSTOMER],
]
/** What a read of such an object must bring. */
const forReading = (encryption: Encryption) => ('SSECustomerKey' in encryption ? CUSTOMER : {})

describe.each(KINDS)('objects with %s', (name, encryption) => {
  const Key = `kind/${name}`
  const content = randomBytes(200_001)
  const reading = forReading(encryption)

  test('are stored, described and read, whole and in ranges', async () => {
    const put = await s3.send(
      new PutObjectCommand({
        Bucket: BUCKET,
        Key,
        Body: content,
        ContentType: 'text/plain',
        Metadata: { color: 'blue' },
        ...encryption,
      }),
    )
    expect(put.ServerSideEncryption).toBe(encryption.ServerSideEncryption)
    expect(put.ChecksumCRC32).toBeDefined()
    const head = await s3.send(
      new HeadObjectCommand({ Bucket: BUCKET, Key, ChecksumMode: 'ENABLED', ...reading }),
    )
    expect(head).toMatchObject({
      ContentLength: content.length,
      ContentType: 'text/plain',
      Metadata: { color: 'blue' },
      ETag: put.ETag,
      ChecksumCRC32: put.ChecksumCRC32,
    })
    expect(head.SSEKMSKeyId).toBe(encryption.SSEKMSKeyId && `arn:aws:kms:${TENANT_KEY}`)
    expect((await get({ Key, ...reading })).equals(content)).toBe(true)
    for (const [first, last] of [
      [0, 0],
      [65_535, 65_536],
      [131_000, 200_000],
    ]) {
      const range = await get({ Key, Range: `bytes=${first}-${last}`, ...reading })
      expect(range.equals(content.subarray(first, (last ?? 0) + 1))).toBe(true)
    }
    const attributes = await s3.send(
      new GetObjectAttributesCommand({
        Bucket: BUCKET,
        Key,
        ObjectAttributes: ['ETag', 'ObjectSize', 'Checksum'],
        ...reading,
      }),
    )
    expect(attributes).toMatchObject({
      ObjectSize: content.length,
      Checksum: { ChecksumCRC32: put.ChecksumCRC32 },
    })
  })

  test('are copied to every kind', async () => {
    const source =
      'SSECustomerKey' in encryption
        ? {
            CopySourceSSECustomerAlgorithm: CUSTOMER.SSECustomerAlgorithm,
            CopySourceSSECustomerKey: CUSTOMER.SSECustomerKey,
            CopySourceSSECustomerKeyMD5: CUSTOMER.SSECustomerKeyMD5,
          }
        : {}
    for (const [target, targetEncryption] of KINDS) {
      const copyKey = `copy/${name} to ${target}`
      const copied = await s3.send(
        new CopyObjectCommand({
          Bucket: BUCKET,
          Key: copyKey,
          CopySource: encodeURI(`${BUCKET}/${Key}`),
          ...source,
          ...targetEncryption,
        }),
      )
      expect(copied.ServerSideEncryption).toBe(targetEncryption.ServerSideEncryption)
      expect((await get({ Key: copyKey, ...forReading(targetEncryption) })).equals(content)).toBe(true)
    }
  })

  test('come in parts, from a body or from another object, and are read by part', async () => {
    const upload = { Bucket: BUCKET, Key: `parts/${name}` }
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...upload, ...encryption }))
    const bodies = [randomBytes(PART_BYTES), randomBytes(PART_BYTES + 3)]
    await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'part source', Body: content }))
    const parts: { PartNumber: number; ETag: string | undefined }[] = []
    for (const [index, Body] of bodies.entries()) {
      const part = { ...upload, UploadId, PartNumber: index + 1, Body, ...reading }
      const { ETag } = await s3.send(new UploadPartCommand(part))
      parts.push({ PartNumber: index + 1, ETag })
    }
    const copied = await s3.send(
      new UploadPartCopyCommand({
        ...upload,
        UploadId,
        PartNumber: 7,
        CopySource: encodeURI(`${BUCKET}/part source`),
        CopySourceRange: 'bytes=70000-139999',
        ...reading,
      }),
    )
    parts.push({ PartNumber: 7, ETag: copied.CopyPartResult?.ETag })
    const listed = await s3.send(new ListPartsCommand({ ...upload, UploadId }))
    expect(listed.Parts?.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }))).toEqual(parts)
    const done = await s3.send(
      new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts: parts } }),
    )
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-3"$/)
    const whole = Buffer.concat([...bodies, content.subarray(70_000, 140_000)])
    expect((await get({ Key: upload.Key, ...reading })).equals(whole)).toBe(true)
    expect((await get({ Key: upload.Key, PartNumber: 3, ...reading })).length).toBe(70_000)
  })
})

test('an upload of 100 MiB in parts at once, from a stream, is what was sent', async () => {
  const digest = createHash('sha256')
  const piece = randomBytes(1024 * 1024)
  const pieces = 100
  async function* body() {
    for (let index = 0; index < pieces; index += 1) {
      piece.writeUInt32BE(index)
      digest.update(piece)
      yield Buffer.from(piece)
    }
  }
  await new Upload({
    client: s3,
    params: { Bucket: BUCKET, Key: 'large', Body: Readable.from(body()), ServerSideEncryption: 'AES256' },
    partSize: 8 * 1024 * 1024,
    queueSize: 3,
  }).done()
  const { Body } = await s3.send(new GetObjectCommand({ Bucket: BUCKET, Key: 'large' }))
  const read = createHash('sha256')
  for await (const chunk of Body as Readable) read.update(chunk)
  expect(read.digest('hex')).toBe(digest.digest('hex'))
})

describe('buckets', () => {
  test('are made, found, listed and deleted', async () => {
    const Bucket = 'another-bucket'
    await s3.send(new CreateBucketCommand({ Bucket }))
    await s3.send(new HeadBucketCommand({ Bucket }))
    const { LocationConstraint } = await s3.send(new GetBucketLocationCommand({ Bucket }))
    expect(LocationConstraint ?? '').toBe('')
    const { Buckets } = await s3.send(new ListBucketsCommand({}))
    expect(Buckets?.map(({ Name }) => Name)).toEqual([Bucket, BUCKET])
    await s3.send(new DeleteBucketCommand({ Bucket }))
    expect(await errorOf(s3.send(new HeadBucketCommand({ Bucket })))).toBe('404 NotFound')
  })

  test('have a default encryption, until it is cleared', async () => {
    const Bucket = 'default-bucket'
    await s3.send(new CreateBucketCommand({ Bucket }))
    const rule = { SSEAlgorithm: 'aws:kms', KMSMasterKeyID: TENANT_KEY } as const
    const ServerSideEncryptionConfiguration = { Rules: [{ ApplyServerSideEncryptionByDefault: rule }] }
    await s3.send(new PutBucketEncryptionCommand({ Bucket, ServerSideEncryptionConfiguration }))
    const got = await s3.send(new GetBucketEncryptionCommand({ Bucket }))
    expect(got.ServerSideEncryptionConfiguration).toEqual(ServerSideEncryptionConfiguration)
    const put = await s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'a' }))
    expect(put).toMatchObject({ ServerSideEncryption: 'aws:kms', SSEKMSKeyId: `arn:aws:kms:${TENANT_KEY}` })
    await s3.send(new DeleteBucketEncryptionCommand({ Bucket }))
    const plain = await s3.send(new PutObjectCommand({ Bucket, Key: 'b', Body: 'b' }))
    expect(plain.ServerSideEncryption).toBeUndefined()
  })

  test('list their objects page by page, by prefix and by folder', async () => {
    const Bucket = 'list-bucket'
    await s3.send(new CreateBucketCommand({ Bucket }))
    const names = ['a', 'dir/1', 'dir/2', 'dir/sub/3', 'emoji 💥', 'z & <y> "x"']
    for (const Key of names) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
    const found: (string | undefined)[] = []
    for await (const { Contents } of paginateListObjectsV2({ client: s3, pageSize: 2 }, { Bucket })) {
      found.push(...(Contents ?? []).map(({ Key }) => Key))
    }
    expect(found).toEqual(names)
    const folder = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'dir/', Delimiter: '/' }))
    expect(folder.Contents?.map(({ Key }) => Key)).toEqual(['dir/1', 'dir/2'])
    expect(folder.CommonPrefixes).toEqual([{ Prefix: 'dir/sub/' }])
    const { Deleted, Errors } = await s3.send(
      new DeleteObjectsCommand({ Bucket, Delete: { Objects: names.map((Key) => ({ Key })) } }),
    )
    expect([Deleted?.length, Errors]).toEqual([names.length, undefined])
    await s3.send(new DeleteBucketCommand({ Bucket }))
  })
})

test('a presigned URL gives the object to whoever has it, and a changed one gives nothing', async () => {
  await s3.send(new PutObjectCommand({ Bucket: BUCKET, Key: 'signed', Body: 'signed' }))
  const url = await getSignedUrl(s3, new GetObjectCommand({ Bucket: BUCKET, Key: 'signed' }), {
    expiresIn: 60,
  })
  expect(await fetchText(url)).toEqual({ status: 200, text: 'signed' })
  const changed = await fetchText(url.replace('/signed?', '/large?'))
  expect(changed.status).toBe(403)
  expect(changed.text).toContain('<Code>SignatureDoesNotMatch</Code>')
})

function fetchText(url: string): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request(url, { ca, agent: false }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }),
      )
    })
      .on('error', reject)
      .end()
  })
}

describe('errors have the names that the SDK knows', () => {
  const at = (Key: string) => ({ Bucket: BUCKET, Key })

  test.each<[string, () => Promise<unknown>]>([
    ['404 NoSuchBucket', () => s3.send(new ListObjectsV2Command({ Bucket: 'no-such-bucket' }))],
    ['404 NoSuchKey', () => s3.send(new GetObjectCommand(at('nothing')))],
    ['404 NotFound', () => s3.send(new HeadObjectCommand(at('nothing')))],
    ['409 BucketAlreadyOwnedByYou', () => s3.send(new CreateBucketCommand({ Bucket: BUCKET }))],
    ['409 BucketNotEmpty', () => s3.send(new DeleteBucketCommand({ Bucket: BUCKET }))],
    ['416 InvalidRange', () => s3.send(new GetObjectCommand({ ...at('large'), Range: 'bytes=999999999-' }))],
    [
      '412 PreconditionFailed',
      () => s3.send(new PutObjectCommand({ ...at('large'), Body: '', IfNoneMatch: '*' })),
    ],
    ['304 Unknown', () => s3.send(new GetObjectCommand({ ...at('large'), IfModifiedSince: new Date() }))],
    ['404 NoSuchUpload', () => s3.send(new ListPartsCommand({ ...at('large'), UploadId: 'none' }))],
    ['400 InvalidRequest', () => s3.send(new GetObjectCommand(at('kind/SSE-C')))],
    [
      '400 InvalidArgument',
      () => s3.send(new PutObjectCommand({ ...at('x'), Body: '', ServerSideEncryption: 'aws:kms:dsse' })),
    ],
    [
      '404 kms:KeyNotFound',
      () =>
        s3.send(
          new PutObjectCommand({
            ...at('x'),
            Body: '',
            ServerSideEncryption: 'aws:kms',
            SSEKMSKeyId: 'none',
          }),
        ),
    ],
    ['501 NotImplemented', () => s3.send(new PutObjectCommand({ ...at('x'), Body: '', Tagging: 'a=b' }))],
  ])('%s', async (expected, call) => {
    expect(await errorOf(call())).toBe(expected)
  })

  test.each([
    ['403 InvalidAccessKeyId', { ...CREDENTIALS, accessKey: 'nobody' }],
    ['403 SignatureDoesNotMatch', { ...CREDENTIALS, secretKey: 'another secret' }],
  ])('%s', async (expected, credentials) => {
    const other = clientOf(credentials)
    expect(await errorOf(other.send(new ListBucketsCommand({})))).toBe(expected)
    other.destroy()
  })

  test('a locked key is 403, until it is enabled', async () => {
    await keys.client.disableKey(TENANT_KEY)
    expect(await errorOf(s3.send(new GetObjectCommand(at('kind/SSE-KMS'))))).toBe('403 kms:NotAuthorized')
    await keys.client.enableKey(TENANT_KEY)
    expect((await get({ Key: 'kind/SSE-KMS' })).length).toBe(200_001)
  })
})

test('an upload that is aborted leaves nothing', async () => {
  const upload = { Bucket: BUCKET, Key: 'aborted' }
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand(upload))
  await s3.send(new UploadPartCommand({ ...upload, UploadId, PartNumber: 1, Body: 'x' }))
  await s3.send(new AbortMultipartUploadCommand({ ...upload, UploadId }))
  const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket: BUCKET }))
  expect(Uploads).toBeUndefined()
  await s3.send(new DeleteObjectCommand(upload))
})
