// The storage node through the console: what the page shows of it, and what the admin does with it.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { Secret } from '../../packages/kes-server/src/config/secret.ts'
import { authorityOf, identityOf, keyPairOf } from '../sandbox/certificates.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import {
  CREDENTIALS,
  DEFAULT_KEY,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from '../storage-node/node-under-test.ts'
import { Browser } from './browser.ts'

const admin = keyPairOf('admin')
const reader = keyPairOf('reader')

let keys: KeyServerUnderTest
let node: NodeUnderTest
/** A key server of its own: what the console asks the node does not depend on which one the node has. */
let server: TestServer
let page: Browser

function accessTo(endpoint: string) {
  const { accessKey, secretKey } = CREDENTIALS
  return { endpoint, accessKey: new Secret(accessKey), secretKey: new Secret(secretKey), caPath: undefined }
}

beforeAll(async () => {
  keys = await startKeyServer()
  node = await startNodeUnderTest({ env: keys.env, isSecure: false })
  server = await startTestServer({
    console: { node: accessTo(node.node.url) },
    policies: { readers: { allow: ['/v1/*'], identities: [identityOf(reader)] } },
  })
  page = await new Browser(server.consoleUrl).login(admin)
  expect((await page.send('PUT', '/console/node/bucket/shop')).status).toBe(200)
})

afterAll(async () => {
  await server.stop()
  await node[Symbol.asyncDispose]()
  await keys[Symbol.asyncDispose]()
})

const SSE = 'x-amz-server-side-encryption'
const KMS = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: TENANT_KEY }

function put(key: string, body: Buffer | string, headers = {}) {
  return page.send('PUT', `/console/node/object/shop/${encodeURIComponent(key)}`, {
    body,
    headers: { 'content-length': Buffer.byteLength(body), ...headers },
  })
}

function get(key: string, headers = {}) {
  return page.send('GET', `/console/node/object/shop/${encodeURIComponent(key)}`, { headers })
}

test('the node is reached whichever of the CAs in the file has vouched for it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'console-node-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const caPath = join(folder, 'cas.pem')
  const cas = [await authorityOf('another'), await authorityOf('servers')]
  writeFileSync(caPath, cas.map(({ certificate }) => certificate.toString()).join(''))
  await using secure = await startNodeUnderTest({ env: keys.env })
  await using other = await startTestServer({ console: { node: { ...accessTo(secure.node.url), caPath } } })
  const visitor = await new Browser(other.consoleUrl).login(admin)
  expect((await visitor.send('GET', '/console/node/buckets')).status).toBe(200)
})

describe('buckets', () => {
  test('are listed with their encryption, which is set and removed', async () => {
    await page.send('PUT', '/console/node/bucket/vault')
    const bucketsNow = async () => (await page.send('GET', '/console/node/buckets')).json.buckets
    expect(await bucketsNow()).toEqual([
      { name: 'shop', created: expect.stringMatching(/^\d{4}-.*Z$/), encryption: null },
      { name: 'vault', created: expect.anything(), encryption: null },
    ])
    const path = '/console/node/encryption/vault'
    expect((await page.send('PUT', path, { body: { kind: 'SSE-KMS', key_id: TENANT_KEY } })).status).toBe(200)
    expect(await bucketsNow()).toMatchObject([{}, { encryption: { kind: 'SSE-KMS', key_id: TENANT_KEY } }])
    expect((await page.send('PUT', path, { body: { kind: 'SSE-S3', key_id: null } })).status).toBe(200)
    expect(await bucketsNow()).toMatchObject([{}, { encryption: { kind: 'SSE-S3', key_id: DEFAULT_KEY } }])
    expect((await page.send('DELETE', path)).status).toBe(200)
    expect(await bucketsNow()).toMatchObject([{}, { encryption: null }])
    expect((await page.send('DELETE', '/console/node/bucket/vault')).status).toBe(200)
    expect(await bucketsNow()).toHaveLength(1)
  })

  test.each([
    [{ kind: 'SSE-C' }, 'InvalidBody'],
    [{ kind: 'SSE-KMS' }, 'InvalidBody'],
    [{ kind: 'SSE-KMS', key_id: '</KMSMasterKeyID>' }, 'InvalidBody'],
    [{ kind: 'SSE-KMS', key_id: 1 }, 'InvalidBody'],
  ])('take no encryption such as %j', async (body, code) => {
    expect((await page.send('PUT', '/console/node/encryption/shop', { body })).json.code).toBe(code)
  })

  test.each(['minio', 'Shop', 'a', '..', '%2e%2e', 'shop%3Facl', 'shop%0d%0a', '%'])(
    'are refused under the name %j before the node is asked',
    async (name) => {
      const asked = node.events.length
      const { status } = await page.send('PUT', `/console/node/bucket/${name}`)
      expect(status).toBe(400)
      expect(node.events.length).toBe(asked)
    },
  )

  test("the node's refusals are told with their code", async () => {
    await put('stays', 'x')
    expect((await page.send('DELETE', '/console/node/bucket/shop')).json).toMatchObject({
      code: 'BucketNotEmpty',
    })
    const missing = await page.send('GET', '/console/node/objects/nowhere')
    expect({ status: missing.status, json: missing.json }).toEqual({
      status: 404,
      json: { code: 'NoSuchBucket', message: expect.any(String) },
    })
  })
})

describe('objects', () => {
  test('are stored, listed with their encryption, read and deleted', async () => {
    const body = Buffer.alloc(300_000, 'sealed for good ')
    await put('docs/plain', 'plain', { 'content-type': 'text/html' })
    await put('docs/s3', body, { [SSE]: 'AES256' })
    expect((await put('docs/kms', body, KMS)).json.etag).toMatch(/^[0-9a-f]{32}$/)
    const { json } = await page.send('GET', '/console/node/objects/shop?prefix=docs/&delimiter=/')
    expect(json).toEqual({
      objects: [
        {
          key: 'docs/kms',
          size: 300_000,
          etag: expect.any(String),
          modified: expect.any(String),
          encryption: { kind: 'SSE-KMS', key_id: TENANT_KEY },
        },
        expect.objectContaining({ key: 'docs/plain', encryption: null }),
        expect.objectContaining({ key: 'docs/s3', encryption: { kind: 'SSE-S3', key_id: DEFAULT_KEY } }),
      ],
      prefixes: [],
      next: null,
    })
    const kms = await get('docs/kms')
    expect(kms.body.equals(body)).toBe(true)
    expect(kms.headers[`${SSE}-aws-kms-key-id`]).toContain(TENANT_KEY)
    const range = await get('docs/s3', { range: 'bytes=10-19' })
    expect([range.status, range.text]).toEqual([206, body.subarray(10, 20).toString()])
    for (const name of ['plain', 's3', 'kms']) {
      const deleted = await page.send('DELETE', `/console/node/object/shop/docs/${name}`)
      expect(deleted.status).toBe(200)
    }
    expect((await get('docs/kms')).json.code).toBe('NoSuchKey')
  })

  test('are listed by pages, and by folders', async () => {
    for (const key of ['a/1', 'a/2', 'b', 'c', 'd']) await put(`pages/${key}`, 'x')
    const path = '/console/node/objects/shop?prefix=pages/&delimiter=/&max=2'
    const first = (await page.send('GET', path)).json
    expect(first).toMatchObject({ objects: [{ key: 'pages/b' }], prefixes: ['pages/a/'] })
    const second = (await page.send('GET', `${path}&after=${encodeURIComponent(String(first.next))}`)).json
    expect(second).toMatchObject({
      objects: [{ key: 'pages/c' }, { key: 'pages/d' }],
      prefixes: [],
      next: null,
    })
  })

  test('are never shown as pages of the console itself', async () => {
    await put('page.html', '<script>alert(1)</script>', { 'content-type': 'text/html' })
    const { headers } = await get('page.html')
    expect(headers).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'x-content-type-options': 'nosniff',
      'x-object-content-type': 'text/html',
    })
  })

  test.each([
    '<img src=x onerror=alert(1)>',
    '‮gpj.exe',
    'a b+c%20d&e=f?g#h',
    'quote\'"(!)*~',
    'line\nbreak\ttab',
    '{"json":true}',
    'ünïcödé/𝔘𝔫𝔦/日本',
    'x'.repeat(1024),
    '%2e%2e%2fsecret',
    '.hidden/...dots',
  ])('may have any name, and keep it: %j', async (key) => {
    expect((await put(`odd-${key}`.slice(0, 1024), 'content', { [SSE]: 'AES256' })).status).toBe(200)
    expect((await get(`odd-${key}`.slice(0, 1024))).text).toBe('content')
    const { json } = await page.send(
      'GET',
      `/console/node/explain/shop/${encodeURIComponent(`odd-${key}`.slice(0, 1024))}`,
    )
    expect(json).toMatchObject({ key: `odd-${key}`.slice(0, 1024), kind: 'SSE-S3' })
    expect(
      (
        await page.send(
          'DELETE',
          `/console/node/object/shop/${encodeURIComponent(`odd-${key}`.slice(0, 1024))}`,
        )
      ).status,
    ).toBe(200)
  })

  test.each([
    ['..', 'XMinioInvalidObjectName'],
    ['a/../b', 'XMinioInvalidObjectName'],
    ['a//b', 'XMinioInvalidObjectName'],
    ['nul\0', 'XMinioInvalidObjectName'],
    ['x'.repeat(1025), 'KeyTooLongError'],
  ])('are refused by the node under the name %j', async (key, code) => {
    expect((await put(key, 'x')).json.code).toBe(code)
  })

  test.each([
    '/console/node/object/shop',
    '/console/node/object/shop/',
    '/console/node/object//key',
    '/console/node/object/shop/%ff',
  ])('have a bucket and a name: %s', async (path) => {
    expect((await page.send('GET', path)).status).toBe(400)
  })

  test('need a length to be stored', async () => {
    const { status, json } = await page.send('PUT', '/console/node/object/shop/chunked', {
      body: 'x',
      headers: { 'transfer-encoding': 'chunked' },
    })
    expect({ status, code: json.code }).toEqual({ status: 411, code: 'LengthRequired' })
  })

  test('of a locked key are refused with its state, listed all the same, and read again when it is enabled', async () => {
    const body = Buffer.alloc(100_000, 'x')
    await put('locked', body, KMS)
    await keys.client.disableKey(TENANT_KEY)
    const refused = await get('locked')
    expect({ status: refused.status, json: refused.json }).toEqual({
      status: 403,
      json: {
        code: 'kms:NotAuthorized',
        message: expect.stringContaining(`(key '${TENANT_KEY}' is locked`),
        key_state: 'locked',
      },
    })
    const upload = await put('locked-2', Buffer.alloc(5_000_000), KMS)
    expect(upload.json).toMatchObject({ code: 'kms:NotAuthorized', key_state: 'locked' })
    const listed = await page.send('GET', '/console/node/objects/shop?prefix=locked')
    expect(listed.json).toMatchObject({ objects: [{ key: 'locked', encryption: { kind: 'SSE-KMS' } }] })
    const explained = await page.send('GET', '/console/node/explain/shop/locked')
    expect(explained.json.stages).toContainEqual(
      expect.objectContaining({ name: 'data key', outcome: 'fails' }),
    )
    const head = await page.send('HEAD', '/console/node/object/shop/locked')
    expect([head.status, head.headers['content-length']]).toEqual([200, '100000'])
    await keys.client.enableKey(TENANT_KEY)
    expect((await get('locked')).body.equals(body)).toBe(true)
  })

  test('that would die with a key are counted, the largest first, with uploads and the data of the node', async () => {
    const name = 'doomed'
    await keys.client.createKey(name)
    const headers = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: name }
    for (const size of [1, 1000, 50]) await put(`doomed/${size}`, Buffer.alloc(size), headers)
    await put('doomed/not', 'x', { [SSE]: 'AES256' })
    const upload = await node.ask('POST', '/shop/doomed/upload?uploads', { headers })
    expect(upload.status).toBe(200)
    const { json } = await page.send('GET', `/console/node/objects-of-key/${name}?max=2`)
    expect(json).toEqual({
      count: 3,
      bytes: 1051,
      objects: [
        { bucket: 'shop', key: 'doomed/1000', size: 1000, kind: 'SSE-KMS' },
        { bucket: 'shop', key: 'doomed/50', size: 50, kind: 'SSE-KMS' },
      ],
      truncated: true,
      uploads: 1,
      backend: false,
    })
    const { json: backend } = await page.send('GET', `/console/node/objects-of-key/${DEFAULT_KEY}`)
    expect(backend).toMatchObject({ backend: true, truncated: false, uploads: 0 })
    const { json: none } = await page.send('GET', '/console/node/objects-of-key/nothing')
    expect(none).toEqual({ count: 0, bytes: 0, objects: [], truncated: false, uploads: 0, backend: false })
  })

  test('are audited with who read them', async () => {
    await put('audited', 'x')
    await get('audited')
    const event = server.auditLog().findLast(({ req }) => req?.path === '/console/node/object/shop/audited')
    expect(event).toMatchObject({
      msg: 'object read',
      req: { method: 'GET', ip: '127.0.0.1', identity: server.apiKey.identity },
      res: { code: 200 },
    })
  })

  test('that a browser stops reading or sending leave nothing under way', async () => {
    await put('large', Buffer.alloc(30_000_000))
    const reading = await page.open('GET', '/console/node/object/shop/large')
    reading.on('error', () => undefined).destroy()
    const sending = request(new URL('/console/node/object/shop/half', server.consoleUrl), {
      method: 'PUT',
      headers: { authorization: `Bearer ${page.token}`, 'content-length': 200_000_000 },
    })
    sending.on('error', () => undefined)
    // More than fits between: the node has begun to read.
    for (let sent = 0; sent < 30; sent += 1) {
      if (!sending.write(Buffer.alloc(1_000_000))) await once(sending, 'drain')
    }
    sending.destroy()
    await expect
      .poll(() => node.events.find(({ path }) => path === '/shop/half')?.error?.code, { timeout: 10_000 })
      .toBe('IncompleteBody')
    expect((await get('half')).json.code).toBe('NoSuchKey')
  })
})

test('nothing of the node is for others than the admin', async () => {
  const other = await new Browser(server.consoleUrl).login(reader)
  for (const [method, path] of [
    ['GET', '/console/node/buckets'],
    ['PUT', '/console/node/bucket/theirs'],
    ['DELETE', '/console/node/bucket/shop'],
    ['PUT', '/console/node/encryption/shop'],
    ['GET', '/console/node/objects/shop'],
    ['GET', '/console/node/object/shop/stays'],
    ['PUT', '/console/node/object/shop/stays'],
    ['DELETE', '/console/node/object/shop/stays'],
    ['GET', '/console/node/explain/shop/stays'],
    ['GET', '/console/node/objects-of-key/a'],
  ] as const) {
    const { status, json } = await other.send(method, path)
    expect({ path, status, code: json.code }).toEqual({ path, status: 403, code: 'NotAllowed' })
  }
})

test("the keys of the node's user are in no answer and no log", async () => {
  server.secrets.addBody(Buffer.from(JSON.stringify({ secret: CREDENTIALS.secretKey })))
  const { text } = await page.send('GET', '/console/info')
  expect(JSON.parse(text).node).toEqual({ endpoint: node.node.url })
  expect(text + server.written()).not.toContain(CREDENTIALS.secretKey)
})

describe('a console whose node', () => {
  async function withNode(
    endpoint: string | undefined,
    look: (browser: Browser) => Promise<void>,
  ): Promise<void> {
    await using own = await startTestServer({
      console: endpoint === undefined ? {} : { node: accessTo(endpoint) },
    })
    await look(await new Browser(own.consoleUrl).login(admin))
  }

  test('is not configured answers 404 NodeNotConfigured', async () => {
    await withNode(undefined, async (browser) => {
      const { status, json } = await browser.send('GET', '/console/node/buckets')
      expect({ status, code: json.code }).toEqual({ status: 404, code: 'NodeNotConfigured' })
    })
  })

  test('is down answers 502 NodeUnreachable, and the keys are there', async () => {
    const closed = createServer().listen(0, '127.0.0.1')
    await once(closed, 'listening')
    const { port } = closed.address() as { port: number }
    closed.close()
    await withNode(`http://127.0.0.1:${port}`, async (browser) => {
      const { status, json } = await browser.send('GET', '/console/node/buckets')
      expect({ status, json }).toEqual({
        status: 502,
        json: { code: 'NodeUnreachable', message: 'the storage node does not answer (ECONNREFUSED)' },
      })
      expect((await browser.send('GET', '/v1/key/list/')).status).toBe(200)
    })
  })

  /** Answers every request with these bytes, and ends the connection. */
  async function withLiar(answer: string, look: (browser: Browser) => Promise<void>): Promise<void> {
    const liar = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(answer))
    }).listen(0, '127.0.0.1')
    await once(liar, 'listening')
    const { port } = liar.address() as { port: number }
    await withNode(`http://127.0.0.1:${port}`, look)
    liar.close()
  }

  test('answers nonsense is not taken for a defect of the console', async () => {
    await withLiar('HTTP/1.1 500 x\r\nContent-Length: 9\r\n\r\n<Error><b', async (browser) => {
      const { status, json } = await browser.send('GET', '/console/node/buckets')
      expect({ status, code: json.code }).toEqual({ status: 500, code: 'NodeError' })
    })
    await withLiar('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{"a"', async (browser) => {
      const { status, json } = await browser.send('GET', '/console/node/buckets')
      expect({ status, code: json.code }).toEqual({ status: 502, code: 'NodeError' })
    })
  })

  test('says that the session has ended does not end it', async () => {
    await withLiar('HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n', async (browser) => {
      expect((await browser.send('GET', '/console/node/buckets')).status).toBe(502)
      expect((await browser.send('GET', '/console/info')).status).toBe(200)
    })
  })

  test('breaks off is told, or the download ends with an error', async () => {
    await withLiar('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf', async (browser) => {
      const listed = await browser.send('GET', '/console/node/buckets')
      expect({ status: listed.status, code: listed.json.code }).toEqual({
        status: 502,
        code: 'NodeUnreachable',
      })
      await expect(browser.send('GET', '/console/node/object/shop/half')).rejects.toThrow('aborted')
      expect((await browser.send('PUT', '/console/node/bucket/shop')).status).toBe(200)
      expect((await browser.send('GET', '/console/info')).status).toBe(200)
    })
  })
})
