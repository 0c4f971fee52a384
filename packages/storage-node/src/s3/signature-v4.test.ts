import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readMinioVectors } from '../../../../test/minio-vectors.ts'
import { S3Error } from './errors.ts'
import { type SignedRequest, verifySignature } from './signature-v4.ts'
import { Query, readTarget } from './target.ts'

interface WireCase {
  readonly id: string
  readonly calls: readonly {
    readonly method: string
    readonly url: string
    readonly requestHeaders: Readonly<Record<string, string>>
  }[]
}

const ACCESS_KEY = 'minioadmin'
const secretOf = (accessKey: string) => (accessKey === ACCESS_KEY ? 'minioadmin-secret' : undefined)

interface Recorded {
  readonly id: string
  readonly request: SignedRequest
  readonly timeMs: number
}

/** Signed requests of `mc` and the AWS SDK, as a MinIO server received them. */
const recorded: readonly Recorded[] = readMinioVectors<WireCase>('mc-wire.json').flatMap(({ id, calls }) =>
  calls
    .filter(({ requestHeaders }) => requestHeaders.Authorization !== undefined)
    .map(({ method, url, requestHeaders }, index) => {
      const { path, query } = readTarget(url, requestHeaders.Host ?? '', [])
      const rawHeaders = Object.entries(requestHeaders).flat()
      const stamp = String(requestHeaders['X-Amz-Date'])
      return { id: `${id}/${index}`, request: { method, path, query, rawHeaders }, timeMs: timeOf(stamp) }
    }),
)

function timeOf(stamp: string): number {
  return Date.parse(stamp.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z'))
}

function codeOf(body: () => unknown): string | undefined {
  try {
    body()
  } catch (error) {
    if (error instanceof S3Error) return error.code
    throw error
  }
  return undefined
}

describe('recorded requests of mc and the AWS SDK', () => {
  test('are there', () => {
    expect(recorded.length).toBeGreaterThan(100)
  })

  test.each(recorded)('$id has a valid signature', ({ request, timeMs }) => {
    expect(verifySignature(request, secretOf, timeMs).accessKey).toBe(ACCESS_KEY)
  })
})

describe('a changed request is refused', () => {
  const [first] = recorded.filter(({ request }) => request.method === 'PUT' && request.query.pairs.length > 0)
  if (first === undefined) throw new Error('no recorded request has a query')
  const { request, timeMs } = first
  const withHeader = (name: string, value: string): SignedRequest => ({
    ...request,
    rawHeaders: request.rawHeaders.map((each, index, all) =>
      index % 2 === 1 && all[index - 1]?.toLowerCase() === name ? value : each,
    ),
  })
  const authorization = String(request.rawHeaders[request.rawHeaders.indexOf('Authorization') + 1])

  test.each<[string, SignedRequest, number, string]>([
    ['another method', { ...request, method: 'DELETE' }, timeMs, 'SignatureDoesNotMatch'],
    ['another path', { ...request, path: `${request.path}x` }, timeMs, 'SignatureDoesNotMatch'],
    [
      'another query',
      { ...request, query: new Query([...request.query.pairs, ['versionId', '1']]) },
      timeMs,
      'SignatureDoesNotMatch',
    ],
    ['another host', withHeader('host', 'other:1'), timeMs, 'SignatureDoesNotMatch'],
    ['another payload', withHeader('x-amz-content-sha256', '0'.repeat(64)), timeMs, 'SignatureDoesNotMatch'],
    [
      'a header of S3 that was not signed',
      { ...request, rawHeaders: [...request.rawHeaders, 'X-Amz-Copy-Source', '/b/o'] },
      timeMs,
      'AccessDenied',
    ],
    ['a clock 16 minutes behind', request, timeMs + 16 * 60_000, 'RequestTimeTooSkewed'],
    ['a clock 16 minutes ahead', request, timeMs - 16 * 60_000, 'RequestTimeTooSkewed'],
    [
      'an unknown access key',
      withHeader('authorization', authorization.replace('minioadmin/', 'nobody/')),
      timeMs,
      'InvalidAccessKeyId',
    ],
    [
      'a signature with another digit',
      withHeader(
        'authorization',
        authorization.replace(/.$/, (digit) => (digit === '0' ? '1' : '0')),
      ),
      timeMs,
      'SignatureDoesNotMatch',
    ],
    [
      'a cut signature',
      withHeader('authorization', authorization.slice(0, -1)),
      timeMs,
      'SignatureDoesNotMatch',
    ],
    [
      'another service',
      withHeader('authorization', authorization.replace('/s3/', '/sts/')),
      timeMs,
      'AuthorizationHeaderMalformed',
    ],
    ['signature version 2', withHeader('authorization', 'AWS minioadmin:abcd='), timeMs, 'InvalidRequest'],
    [
      'no signature',
      {
        ...request,
        rawHeaders: request.rawHeaders.filter(
          (_, index, all) => all[index - (index % 2)] !== 'Authorization',
        ),
      },
      timeMs,
      'AccessDenied',
    ],
  ])('%s', (_what, changed, now, code) => {
    expect(codeOf(() => verifySignature(changed, secretOf, now))).toBe(code)
  })

  test('any single byte of the signed headers', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: request.rawHeaders.length / 2 - 1 }), fc.nat(), (pair, at) => {
        const name = String(request.rawHeaders[pair * 2]).toLowerCase()
        const value = String(request.rawHeaders[pair * 2 + 1])
        fc.pre(/SignedHeaders=([^,]+)/.exec(authorization)?.[1]?.split(';').includes(name) === true)
        const index = at % value.length
        const other = value[index] === 'q' ? 'z' : 'q'
        const changed = withHeader(name, value.slice(0, index) + other + value.slice(index + 1))
        expect(codeOf(() => verifySignature(changed, secretOf, timeMs))).toBeDefined()
      }),
    )
  })
})

// The examples of AWS's documentation, whose secret key is published there.
const EXAMPLE_KEY = 'AKIAIOSFODNN7EXAMPLE'
const exampleSecretOf = (accessKey: string) =>
  accessKey === EXAMPLE_KEY ? 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' : undefined
const EXAMPLE_MS = Date.parse('2013-05-24T00:00:00Z')

describe("AWS's presigned example", () => {
  const parameters = {
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${EXAMPLE_KEY}/20130524/us-east-1/s3/aws4_request`,
    'X-Amz-Date': '20130524T000000Z',
    'X-Amz-Expires': '86400',
    'X-Amz-SignedHeaders': 'host',
    'X-Amz-Signature': 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  }
  const presigned = (changes: Record<string, string> = {}): SignedRequest => ({
    method: 'GET',
    path: '/test.txt',
    query: new Query(Object.entries({ ...parameters, ...changes })),
    rawHeaders: ['Host', 'examplebucket.s3.amazonaws.com'],
  })
  const DAY_MS = 86_400_000

  test('is valid from its date to its end, and its body is not signed', () => {
    expect(verifySignature(presigned(), exampleSecretOf, EXAMPLE_MS).payload).toBe('UNSIGNED-PAYLOAD')
    expect(verifySignature(presigned(), exampleSecretOf, EXAMPLE_MS + DAY_MS).accessKey).toBe(EXAMPLE_KEY)
  })

  test.each<[string, Record<string, string>, number, string]>([
    ['expired by a millisecond', {}, EXAMPLE_MS + DAY_MS + 1, 'AccessDenied'],
    ['of the future', {}, EXAMPLE_MS - 16 * 60_000, 'AccessDenied'],
    ['prolonged', { 'X-Amz-Expires': '86401' }, EXAMPLE_MS, 'SignatureDoesNotMatch'],
    ['for more than a week', { 'X-Amz-Expires': '604801' }, EXAMPLE_MS, 'AuthorizationQueryParametersError'],
    [
      'without a number of seconds',
      { 'X-Amz-Expires': '-1' },
      EXAMPLE_MS,
      'AuthorizationQueryParametersError',
    ],
    ['with a malformed date', { 'X-Amz-Date': '2013' }, EXAMPLE_MS, 'AuthorizationQueryParametersError'],
    ['of another algorithm', { 'X-Amz-Algorithm': 'AWS4' }, EXAMPLE_MS, 'AuthorizationQueryParametersError'],
    ['without the host', { 'X-Amz-SignedHeaders': 'date' }, EXAMPLE_MS, 'AccessDenied'],
    ['with more in its query', { versionId: '1' }, EXAMPLE_MS, 'SignatureDoesNotMatch'],
  ])('is refused if it is %s', (_what, changes, now, code) => {
    expect(codeOf(() => verifySignature(presigned(changes), exampleSecretOf, now))).toBe(code)
  })
})
