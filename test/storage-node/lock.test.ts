/** What becomes of data at the node when its key is locked, resumed and erased at the key server. */
import { createHash } from 'node:crypto'
import { request } from 'node:https'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { signRequest } from '../../packages/storage-node/src/s3/sign-request.ts'
import { authorityOf } from '../sandbox/certificates.ts'
import {
  CREDENTIALS,
  DEFAULT_KEY,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from './node-under-test.ts'

const SSE = 'x-amz-server-side-encryption'
const KMS = { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: TENANT_KEY }
const LARGE = 24 * 1024 * 1024
/** Until the buffers on the way to a client that does not read are full. */
const STALL_MS = 300

let keys: KeyServerUnderTest
let node: NodeUnderTest

beforeAll(async () => {
  keys = await startKeyServer()
  node = await startNodeUnderTest({ env: keys.env, kms: { retries: 0 } })
  await node.ask('PUT', '/data')
  await node.ask('PUT', '/data/kms', { headers: KMS, body: 'tenant' })
  await node.ask('PUT', '/data/s3', { headers: { [SSE]: 'AES256' }, body: 'default' })
  await node.ask('PUT', '/data/plain', { body: 'plain' })
  await node.ask('PUT', '/data/large', { headers: KMS, body: Buffer.alloc(LARGE, 7) })
})
afterAll(async () => {
  await node[Symbol.asyncDispose]()
  await keys[Symbol.asyncDispose]()
})

/** Begins to read the large object and reads on only when told. */
async function beginRead() {
  const ca = (await authorityOf('servers')).certificate.toString()
  const { host, hostname, port } = new URL(node.node.url)
  const headers = signRequest(CREDENTIALS, {
    method: 'GET',
    target: '/data/large',
    host,
    headers: {},
    body: Buffer.alloc(0),
    now: Date.now(),
  })
  let bytes = 0
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
  const { promise: ended, resolve: end } = Promise.withResolvers<'whole' | 'cut'>()
  const { promise: goesOn, resolve: goOn } = Promise.withResolvers<void>()
  const exchange = request({ hostname, port, path: '/data/large', headers, ca, agent: false }, (response) => {
    response.once('data', (chunk: Buffer) => {
      bytes += chunk.length
      response.pause()
      begin()
      void goesOn.then(() => {
        response.on('data', (more: Buffer) => {
          bytes += more.length
        })
        response.resume()
      })
    })
    response.on('end', () => end('whole'))
    response.on('error', () => end('cut'))
  })
  exchange.on('error', () => end('cut'))
  exchange.end()
  await begun
  return { ended, goOn, bytes: () => bytes }
}

test('a locked key refuses what it protects, and nothing else, until it is enabled', async () => {
  await keys.client.disableKey(TENANT_KEY)
  const locked = await node.ask('GET', '/data/kms')
  expect(locked).toMatchObject({ status: 403, headers: { 'x-latchkey-key-state': 'locked' } })
  expect(locked.body.toString()).toContain('<Code>kms:NotAuthorized</Code>')
  expect(locked.body.toString()).toContain('is disabled')
  expect((await node.ask('PUT', '/data/new', { headers: KMS, body: 'x' })).status).toBe(403)
  expect((await node.ask('HEAD', '/data/kms')).status).toBe(200)
  expect((await node.ask('GET', '/data/s3')).body.toString()).toBe('default')
  expect((await node.ask('GET', '/data/plain')).body.toString()).toBe('plain')
  expect((await node.ask('GET', '/data?list-type=2')).body.toString()).toContain('<Key>kms</Key>')
  expect((await node.ask('HEAD', '/data/new')).status).toBe(404)

  await keys.client.enableKey(TENANT_KEY)
  expect((await node.ask('GET', '/data/kms')).body.toString()).toBe('tenant')
})

test('a listing goes on without the default key, with tags for the ETags, and has them again with it', async () => {
  const md5 = createHash('md5').update('default').digest('hex')
  const listed = async () => (await node.ask('GET', '/data?list-type=2&prefix=s3')).body.toString()
  expect(await listed()).toContain(md5)
  await keys.client.disableKey(DEFAULT_KEY)
  expect(await listed()).not.toContain(md5)
  expect(await listed()).toMatch(/<ETag>&#34;[0-9a-f]{32}&#34;<\/ETag>/)
  await keys.client.enableKey(DEFAULT_KEY)
  expect(await listed()).toContain(md5)
})

test('a read under way is cut once its key is locked, and one of another key is not', async () => {
  const read = await beginRead()
  await keys.client.disableKey(TENANT_KEY)
  await expect
    .poll(() => node.events.at(-1))
    .toMatchObject({ path: '/data/large', error: { code: 'kms:NotAuthorized' } })
  read.goOn()
  expect(await read.ended).toBe('cut')
  expect(read.bytes()).toBeLessThan(LARGE)
  await keys.client.enableKey(TENANT_KEY)

  const other = await beginRead()
  await keys.client.disableKey(DEFAULT_KEY)
  other.goOn()
  expect(await other.ended).toBe('whole')
  expect(other.bytes()).toBe(LARGE)
  await keys.client.enableKey(DEFAULT_KEY)
})

test('a read is cut although its client takes nothing any more', async () => {
  const read = await beginRead()
  await delay(STALL_MS)
  const eventsBefore = node.events.length
  await keys.client.disableKey(TENANT_KEY)
  await expect
    .poll(() => node.events.slice(eventsBefore))
    .toMatchObject([{ path: '/data/large', error: { code: 'kms:NotAuthorized' } }])
  read.goOn()
  expect(await read.ended).toBe('cut')
  await keys.client.enableKey(TENANT_KEY)
})

test('an erased key ends its data, also under a new key of its name', async () => {
  await keys.client.deleteKey(TENANT_KEY)
  const erased = await node.ask('GET', '/data/kms')
  expect(erased).toMatchObject({ status: 404, headers: { 'x-latchkey-key-state': 'erased' } })
  expect(erased.body.toString()).toContain('<Code>kms:KeyNotFound</Code>')
  await keys.client.createKey(TENANT_KEY)
  const other = await node.ask('GET', '/data/kms')
  expect(other.status).toBe(400)
  expect(other.body.toString()).toContain('<Code>kms:InvalidCiphertextException</Code>')
  expect((await node.ask('DELETE', '/data/kms')).status).toBe(204)
})
