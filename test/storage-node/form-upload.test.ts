/** A browser's upload: a form whose policy is signed, in place of the request. */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { CREDENTIALS, type NodeUnderTest, startNodeUnderTest } from './node-under-test.ts'

const BOUNDARY = 'boundary0123456789'

let node: NodeUnderTest

beforeAll(async () => {
  node = await startNodeUnderTest()
  await node.ask('PUT', '/data')
})
afterAll(() => node[Symbol.asyncDispose]())

function signedFields(): Record<string, string> {
  const stamp = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')
  const scope = [stamp.slice(0, 8), 'us-east-1', 's3', 'aws4_request']
  const conditions = {
    bucket: 'data',
    key: 'form/name.txt',
    'x-amz-algorithm': 'AWS4-HMAC-SHA256',
    'x-amz-credential': [CREDENTIALS.accessKey, ...scope].join('/'),
    'x-amz-date': stamp,
  }
  const { bucket: _, ...fields } = conditions
  const expiration = new Date(Date.now() + 60_000).toISOString()
  const policy = Buffer.from(JSON.stringify({ expiration, conditions: [conditions] })).toString('base64')
  const key = scope.reduce<string | Buffer>(
    (before, step) => hmac(before, step),
    `AWS4${CREDENTIALS.secretKey}`,
  )
  return { ...fields, policy, 'x-amz-signature': hmac(key, policy).toString('hex') }
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function post(fields: Record<string, string>, file: Buffer) {
  const part = (rest: string) => `--${BOUNDARY}\r\nContent-Disposition: form-data; name=${rest}\r\n`
  const body = Buffer.concat([
    Buffer.from(
      Object.entries(fields)
        .map(([name, value]) => `${part(`"${name}"`)}\r\n${value}\r\n`)
        .join(''),
    ),
    Buffer.from(`${part('"file"; filename="name.txt"')}\r\n`),
    file,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ])
  return node.ask('POST', '/data', {
    headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` },
    body,
  })
}

test('a form with a signed policy makes an object, and one with another signature does not', async () => {
  const file = Buffer.alloc(300_000, 'form')
  expect((await post(signedFields(), file)).status).toBe(204)
  expect((await node.ask('GET', '/data/form/name.txt')).body.equals(file)).toBe(true)
  const wrong = await post({ ...signedFields(), key: 'other', 'x-amz-signature': '0'.repeat(64) }, file)
  expect(wrong.status).toBe(403)
  expect((await node.ask('HEAD', '/data/other')).status).toBe(404)
})
