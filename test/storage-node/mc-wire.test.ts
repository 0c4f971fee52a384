/**
 * What `mc` and the AWS SDK asked a MinIO server, asked of the node, call by call: the same statuses, and documents of the
 * same elements. Signatures are made anew, because the recorded ones have expired; `signature-v4.test.ts` verifies those.
 */
import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readMinioVectors } from '../minio-vectors.ts'
import {
  DEFAULT_KEY,
  DENIED_KEY,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
} from './node-under-test.ts'

interface WireCall {
  readonly method: string
  readonly url: string
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly requestBody: string | { readonly bytes?: number; readonly base64?: string }
  readonly status: number
  readonly responseHeaders: Readonly<Record<string, string>>
  readonly responseBody: string | { readonly base64?: string }
}

interface WireCase {
  readonly id: string
  readonly transport: 'http' | 'https'
  readonly command: string
  readonly calls: readonly WireCall[]
}

const CASES = readMinioVectors<WireCase>('mc-wire.json')

/** Users, policies, settings and jobs of MinIO, which this node has not. */
const isElsewhere = ({ url }: WireCall) => /^\/minio\/admin\/v3\/(?!info|service|kms)/.test(url)
/** A node in a test does not restart itself; `process.test.ts` has that. */
const isRestart = ({ url }: WireCall) => url.startsWith('/minio/admin/v3/service')

/** Answered otherwise on purpose; docs/s3.md says why. */
const DIFFERENCES: Readonly<Record<string, string>> = {
  'GET /vec/?delimiter=%2F&encoding-type=url&fetch-owner=true&list-type=2&prefix=s3%2F':
    'a listing never fails because of a key',
}

/** Headers that say how the body came or who signed. */
const OF_THE_TRANSPORT =
  /^(?:authorization|host|accept-encoding|content-length|transfer-encoding|expect|x-amz-date|x-amz-content-sha256|x-amz-decoded-content-length|x-amz-trailer|content-encoding|content-md5|x-amz-checksum-.*|x-amz-sdk-checksum-algorithm|amz-sdk-.*|user-agent)$/

/** The elements of a document in their order, without text; repeated ones once. */
function shapeOf(xml: string): string[] {
  const names = [...xml.matchAll(/<([A-Za-z]+)[ >]/g)].map((match) => match[1] ?? '')
  return names.filter((name, index) => name !== names[index - 1])
}

/** What comes once or many times, or not at all, as the bucket is filled. */
const CONTENT = [
  'Contents',
  'Key',
  'LastModified',
  'ETag',
  'Size',
  'Owner',
  'ID',
  'DisplayName',
  'StorageClass',
  'Bucket',
  'CreationDate',
  'Version',
  'IsLatest',
  'VersionId',
  'Deleted',
  'Name',
  'DeleteMarker',
  'DeleteMarkerVersionId',
]

const CUSTOMER_KEY_NAME = 'X-Amz-Server-Side-Encryption-Customer-Key'
/** The first of the recorded clients' keys: bytes 40..5f. */
const customerKey = Buffer.from(Array.from({ length: 32 }, (_, index) => 0x40 + index))
const CUSTOMER = {
  'x-amz-server-side-encryption-customer-algorithm': 'AES256',
  'x-amz-server-side-encryption-customer-key': customerKey.toString('base64'),
  'x-amz-server-side-encryption-customer-key-md5': createHash('md5').update(customerKey).digest('base64'),
}

class WireReplay {
  readonly #node: NodeUnderTest
  readonly #uploads = new Map<string, string>()
  /** By path and number of the part. */
  readonly #etags = new Map<string, Map<number, string>>()

  constructor(node: NodeUnderTest) {
    this.#node = node
  }

  async run(call: WireCall) {
    const { method, requestHeaders, requestBody } = call
    const path = call.url.split('?')[0] ?? ''
    await this.#prepare(call, path)
    const upload = this.#uploads.get(path)
    const url = upload === undefined ? call.url : call.url.replace(/uploadId=[^&]+/, `uploadId=${upload}`)
    const headers = Object.fromEntries(
      Object.entries(requestHeaders)
        .map(([name, value]) => [name.toLowerCase(), value] as const)
        .filter(([name]) => !OF_THE_TRANSPORT.test(name)),
    )
    const answer = await this.#node.ask(method, url, {
      headers,
      body: this.#bodyOf(path, requestBody),
      region: url.startsWith('/minio/') ? '' : 'us-east-1',
      ...(url.startsWith('/minio/health') ? { as: null } : {}),
    })
    const text = answer.body.toString()
    const id = /<UploadId>(.*?)<\/UploadId>/.exec(text)?.[1]
    if (method === 'POST' && id !== undefined) {
      this.#uploads.set(path, id)
      this.#etags.set(path, new Map())
    }
    const number = Number(/partNumber=(\d+)/.exec(url)?.[1] ?? 0)
    if (number > 0) this.#etags.get(path)?.set(number, answer.headers.etag ?? '')
    return answer
  }

  /** What commands that are not in the recording had left there. */
  async #prepare(
    { method, status, url, requestHeaders, responseHeaders }: WireCall,
    path: string,
  ): Promise<void> {
    const [, bucket = '', ...rest] = path.split('/')
    if (bucket === '' || bucket === 'minio' || bucket.startsWith('probe-')) return
    const isMade = method === 'PUT' && rest.join('') === '' && !url.includes('?')
    const isObject = rest.join('') !== ''
    if (isMade) {
      await this.#node.ask('POST', `/${bucket}?delete`, { body: await this.#everything(bucket) })
      await this.#node.ask('DELETE', `/${bucket}`)
      return
    }
    if (!url.startsWith(`/${bucket}/?location`) || status === 200) await this.#node.ask('PUT', `/${bucket}`)
    const isRead = (method === 'GET' || method === 'HEAD') && isObject
    if (isRead && status === 404 && responseHeaders['X-Minio-Error-Code'] !== undefined) {
      await this.#node.ask('DELETE', path)
    }
    if (isRead && (status === 200 || status === 400)) {
      const isClients = status === 400 || requestHeaders[CUSTOMER_KEY_NAME] !== undefined
      const isKms = responseHeaders['X-Amz-Server-Side-Encryption'] !== undefined
      const encryption = isClients ? CUSTOMER : isKms ? { 'x-amz-server-side-encryption': 'AES256' } : {}
      await this.#node.ask('PUT', path, { headers: encryption, body: 'x' })
    }
    if (url.includes('encryption=') && method === 'GET' && status === 404) {
      await this.#node.ask('DELETE', `/${bucket}?encryption`)
    }
    if (method === 'GET' && /[?&]encryption/.test(url) && status === 200) {
      await this.#node.ask('PUT', `/${bucket}?encryption`, {
        body: '<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>',
      })
    }
    if (method === 'DELETE' && !isObject && !url.includes('encryption')) {
      await this.#node.ask('POST', `/${bucket}?delete`, { body: await this.#everything(bucket) })
    }
  }

  async #everything(bucket: string): Promise<string> {
    const { body } = await this.#node.ask('GET', `/${bucket}?list-type=2`)
    const names = [...body.toString().matchAll(/<Key>(.*?)<\/Key>/g)].map((match) => match[1])
    const objects = ['none', ...names].map((name) => `<Object><Key>${name}</Key></Object>`)
    return `<Delete>${objects.join('')}</Delete>`
  }

  #bodyOf(path: string, body: WireCall['requestBody']): Buffer {
    if (typeof body !== 'string') {
      return body.base64 === undefined ? Buffer.alloc(body.bytes ?? 0, 1) : Buffer.from(body.base64, 'base64')
    }
    if (!body.startsWith('<CompleteMultipartUpload')) return Buffer.from(body)
    const etags = [...(this.#etags.get(path) ?? [])].sort(([one], [other]) => one - other)
    const parts = etags.map(
      ([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`,
    )
    return Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`)
  }
}

function codeOf(body: string): string | undefined {
  return /<Code>(.*?)<\/Code>/.exec(body)?.[1] ?? /"Code":"(.*?)"/.exec(body)?.[1]
}

describe.each(['https', 'http'] as const)('over %s', (transport) => {
  let keys: KeyServerUnderTest
  let node: NodeUnderTest
  let replay: WireReplay
  beforeAll(async () => {
    keys = await startKeyServer()
    // The recording over plain HTTP was made with the built-in KMS.
    const builtin = { MINIO_KMS_SECRET_KEY: `my-minio-key:${Buffer.alloc(32, 5).toString('base64')}` }
    const env = transport === 'https' ? keys.env : builtin
    node = await startNodeUnderTest({ env, isSecure: transport === 'https', kms: { retries: 0 } })
    replay = new WireReplay(node)
  })
  afterAll(async () => {
    await node[Symbol.asyncDispose]()
    await keys[Symbol.asyncDispose]()
  })

  /** Recorded while keys were gone or the key server down: `lock-matrix.test.ts` has these. */
  const isOfTrouble = ({ status, responseBody }: WireCall) =>
    status >= 400 && typeof responseBody === 'string' && /kms:|kes: connection error/.test(responseBody)

  for (const { id, command, calls } of CASES.filter((each) => each.transport === transport)) {
    const own = calls.filter((call) => !isElsewhere(call) && !isRestart(call) && !isOfTrouble(call))
    if (own.length === 0) continue
    test(`${id}: ${command.replace(/https?:\S+ \S+ \S+$/, '').slice(0, 70)}`, async () => {
      for (const call of own) {
        if (DIFFERENCES[`${call.method} ${call.url}`] !== undefined) continue
        const answer = await replay.run(call)
        const text = answer.body.toString()
        const recorded = typeof call.responseBody === 'string' ? call.responseBody : ''
        const place = `${call.method} ${call.url}`
        expect([place, answer.status, codeOf(text)]).toEqual([place, call.status, codeOf(recorded)])
        if (!recorded.includes('<?xml')) continue
        const fixed = (xml: string) => shapeOf(xml).filter((name) => !CONTENT.includes(name))
        expect([place, fixed(text)]).toEqual([place, fixed(recorded)])
      }
    })
  }
})

test('the recorded keys are those of the test', () => {
  expect([DEFAULT_KEY, DENIED_KEY]).toEqual(['minio-default-key', 'denied-key'])
})
