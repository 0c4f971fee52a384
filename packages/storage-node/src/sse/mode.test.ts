import { createHash, randomBytes } from 'node:crypto'
import { encodeContext } from '@latchkey/kms-client/kms'
import { describe, expect, test } from 'vitest'
import { readMinioVectors } from '../../../../test/minio-vectors.ts'
import { EncryptionHeaderError, IncompatibleEncryptionError } from './errors.ts'
import {
  type Headers,
  parseCopySourceKey,
  parseEncryptionRequest,
  parseKind,
  parseReadKey,
  requestedKind,
  requestedKinds,
} from './mode.ts'

interface HeaderCase {
  readonly id: string
  readonly headers: Readonly<Record<string, string>>
  readonly sseS3Requested: boolean
  readonly sseKmsRequested: boolean
  readonly sseCRequested: boolean
  readonly type?: string
  readonly keyID?: string
  readonly context?: string
  readonly error?: string
}

function lowerCase(headers: Readonly<Record<string, string>>): Headers {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

describe('recorded headers', () => {
  test.each(readMinioVectors<HeaderCase>('sse-headers.json'))('$id $headers', (row) => {
    const headers = lowerCase(row.headers)
    expect(requestedKinds(headers)).toEqual({
      s3: row.sseS3Requested,
      kms: row.sseKmsRequested,
      c: row.sseCRequested,
    })
    const kind = requestedKind(headers)
    expect(kind).toBe(row.type)
    if (kind === undefined) return
    if (row.error !== undefined) {
      expect(() => parseKind(headers, kind)).toThrow(new EncryptionHeaderError(row.error))
      return
    }
    const request = parseKind(headers, kind)
    if (request.kind === 'SSE-KMS') {
      expect(request.externalKey ?? '').toBe(row.keyID)
      expect(encodeContext(request.context).toString()).toBe(row.context)
    }
  })
})

const KEY = randomBytes(32)
const md5Of = (key: Uint8Array) => createHash('md5').update(key).digest('base64')
const SSE = 'x-amz-server-side-encryption'
const COPY_SSE = 'x-amz-copy-source-server-side-encryption'
const customer = (prefix: string, key: Uint8Array = KEY) => ({
  [`${prefix}-customer-algorithm`]: 'AES256',
  [`${prefix}-customer-key`]: Buffer.from(key).toString('base64'),
  [`${prefix}-customer-key-md5`]: md5Of(key),
})
const context = (json: string) => ({
  [SSE]: 'aws:kms',
  [`${SSE}-context`]: Buffer.from(json).toString('base64'),
})

describe('a write', () => {
  test.each([
    [{}, undefined],
    [{ [SSE]: 'AES256' }, { kind: 'SSE-S3' }],
    [{ [SSE]: 'aes256' }, { kind: 'SSE-S3' }],
    [{ [SSE]: 'aws:kms' }, { kind: 'SSE-KMS', externalKey: undefined, context: {} }],
    [
      { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'arn:aws:kms:my-key' },
      { kind: 'SSE-KMS', externalKey: 'my-key', context: {} },
    ],
    [
      { [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'arn:aws:kms:arn:aws:kms:my-key' },
      { kind: 'SSE-KMS', externalKey: 'arn:aws:kms:my-key', context: {} },
    ],
    [context('{"b":"1", "a":"2"}'), { kind: 'SSE-KMS', externalKey: undefined, context: { a: '2', b: '1' } }],
    [context('null'), { kind: 'SSE-KMS', externalKey: undefined, context: {} }],
    [context('{"a":null}'), { kind: 'SSE-KMS', externalKey: undefined, context: { a: '' } }],
    [customer(SSE), { kind: 'SSE-C', customerKey: { key: KEY, md5: md5Of(KEY) } }],
  ] as const)('with %j', (headers: Headers, request) => {
    const parsed = parseEncryptionRequest(headers)
    expect(parsed && 'context' in parsed ? { ...parsed, context: { ...parsed.context } } : parsed).toEqual(
      request,
    )
  })

  test.each([
    [{ [SSE]: 'AES256', [`${SSE}-aws-kms-key-id`]: 'k' }, 'The encryption method is not supported'],
    [{ [`${SSE}-aws-kms-key-id`]: 'k' }, 'The encryption method is not supported'],
    [{ [SSE]: '' }, 'The encryption method is not supported'],
    [{ [SSE]: 'aws:kms', [`${SSE}-aws-kms-key-id`]: 'k ' }, 'KMS KeyID contains unsupported characters'],
    [{ [SSE]: 'aws:kms', [`${SSE}-context`]: 'ab!=' }, 'illegal base64 data at input byte 2'],
    [context('not JSON'), 'the encryption context is not a JSON object of strings'],
    [
      context('7'),
      'ReadMapCB: expect { or n, but found 7, error found in #1 byte of ...|7|..., bigger context ...|7|...',
    ],
    [context(''), 'the encryption context is not a JSON object of strings'],
    [context('{"a":"1"'), 'the encryption context is not a JSON object of strings'],
    [
      context('{"first":"1", "second": [2]}'),
      'ReadString: expects " or n, but found [, error found in #10 byte of ...|second": [2]}|..., bigger context ...|{"first":"1", "second": [2]}|...',
    ],
    [{ ...customer(SSE), [`${SSE}-customer-algorithm`]: 'aes256' }, 'The SSE-C algorithm is not supported'],
    [customer(SSE, KEY.subarray(1)), 'The SSE-C client key is invalid'],
    [{ ...customer(SSE), [`${SSE}-customer-key`]: '!' }, 'The SSE-C client key is invalid'],
  ] as const)('with %j is refused: %s', (headers: Headers, message) => {
    expect(() => parseEncryptionRequest(headers)).toThrow(new EncryptionHeaderError(message))
  })

  test('with a customer key beside another kind is refused', () => {
    for (const algorithm of ['AES256', 'aws:kms', '']) {
      const headers = { ...customer(SSE), [SSE]: algorithm }
      expect(() => parseEncryptionRequest(headers)).toThrow(IncompatibleEncryptionError)
    }
  })

  test('keeps the context apart from what every object has', () => {
    const request = parseEncryptionRequest(context('{"__proto__":"a","constructor":"b"}'))
    expect(request?.kind === 'SSE-KMS' && Object.keys(request.context)).toEqual(['__proto__', 'constructor'])
  })
})

describe('a read', () => {
  test('takes the customer key, and that of a copy from headers of its own', () => {
    const other = randomBytes(32)
    const headers = { ...customer(SSE), ...customer(COPY_SSE, other) }
    expect(parseReadKey(headers)).toEqual({ key: KEY, md5: md5Of(KEY) })
    expect(parseCopySourceKey(headers)).toEqual({ key: other, md5: md5Of(other) })
    expect(parseReadKey({ [SSE]: 'AES256' })).toBeUndefined()
    expect(parseCopySourceKey(customer(SSE))).toBeUndefined()
  })

  const must = 'Requests specifying Server Side Encryption with Customer provided keys must provide'
  test.each([
    ['algorithm', 'AES128', `${must} a valid encryption algorithm.`],
    ['key', '', `${must} an appropriate secret key.`],
    ['key-md5', '', `${must} the client calculated MD5 of the secret key.`],
    ['key', 'QUJD', 'The secret key was invalid for the specified algorithm.'],
    [
      'key-md5',
      md5Of(Buffer.from('other')),
      'The calculated MD5 hash of the key did not match the hash that was provided.',
    ],
  ])('with %s %j is refused: %s', (name, value, message) => {
    const headers = { ...customer(SSE), [`${SSE}-customer-${name}`]: value }
    expect(() => parseReadKey(headers)).toThrow(new EncryptionHeaderError(message))
  })
})
