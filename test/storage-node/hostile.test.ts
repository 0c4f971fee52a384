/** Clients of the node that send what no client should: each is answered clearly or cut off, and changes nothing. */
import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { signRequest } from '../../packages/storage-node/src/s3/sign-request.ts'
import { CREDENTIALS, type NodeUnderTest, startNodeUnderTest } from './node-under-test.ts'

let node: NodeUnderTest
beforeAll(async () => {
  node = await startNodeUnderTest({ isSecure: false })
  await node.ask('PUT', '/hostile')
  await node.ask('PUT', '/hostile/kept', { body: 'kept' })
})
afterAll(() => node[Symbol.asyncDispose]())

/** Sends bytes as they are, and reads until the node closes the connection, or has answered whole. */
function exchange(bytes: Buffer | string, { ends = true } = {}): Promise<string> {
  const { port, hostname } = new URL(node.node.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNRESET' || error.code === 'EPIPE') resolve(received)
      else reject(error)
    })
    socket.on('close', () => resolve(received))
    if (ends) socket.end(bytes)
    else socket.write(bytes)
  })
}

interface RawOptions {
  /** Signed in place of what is sent. */
  readonly payload?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly contentLength?: number
}

/** A signed PUT as bytes, whose body is not what was signed. */
function rawPut(target: string, body: Buffer | string, options: RawOptions = {}): Buffer {
  const { host } = new URL(node.node.url)
  const bytes = Buffer.from(body)
  const signed = signRequest(CREDENTIALS, {
    method: 'PUT',
    target,
    host,
    headers: options.headers ?? {},
    body: Buffer.from(options.payload ?? bytes),
    now: Date.now(),
  })
  const lines = Object.entries(signed).map(([name, value]) => `${name}: ${value}`)
  const length = options.contentLength ?? bytes.length
  return Buffer.concat([
    Buffer.from(
      `PUT ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\ncontent-length: ${length}\r\nconnection: close\r\n\r\n`,
    ),
    bytes,
  ])
}

const codeOf = (answer: string) => /<Code>(.*?)<\/Code>/.exec(answer)?.[1]
const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])

/** Everything in the data folder, by its path within. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => statSync(join(folder, name)).isFile())
    .sort()
}

describe('a body that is not what was promised', () => {
  test.each<[string, () => Buffer, string]>([
    [
      'is another than was signed',
      () => rawPut('/hostile/x', 'tampered', { payload: 'original' }),
      'XAmzContentSHA256Mismatch',
    ],
    [
      'has another MD5',
      () =>
        rawPut('/hostile/x', 'body', {
          headers: { 'content-md5': createHash('md5').update('other').digest('base64') },
        }),
      'BadDigest',
    ],
    [
      'has an MD5 that is none',
      () => rawPut('/hostile/x', 'body', { headers: { 'content-md5': 'abc' } }),
      'InvalidDigest',
    ],
    [
      'has another checksum',
      () => rawPut('/hostile/x', 'body', { headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } }),
      'BadDigest',
    ],
    [
      'has a checksum of another length',
      () => rawPut('/hostile/x', 'body', { headers: { 'x-amz-checksum-sha256': 'AAAAAA==' } }),
      'InvalidRequest',
    ],
    [
      'has two checksums',
      () =>
        rawPut('/hostile/x', 'body', {
          headers: { 'x-amz-checksum-crc32': 'AAAAAA==', 'x-amz-checksum-sha1': 'AAAAAA==' },
        }),
      'InvalidRequest',
    ],
  ])('if it %s, stores nothing', async (_what, request, code) => {
    expect(codeOf(await exchange(request(), { ends: false }))).toBe(code)
    expect((await node.ask('HEAD', '/hostile/x')).status).toBe(404)
  })

  test('if it ends too early, stores nothing, and no file is left', async () => {
    const before = filesOf(node.folder)
    await exchange(rawPut('/hostile/x', randomBytes(100_000), { contentLength: 200_000 }))
    await expect.poll(() => node.events.at(-1)?.error?.code).toBe('IncompleteBody')
    expect((await node.ask('HEAD', '/hostile/x')).status).toBe(404)
    await expect
      .poll(() => filesOf(node.folder).filter((name) => !name.startsWith('index.db')))
      .toEqual(before.filter((name) => !name.startsWith('index.db')))
  })

  test('over an object that is there, leaves it as it was', async () => {
    await exchange(rawPut('/hostile/kept', 'tampered', { payload: 'original' }), { ends: false })
    expect((await node.ask('GET', '/hostile/kept')).body.toString()).toBe('kept')
  })
})

describe('a target', () => {
  test.each([
    '/hostile/../../etc/passwd',
    '/hostile/..%2f..%2fetc%2fpasswd',
    '/hostile/%2e%2e/%2e%2e/etc/passwd',
    '/hostile/a%00b',
    '/hostile//double',
    '/../hostile/kept',
    '/hostile/%ff%fe',
    '/hostile/%',
  ])('%s reaches nothing and makes nothing', async (target) => {
    const before = filesOf(node.folder).length
    for (const method of ['GET', 'PUT', 'DELETE', 'HEAD']) {
      const { host } = new URL(node.node.url)
      // Signed for what it says, and sent as it stands.
      const signed = signRequest(CREDENTIALS, {
        method,
        target,
        host,
        headers: {},
        body: Buffer.alloc(0),
        now: Date.now(),
      })
      const lines = Object.entries(signed).map(([name, value]) => `${name}: ${value}`)
      const answer = await exchange(
        `${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`,
      )
      expect([400, 403, 404]).toContain(statusOf(answer))
      expect(answer).not.toContain('root:')
    }
    expect(filesOf(node.folder).length).toBe(before)
  })

  test('of any Unicode is one key, of any length up to 1,024 bytes, and no part of a path on the drive', async () => {
    const keys = fc
      .string({ unit: 'grapheme', minLength: 1, maxLength: 200 })
      .map((text) => text.toWellFormed())
      .filter((key) => {
        const segments = key.replace(/\/$/, '').split('/')
        const isClean = segments.every((segment) => !['', '.', '..'].includes(segment))
        return isClean && !key.includes('\0') && Buffer.byteLength(key) <= 1024
      })
    await fc.assert(
      fc.asyncProperty(keys, async (key) => {
        const target = `/hostile/${key.split('/').map(encodeURIComponent).join('/')}`
        expect((await node.ask('PUT', target, { body: key })).status).toBe(200)
        expect((await node.ask('GET', target)).body.toString()).toBe(key)
        expect((await node.ask('DELETE', target)).status).toBe(204)
      }),
      { numRuns: 40 },
    )
    for (const name of filesOf(node.folder)) expect(name).toMatch(/^[\w./-]+$/)
  })

  test('of more than 1,024 bytes is refused', async () => {
    const longest = 'k'.repeat(1024)
    expect((await node.ask('PUT', `/hostile/${longest}`, { body: '' })).status).toBe(200)
    const longer = await node.ask('PUT', `/hostile/${longest}k`, { body: '' })
    expect(codeOf(longer.body.toString())).toBe('KeyTooLongError')
  })
})

test('an upload that is under way at a stop is gone, and the node starts again over its data', async () => {
  const { port, hostname } = new URL(node.node.url)
  const slow = connect(Number(port), hostname).on('error', () => {})
  slow.write(rawPut('/hostile/stopped', 'x', { contentLength: 1000 }))
  setTimeout(() => slow.destroy(), 500)
  await node.restart()
  expect((await node.ask('HEAD', '/hostile/stopped')).status).toBe(404)
  expect((await node.ask('GET', '/hostile/kept')).status).toBe(200)
})

describe('a request', () => {
  test('with headers of more than 32 KiB is 431', async () => {
    const answer = await exchange(`GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(40_000)}\r\n\r\n`)
    expect(statusOf(answer)).toBe(431)
  })

  test('with more than 2 KiB of metadata is refused', async () => {
    const headers = { 'x-amz-meta-long': 'a'.repeat(2049) }
    const answer = await node.ask('PUT', '/hostile/x', { headers, body: '' })
    expect(codeOf(answer.body.toString())).toBe('MetadataTooLarge')
  })

  test.each(['GARBAGE\r\n\r\n', '\x16\x03\x01\x02\x00\x01\x00', 'GET / HTTP/9.9\r\n\r\n'])(
    'that is none, %j, is cut off or 400',
    async (bytes) => {
      const status = statusOf(await exchange(bytes))
      expect([Number.NaN, 400, 505]).toContainEqual(status)
    },
  )

  test('of any bytes never stops the node', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
        await exchange(Buffer.from(bytes))
      }),
      { numRuns: 50 },
    )
    expect((await node.ask('GET', '/hostile/kept')).status).toBe(200)
  })

  test.each([
    [
      'a bomb of entities',
      '<!DOCTYPE D [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>',
    ],
    ['elements nested without end', `${'<Delete>'.repeat(20_000)}`],
    ['nothing', ''],
    ['another document', '<CompleteMultipartUpload/>'],
    ['too many objects', `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1001)}</Delete>`],
  ])('whose document is %s is malformed', async (_what, body) => {
    const answer = await node.ask('POST', '/hostile?delete', { body })
    expect(answer.status).toBe(400)
    expect(codeOf(answer.body.toString())).toBe('MalformedXML')
  })

  test.each([
    ['/hostile?list-type=2&max-keys=-1', 'InvalidArgument'],
    ['/hostile?list-type=2&max-keys=x', 'InvalidArgument'],
    ['/hostile?list-type=2&continuation-token=%25', 'InvalidArgument'],
    ['/hostile?list-type=2&encoding-type=xml', 'InvalidArgument'],
    ['/hostile/kept?partNumber=0', 'InvalidArgument'],
    ['/hostile/kept?partNumber=10001', 'InvalidArgument'],
    ['/hostile/kept?partNumber=2', 'InvalidPartNumber'],
    ['/hostile/kept?versionId=abc', 'NoSuchVersion'],
    ['/hostile?policyStatus', 'NotImplemented'],
  ])('for %s is %s', async (target, code) => {
    expect(codeOf((await node.ask('GET', target)).body.toString())).toBe(code)
  })

  test('that sends its body slower than slowly does not keep others waiting', async () => {
    const { port, hostname } = new URL(node.node.url)
    const slow = connect(Number(port), hostname).on('error', () => {})
    slow.write(rawPut('/hostile/slow', 'x', { contentLength: 1000 }))
    const answers = await Promise.all(Array.from({ length: 50 }, () => node.ask('GET', '/hostile/kept')))
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    slow.destroy()
    await expect.poll(() => node.events.some(({ path }) => path === '/hostile/slow')).toBe(true)
    expect((await node.ask('HEAD', '/hostile/slow')).status).toBe(404)
  })
})

test('what is signed is not logged: neither queries nor keys', async () => {
  await node.ask('GET', '/hostile/kept?X-Amz-Signature=secret-signature')
  expect(JSON.stringify(node.events)).not.toContain('secret-signature')
  expect(JSON.stringify(node.events)).not.toContain(CREDENTIALS.secretKey)
})
