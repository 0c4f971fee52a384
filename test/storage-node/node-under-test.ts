/** A storage node for tests, in this process, with a key server of its own, and a client that signs. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ApiKey, KesClient } from '@latchkey/kms-client'
import type { Environment } from '@latchkey/kms-client/kms'
import { type NodeOptions, type StorageNode, startNode } from '../../packages/storage-node/src/node/node.ts'
import type { RequestEvent } from '../../packages/storage-node/src/s3/front.ts'
import { signRequest } from '../../packages/storage-node/src/s3/sign-request.ts'
import { authorityOf, serverOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'

export const CREDENTIALS = { accessKey: 'minioadmin', secretKey: 'minioadmin-secret' }
export const DEFAULT_KEY = 'minio-default-key'
export const TENANT_KEY = 'tenant-a-key'
/** A key that the node's policy does not allow. */
export const DENIED_KEY = 'denied-key'

/** The keys of the recorded data: bytes 00..1f and 20..3f. */
export const RECORDED_KEYS: Readonly<Record<string, Buffer>> = {
  [DEFAULT_KEY]: Buffer.from(Array.from({ length: 32 }, (_, index) => index)),
  [TENANT_KEY]: Buffer.from(Array.from({ length: 32 }, (_, index) => 0x20 + index)),
}

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface AskOptions {
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
  /** Of the signature; default: the root user's. Null: none. */
  readonly as?: { readonly accessKey: string; readonly secretKey: string } | null
  readonly region?: string
}

export interface NodeUnderTest extends AsyncDisposable {
  readonly node: StorageNode
  readonly folder: string
  readonly events: RequestEvent[]
  /** @param target - `/bucket/key?query`, percent-encoded. */
  ask(method: string, target: string, options?: AskOptions): Promise<Answer>
  /** Stops the node and starts it again over the same data. */
  restart(options?: Partial<NodeOptions>): Promise<void>
}

export interface KeyServerUnderTest extends AsyncDisposable {
  readonly server: TestServer
  /** As its admin. */
  readonly client: KesClient
  /** What a node needs to use it. */
  readonly env: Environment
  /** For a node that may generate and decrypt, and nothing else. */
  readonly limitedEnv: Environment
}

export async function startKeyServer(): Promise<KeyServerUnderTest> {
  const apiKey = ApiKey.generate()
  const limitedApiKey = ApiKey.generate()
  const server = await startTestServer({
    policies: {
      limited: {
        allow: ['/v1/key/generate/*', '/v1/key/decrypt/*'],
        identities: [limitedApiKey.identity],
      },
      node: {
        allow: ['/v1/*'],
        deny: [`/v1/key/generate/${DENIED_KEY}`, '/v1/key/create/denied-*'],
        identities: [apiKey.identity],
      },
    },
    erasedNames: 'free',
  })
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-node-ca-'))
  const caPath = join(folder, 'ca.crt')
  writeFileSync(caPath, server.ca)
  const client = new KesClient({ endpoint: server.url, apiKey: server.apiKey, ca: server.ca })
  for (const [name, key] of Object.entries(RECORDED_KEYS)) await client.importKey(name, key)
  await client.createKey(DENIED_KEY)
  const envOf = (key: ApiKey) => ({
    MINIO_KMS_KES_ENDPOINT: server.url,
    MINIO_KMS_KES_API_KEY: key.toString(),
    MINIO_KMS_KES_KEY_NAME: DEFAULT_KEY,
    MINIO_KMS_KES_CAPATH: caPath,
  })
  return {
    server,
    client,
    env: envOf(apiKey),
    limitedEnv: envOf(limitedApiKey),
    async [Symbol.asyncDispose]() {
      await client.close()
      await server[Symbol.asyncDispose]()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

export async function nodeTls() {
  const { key, cert } = await serverOf()
  return { key: Buffer.from(key), cert: Buffer.from(cert) }
}

export interface NodeUnderTestOptions extends Partial<NodeOptions> {
  /** Default: true. */
  readonly isSecure?: boolean
}

export async function startNodeUnderTest(options: NodeUnderTestOptions = {}): Promise<NodeUnderTest> {
  const { isSecure = true, env = {}, ...rest } = options
  const ownFolder = options.folder === undefined ? mkdtempSync(join(tmpdir(), 'latchkey-node-')) : undefined
  const folder = options.folder ?? join(ownFolder ?? '', 'data')
  const ca = (await authorityOf('servers')).certificate.toString()
  const tls = isSecure ? await nodeTls() : undefined
  const events: RequestEvent[] = []
  const start = (changes: Partial<NodeOptions>) =>
    startNode({
      address: { host: '127.0.0.1', port: 0 },
      tls,
      env: {
        MINIO_ROOT_USER: CREDENTIALS.accessKey,
        MINIO_ROOT_PASSWORD: CREDENTIALS.secretKey,
        ...env,
      },
      onRequest: (event) => events.push(event),
      ...rest,
      ...changes,
      folder,
    })
  let node = await start({})
  return {
    get node() {
      return node
    },
    folder,
    events,
    ask: (method, target, asked) => askNode(node.url, ca, method, target, asked),
    async restart(changes = {}) {
      await node.stop()
      node = await start(changes)
    },
    async [Symbol.asyncDispose]() {
      await node.stop()
      if (ownFolder !== undefined) rmSync(ownFolder, { recursive: true, force: true })
    },
  }
}

export function askNode(
  url: string,
  ca: string,
  method: string,
  target: string,
  { headers = {}, body = '', as = CREDENTIALS, region = 'us-east-1' }: AskOptions = {},
): Promise<Answer> {
  const { hostname, port, host, protocol } = new URL(url)
  const bytes = Buffer.from(body)
  const sent =
    as === null
      ? { ...headers, host }
      : signRequest(as, { method, target, host, headers, body: bytes, now: Date.now(), region })
  const request = protocol === 'https:' ? httpsRequest : httpRequest
  return new Promise((resolve, reject) => {
    const exchange = request(
      {
        hostname,
        port,
        method,
        path: target,
        headers: { ...sent, 'content-length': bytes.length },
        ca,
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        )
      },
    )
    exchange.on('error', reject)
    exchange.end(bytes)
  })
}
