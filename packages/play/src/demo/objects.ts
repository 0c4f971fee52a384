/** What the demo does with objects, by the AWS SDK: to it the node is any S3. */
import { createHash, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Agent } from 'node:https'
import {
  CreateBucketCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from '@aws-sdk/client-s3'

/** `{ kms: name }` is SSE-KMS under that key. */
export type Encryption = 'SSE-S3' | 'SSE-C' | { readonly kms: string }

/** An object of the demo, and what was put into it. */
export interface StoredObject {
  readonly key: string
  readonly encryption: Encryption
  readonly content: Buffer
  readonly sha256: string
}

/** A request that the node refused. */
export interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  /** `locked` or `erased`, of the external key. */
  readonly keyState: string | undefined
}

export interface ObjectsOptions {
  readonly endpoint: string
  readonly caFile: string
  readonly accessKey: string
  readonly secretKey: string
}

const BUCKET = 'demo'

export class Objects implements Disposable {
  readonly #s3: S3Client
  /** Of SSE-C: only this client has it. */
  readonly #customerKey = customerKeyHeaders(randomBytes(32))

  constructor({ endpoint, caFile, accessKey, secretKey }: ObjectsOptions) {
    this.#s3 = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
      requestHandler: { httpsAgent: new Agent({ ca: readFileSync(caFile), keepAlive: true }) },
    })
  }

  async makeBucket(): Promise<void> {
    await this.#s3.send(new CreateBucketCommand({ Bucket: BUCKET }))
  }

  /** @returns how the node says that the object is encrypted. */
  async put({ key, encryption, content }: StoredObject): Promise<string> {
    const answer = await this.#s3.send(
      new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: content, ...this.#headersOf(encryption) }),
    )
    if (answer.SSECustomerAlgorithm !== undefined) return `SSE-C ${answer.SSECustomerAlgorithm}`
    return [answer.ServerSideEncryption, answer.SSEKMSKeyId].filter((it) => it !== undefined).join(' ')
  }

  /** @returns the SHA-256 of the content, in hex. */
  async digest(object: StoredObject): Promise<string> {
    const { Body } = await this.#s3.send(
      new GetObjectCommand({ Bucket: BUCKET, Key: object.key, ...this.#readHeadersOf(object) }),
    )
    return sha256(Buffer.from((await Body?.transformToByteArray()) ?? []))
  }

  /** By HEAD. @returns the size. */
  async size(object: StoredObject): Promise<number | undefined> {
    const { ContentLength } = await this.#s3.send(
      new HeadObjectCommand({ Bucket: BUCKET, Key: object.key, ...this.#readHeadersOf(object) }),
    )
    return ContentLength
  }

  /** @returns the keys of all objects. */
  async list(): Promise<string[]> {
    const { Contents = [] } = await this.#s3.send(new ListObjectsV2Command({ Bucket: BUCKET }))
    return Contents.map(({ Key = '' }) => Key)
  }

  [Symbol.dispose](): void {
    this.#s3.destroy()
  }

  #headersOf(encryption: Encryption) {
    if (encryption === 'SSE-S3') return { ServerSideEncryption: 'AES256' } as const
    if (encryption === 'SSE-C') return this.#customerKey
    return { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: encryption.kms } as const
  }

  #readHeadersOf({ encryption }: StoredObject) {
    return encryption === 'SSE-C' ? this.#customerKey : {}
  }
}

/** @returns undefined if the call succeeds. @throws what is no answer of the node. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await call
    return undefined
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error
    return {
      status: error.$metadata.httpStatusCode ?? 0,
      code: error.name,
      message: error.message,
      keyState: error.$response?.headers['x-latchkey-key-state'],
    }
  }
}

export function objectOf(key: string, encryption: Encryption, text: string): StoredObject {
  const content = Buffer.from(text)
  return { key, encryption, content, sha256: sha256(content) }
}

function customerKeyHeaders(key: Buffer) {
  return {
    SSECustomerAlgorithm: 'AES256',
    SSECustomerKey: key.toString('base64'),
    SSECustomerKeyMD5: createHash('md5').update(key).digest('base64'),
  }
}

function sha256(content: Buffer): string {
  return createHash('sha256').update(content).digest('hex')
}
