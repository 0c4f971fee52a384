/** `latchkey-node rotate` and `object explain`, asked of a node that serves, with a real key server behind it. */
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { runCli } from '../../packages/storage-node/src/cli/program.ts'
import {
  CREDENTIALS,
  DEFAULT_KEY,
  type KeyServerUnderTest,
  type NodeUnderTest,
  startKeyServer,
  startNodeUnderTest,
  TENANT_KEY,
} from './node-under-test.ts'

let keyServer: KeyServerUnderTest
let node: NodeUnderTest

beforeAll(async () => {
  keyServer = await startKeyServer()
  node = await startNodeUnderTest({ env: keyServer.env, isSecure: false })
  expect((await node.ask('PUT', '/bucket')).status).toBe(200)
})

afterAll(async () => {
  await node[Symbol.asyncDispose]()
  await keyServer[Symbol.asyncDispose]()
})

async function run(...args: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const env = {
    LATCHKEY_NODE: node.node.url,
    MINIO_ROOT_USER: CREDENTIALS.accessKey,
    MINIO_ROOT_PASSWORD: CREDENTIALS.secretKey,
  }
  const [exitCode, out, errors] = await Promise.all([
    runCli(args, { env, stdout, stderr }).finally(() => {
      stdout.end()
      stderr.end()
    }),
    text(stdout),
    text(stderr),
  ])
  return { exitCode, stdout: out, stderr: errors }
}

const put = (key: string, headers: Record<string, string>) =>
  node.ask('PUT', `/bucket/${encodeURIComponent(key)}`, { headers, body: `content of ${key}` })
const SSE_S3 = { 'x-amz-server-side-encryption': 'AES256' }
const SSE_KMS = { 'x-amz-server-side-encryption': 'aws:kms' }

describe('rotate', () => {
  test('brings a prefix under another key, while reads of it go on', async () => {
    for (let index = 0; index < 5; index++) await put(`a/${index}`, index % 2 === 0 ? SSE_S3 : SSE_KMS)
    await put('a/plain', {})
    await put('b/other', SSE_S3)
    const reads = Array.from({ length: 20 }, (_, index) => node.ask('GET', `/bucket/a%2F${index % 5}`))
    const rotated = await run('rotate', 'bucket/a/', '--to', TENANT_KEY)
    expect(rotated).toEqual({
      exitCode: 0,
      stdout: '5 rotated, 0 left as they were, 1 without a key of the KMS, 0 failed\n',
      stderr: '',
    })
    for (const [index, read] of (await Promise.all(reads)).entries()) {
      expect(read.body.toString()).toBe(`content of a/${index % 5}`)
    }

    await keyServer.client.disableKey(DEFAULT_KEY)
    expect((await node.ask('GET', '/bucket/a%2F0')).status).toBe(200)
    expect((await node.ask('GET', '/bucket/b%2Fother')).status).toBe(403)
    const failing = await run('rotate', 'bucket', '--to', TENANT_KEY, '--json')
    expect(failing.exitCode).toBe(1)
    const uploads = { rotated: 0, left: 0, notApplicable: 0, failed: 0 }
    expect(JSON.parse(failing.stdout)).toEqual({ rotated: 0, left: 5, notApplicable: 1, failed: 1, uploads })
    expect(failing.stderr).toContain(`b/other: under '${DEFAULT_KEY}' still: key '${DEFAULT_KEY}' is locked`)
    await keyServer.client.enableKey(DEFAULT_KEY)
    expect((await run('rotate', 'bucket', '--to', TENANT_KEY)).stdout).toContain('1 rotated, 5 left')
  })

  test('brings uploads in progress along', async () => {
    await node.ask('PUT', '/uploads')
    const begun = await node.ask('POST', '/uploads/key?uploads', { headers: SSE_S3 })
    const id = /<UploadId>(.*?)<\/UploadId>/.exec(begun.body.toString())?.[1]
    const { stdout } = await run('rotate', 'uploads', '--to', TENANT_KEY)
    expect(stdout).toBe(
      '0 rotated, 0 left as they were, 0 without a key of the KMS, 0 failed\n' +
        'Uploads in progress: 1 rotated, 0 left as they were, 0 without a key of the KMS, 0 failed\n',
    )
    await keyServer.client.disableKey(DEFAULT_KEY)
    const part = await node.ask('PUT', `/uploads/key?partNumber=1&uploadId=${id}`, { body: 'content' })
    expect(part.status).toBe(200)
    await keyServer.client.enableKey(DEFAULT_KEY)
    const body = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${part.headers.etag}</ETag></Part></CompleteMultipartUpload>`
    expect((await node.ask('POST', `/uploads/key?uploadId=${id}`, { body })).status).toBe(200)
    expect((await run('rotate', 'uploads', '--to', TENANT_KEY)).stdout).toMatch(/^0 rotated, 1 left/)
    expect((await node.ask('GET', '/uploads/key')).body.toString()).toBe('content')
  })

  test('to a key that is not there changes nothing and says so', async () => {
    const { exitCode, stderr } = await run('rotate', 'bucket', '--to', 'nothing')
    expect({ exitCode, stderr }).toEqual({
      exitCode: 1,
      stderr: 'Error: key with given key ID does not exist\n',
    })
    expect((await run('rotate', 'nothing', '--to', TENANT_KEY)).stderr).toContain('bucket does not exist')
    expect((await run('rotate', 'bucket')).exitCode).toBe(2)
  })

  test('goes over many pages', async () => {
    const keys = Array.from({ length: 450 }, (_, index) => `many/${index}`)
    for (let at = 0; at < keys.length; at += 50) {
      await Promise.all(keys.slice(at, at + 50).map((key) => put(key, SSE_KMS)))
    }
    expect((await run('rotate', 'bucket/many/', '--to', TENANT_KEY)).stdout).toMatch(/^450 rotated, 0 left/)
    expect((await run('rotate', 'bucket/many/', '--to', TENANT_KEY)).stdout).toMatch(/^0 rotated, 450 left/)
  })

  test('is for the root user alone', async () => {
    const as = { ...CREDENTIALS, secretKey: 'wrong-secret' }
    const answer = await node.ask('POST', '/minio/latchkey/v1/rotate?bucket=bucket&to=x', { as })
    expect(answer.status).toBe(403)
    expect(
      (await node.ask('GET', '/minio/latchkey/v1/explain?bucket=bucket&key=a', { as: null })).status,
    ).toBe(403)
  })
})

describe('object explain', () => {
  test('shows the chain, and where it breaks', async () => {
    await put('dir/ü \u001b[31m', { ...SSE_KMS, 'x-amz-server-side-encryption-context': 'eyJhIjoiYiJ9' })
    const { exitCode, stdout } = await run('object', 'explain', 'bucket/dir/ü \u001b[31m')
    expect(exitCode).toBe(0)
    expect(stdout).not.toContain('\u001b')
    expect(stdout).toContain('object        bucket/dir/ü \\u001b[31m\n')
    expect(stdout).toContain(`external key  ${DEFAULT_KEY}\n`)
    expect(stdout).toContain('part 1        23 bytes, 55 as stored, DARE 2.0, AES-256-GCM\n')
    expect(stdout.match(/^✓ .*opens$/gm)).toHaveLength(5)

    await keyServer.client.disableKey(DEFAULT_KEY)
    const locked = await run('object', 'explain', 'bucket/dir/ü \u001b[31m')
    expect(locked.stdout).toContain(`✗ data key    fails: key '${DEFAULT_KEY}' is locked`)
    expect(locked.stdout).toContain('– object key  not tried: the data key did not open\n')
    await keyServer.client.enableKey(DEFAULT_KEY)
    const { stdout: json } = await run('object', 'explain', 'bucket/dir/ü \u001b[31m', '--json')
    expect(JSON.parse(json)).toMatchObject({ kind: 'SSE-KMS', externalKey: DEFAULT_KEY, size: 23 })
  })

  test('of what is not there, or is no object, is refused', async () => {
    expect((await run('object', 'explain', 'bucket/nothing')).stderr).toContain('key does not exist')
    expect((await run('object', 'explain', 'bucket')).stderr).toContain('BUCKET/KEY')
  })
})

describe('what a console shows', () => {
  async function view(name: string, query = ''): Promise<{ readonly [field: string]: unknown }> {
    const answer = await node.ask('GET', `/minio/latchkey/v1/${name}?${query}`)
    expect(answer.status).toBe(200)
    return JSON.parse(answer.body.toString())
  }

  test('of a bucket whose settings lie under a locked key is that nobody knows its encryption', async () => {
    expect((await node.ask('PUT', '/settings')).status).toBe(200)
    const rule = '<SSEAlgorithm>AES256</SSEAlgorithm>'
    const body = `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault>${rule}</ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>`
    expect((await node.ask('PUT', '/settings?encryption', { body })).status).toBe(200)
    await node.restart()
    await keyServer.client.disableKey(DEFAULT_KEY)
    const locked = await view('buckets')
    expect(locked.buckets).toContainEqual(
      expect.objectContaining({ name: 'settings', encryption: { kind: 'unknown' } }),
    )
    expect(await view('objects-of-key', `key=${DEFAULT_KEY}&max=0`)).toMatchObject({ backend: true })
    await keyServer.client.enableKey(DEFAULT_KEY)
    const enabled = await view('buckets')
    expect(enabled.buckets).toContainEqual(
      expect.objectContaining({ name: 'settings', encryption: { kind: 'SSE-S3', key_id: DEFAULT_KEY } }),
    )
  })

  test('of an object moves with it to another key', async () => {
    await put('moves', SSE_KMS)
    const names = async (key: string) =>
      JSON.stringify((await view('objects-of-key', `key=${key}&max=1000`)).objects)
    expect(await names(DEFAULT_KEY)).toContain('"moves"')
    expect((await run('rotate', 'bucket/moves', '--to', TENANT_KEY)).exitCode).toBe(0)
    expect(await names(DEFAULT_KEY)).not.toContain('"moves"')
    expect(await names(TENANT_KEY)).toContain('"moves"')
  })

  test.each(['buckets', 'objects?bucket=bucket', 'objects-of-key?key=a'])(
    'is for the root user alone: %s',
    async (path) => {
      expect((await node.ask('GET', `/minio/latchkey/v1/${path}`, { as: null })).status).toBe(403)
    },
  )
})
