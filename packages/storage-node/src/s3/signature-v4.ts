/**
 * Signature version 4, checked: who signed this request, and what was signed.
 *
 * The signature comes in the Authorization header or in the query of a presigned URL. What it covers is rebuilt from
 * the decoded request, so it does not matter how a client has encoded its path.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
 */
import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto'
import { S3Error } from './errors.ts'
import type { Query } from './target.ts'
import { encodeUri } from './uri.ts'

const ALGORITHM = 'AWS4-HMAC-SHA256'
const SKEW_MS = 15 * 60 * 1000
const PRESIGN_SECONDS_MAX = 7 * 24 * 3600

export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD'
const EMPTY_SHA256 = sha256('')

export interface SignedRequest {
  readonly method: string
  /** Decoded. */
  readonly path: string
  readonly query: Query
  /** As node:http gives them: names and values in turn, as sent. */
  readonly rawHeaders: readonly string[]
}

/** Which secret key belongs to an access key. */
export type SecretOf = (accessKey: string) => string | undefined

export interface Scope {
  /** `YYYYMMDD` */
  readonly date: string
  readonly region: string
  readonly service: string
}

/** What a verified signature says. */
export interface Verified {
  readonly accessKey: string
  /** What `X-Amz-Content-Sha256` promises of the body. */
  readonly payload: string
  /** For the signatures of chunks, which go on from here. */
  readonly chunkSigner: ChunkSigner
}

/**
 * @param now - milliseconds since 1970.
 * @throws S3Error 403 or 400: no signature, an unknown key, a wrong signature, a clock that is off, an expired URL.
 */
export function verifySignature(request: SignedRequest, secretOf: SecretOf, now: number): Verified {
  const headers = collectHeaders(request.rawHeaders)
  const authorization = headers.get('authorization')
  if (authorization !== undefined) return verifyHeader(request, headers, authorization, secretOf, now)
  if (request.query.has('X-Amz-Algorithm')) return verifyPresigned(request, headers, secretOf, now)
  if (request.query.has('AWSAccessKeyId')) throw unsupported()
  throw S3Error.of('AccessDenied')
}

function verifyHeader(
  request: SignedRequest,
  headers: Headers,
  authorization: string,
  secretOf: SecretOf,
  now: number,
): Verified {
  if (!authorization.startsWith(`${ALGORITHM} `)) throw unsupported()
  const fields = new Map(
    authorization
      .slice(ALGORITHM.length)
      .split(',')
      .map((field) => {
        const at = field.indexOf('=')
        return [field.slice(0, at).trim(), field.slice(at + 1).trim()] as const
      }),
  )
  const credential = readCredential(fields.get('Credential') ?? '', 'AuthorizationHeaderMalformed')
  const signedNames = (fields.get('SignedHeaders') ?? '').split(';')
  const signature = fields.get('Signature') ?? ''
  const time = headers.get('x-amz-date') ?? headers.get('date') ?? ''
  const timeMs = readTime(time)
  if (timeMs === undefined) {
    throw S3Error.of('AccessDenied', {
      message: 'AWS authentication requires a valid Date or x-amz-date header',
    })
  }
  if (Math.abs(now - timeMs) > SKEW_MS) throw S3Error.of('RequestTimeTooSkewed')
  const stamp = formatTime(timeMs)
  if (!stamp.startsWith(credential.scope.date)) {
    throw S3Error.of('AuthorizationHeaderMalformed', {
      message:
        'The authorization header is malformed; the date of the credential is not that of the request.',
    })
  }
  assertAllSigned(headers, signedNames)
  const payload = headers.get('x-amz-content-sha256') ?? EMPTY_SHA256
  return verify(request, headers, request.query.pairs, {
    ...credential,
    signedNames,
    signature,
    stamp,
    payload,
    secretOf,
  })
}

function verifyPresigned(
  request: SignedRequest,
  headers: Headers,
  secretOf: SecretOf,
  now: number,
): Verified {
  const { query } = request
  const problem = (message: string) => S3Error.of('AuthorizationQueryParametersError', { message })
  if (query.get('X-Amz-Algorithm') !== ALGORITHM) {
    throw problem('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
  }
  const credential = readCredential(query.get('X-Amz-Credential') ?? '', 'AuthorizationQueryParametersError')
  const stamp = query.get('X-Amz-Date') ?? ''
  const timeMs = /^\d{8}T\d{6}Z$/.test(stamp) ? readTime(stamp) : undefined
  if (timeMs === undefined) {
    throw problem("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
  }
  if (!stamp.startsWith(credential.scope.date)) {
    throw problem('Invalid credential date: it must be that of X-Amz-Date')
  }
  const lifetime = query.get('X-Amz-Expires') ?? ''
  if (!/^\d{1,12}$/.test(lifetime)) throw problem('X-Amz-Expires should be a number')
  if (Number(lifetime) > PRESIGN_SECONDS_MAX) {
    throw problem(
      'X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds',
    )
  }
  if (timeMs - now > SKEW_MS) throw S3Error.of('RequestNotReadyYet')
  if (now > timeMs + Number(lifetime) * 1000) throw S3Error.of('ExpiredPresignRequest')
  const signedNames = (query.get('X-Amz-SignedHeaders') ?? '').split(';')
  assertAllSigned(headers, signedNames)
  const payload = query.get('X-Amz-Content-Sha256') ?? headers.get('x-amz-content-sha256') ?? UNSIGNED_PAYLOAD
  return verify(
    request,
    headers,
    query.pairs.filter(([name]) => name !== 'X-Amz-Signature'),
    { ...credential, signedNames, signature: query.get('X-Amz-Signature') ?? '', stamp, payload, secretOf },
  )
}

interface Claim {
  readonly accessKey: string
  readonly scope: Scope
  readonly signedNames: readonly string[]
  readonly signature: string
  readonly stamp: string
  readonly payload: string
  readonly secretOf: SecretOf
}

function verify(
  request: SignedRequest,
  headers: Headers,
  pairs: readonly (readonly [string, string])[],
  { accessKey, scope, signedNames, signature, stamp, payload, secretOf }: Claim,
): Verified {
  const secret = secretOf(accessKey)
  if (secret === undefined) throw S3Error.of('InvalidAccessKeyId')
  const canonical = [
    request.method,
    encodeUri(request.path, { keepSlash: true }),
    canonicalQuery(pairs),
    ...signedNames.map((name) => `${name}:${headers.get(name) ?? ''}`),
    '',
    signedNames.join(';'),
    payload,
  ].join('\n')
  const key = signingKey(secret, scope)
  const toSign = [ALGORITHM, stamp, scopeText(scope), sha256(canonical)].join('\n')
  const expected = hmac(key, toSign).toString('hex')
  if (!isEqual(expected, signature)) throw S3Error.of('SignatureDoesNotMatch')
  return { accessKey, payload, chunkSigner: new ChunkSigner(key, scope, stamp, expected) }
}

/**
 * Checks the signature of a form upload's policy document.
 *
 * @param policy - base64, as in the form: what is signed.
 * @throws S3Error 403
 */
export function verifyPolicySignature(
  form: { readonly credential: string; readonly policy: string; readonly signature: string },
  secretOf: SecretOf,
): string {
  const { accessKey, scope } = readCredential(form.credential, 'AuthorizationQueryParametersError')
  const secret = secretOf(accessKey)
  if (secret === undefined) throw S3Error.of('InvalidAccessKeyId')
  const expected = hmac(signingKey(secret, scope), form.policy).toString('hex')
  if (!isEqual(expected, form.signature)) throw S3Error.of('SignatureDoesNotMatch')
  return accessKey
}

/** The signatures of an upload's chunks and trailer; each covers the one before. */
export class ChunkSigner {
  readonly #key: KeyObject
  readonly #prefix: string
  #previous: string

  constructor(key: KeyObject, scope: Scope, stamp: string, seed: string) {
    this.#key = key
    this.#prefix = `${stamp}\n${scopeText(scope)}`
    this.#previous = seed
  }

  /** @param sha256 - hex, of the chunk's data. */
  verifyChunk(signature: string, sha256: string): void {
    const toSign = `${ALGORITHM}-PAYLOAD\n${this.#prefix}\n${this.#previous}\n${EMPTY_SHA256}\n${sha256}`
    this.#verify(signature, toSign)
  }

  /** @param sha256 - hex, of the trailer's lines, each `name:value` and a line feed. */
  verifyTrailer(signature: string, sha256: string): void {
    this.#verify(signature, `${ALGORITHM}-TRAILER\n${this.#prefix}\n${this.#previous}\n${sha256}`)
  }

  #verify(signature: string, toSign: string): void {
    const expected = hmac(this.#key, toSign).toString('hex')
    if (!isEqual(expected, signature)) throw S3Error.of('SignatureDoesNotMatch')
    this.#previous = expected
  }
}

type Headers = ReadonlyMap<string, string>

/** By lower-case name; values of one name joined by commas, spaces folded: as they are signed. */
function collectHeaders(rawHeaders: readonly string[]): Headers {
  const headers = new Map<string, string>()
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = String(rawHeaders[index]).toLowerCase()
    const value = decodeHeader(String(rawHeaders[index + 1]))
      .trim()
      .replaceAll(/ {2,}/g, ' ')
    const before = headers.get(name)
    headers.set(name, before === undefined ? value : `${before},${value}`)
  }
  return headers
}

/** node:http reads header bytes as Latin-1; clients sign UTF-8. */
function decodeHeader(value: string): string {
  return /[\u0080-\u00ff]/.test(value) ? Buffer.from(value, 'latin1').toString() : value
}

/** What nobody signed might have been added on the way: a header that steers S3 must be signed, and the host. */
function assertAllSigned(headers: Headers, signedNames: readonly string[]): void {
  const signed = new Set(signedNames)
  const unsigned = [...headers.keys()].find((name) => name.startsWith('x-amz-') && !signed.has(name))
  if (unsigned === undefined && signed.has('host')) return
  throw S3Error.of('AccessDenied', {
    message: `There were headers present in the request which were not signed: ${unsigned ?? 'host'}`,
  })
}

function readCredential(
  text: string,
  code: 'AuthorizationHeaderMalformed' | 'AuthorizationQueryParametersError',
): { accessKey: string; scope: Scope } {
  const parts = text.split('/')
  const [terminator, service, region, date] = parts.splice(-4).reverse()
  const accessKey = parts.join('/')
  if (accessKey === '' || terminator !== 'aws4_request' || !/^\d{8}$/.test(date ?? '')) {
    throw S3Error.of(code, {
      message: 'The credential is malformed; expecting "<ACCESS_KEY>/YYYYMMDD/REGION/SERVICE/aws4_request".',
    })
  }
  if (service !== 's3') {
    throw S3Error.of(code, { message: `The credential is for the service "${service}"; expecting "s3".` })
  }
  return { accessKey, scope: { date: date ?? '', region: region ?? '', service } }
}

function scopeText({ date, region, service }: Scope): string {
  return `${date}/${region}/${service}/aws4_request`
}

/** Sorted by the encoded name, then by the encoded value. */
function canonicalQuery(pairs: readonly (readonly [string, string])[]): string {
  return pairs
    .map(([name, value]) => [encodeUri(name, ALL), encodeUri(value, ALL)] as const)
    .sort(([a, v], [b, w]) => (a < b ? -1 : a > b ? 1 : v < w ? -1 : v > w ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}
const ALL = { keepSlash: false } as const

/** `20261124T014943Z`, or any date of HTTP. @returns milliseconds since 1970. */
function readTime(text: string): number | undefined {
  const compact = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text)
  const ms = Date.parse(
    compact === null
      ? text
      : `${compact[1]}-${compact[2]}-${compact[3]}T${compact[4]}:${compact[5]}:${compact[6]}Z`,
  )
  return Number.isNaN(ms) ? undefined : ms
}

function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '')
}

/** By scope, of the secret that was last used with it: each costs four HMACs, and most requests need the same one. */
const signingKeys = new Map<string, { readonly secret: string; readonly key: KeyObject }>()
const SIGNING_KEYS_MAX = 64

function signingKey(secret: string, scope: Scope): KeyObject {
  const id = scopeText(scope)
  const known = signingKeys.get(id)
  if (known?.secret === secret) return known.key
  const steps = [scope.date, scope.region, scope.service, 'aws4_request']
  const bytes = steps.reduce<Buffer>((before, step) => hmac(before, step), Buffer.from(`AWS4${secret}`))
  const key = createSecretKey(bytes)
  if (signingKeys.size >= SIGNING_KEYS_MAX) signingKeys.clear()
  signingKeys.set(id, { secret, key })
  return key
}

function hmac(key: Buffer | KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

function sha256(text: string): string {
  return hash('sha256', text)
}

function isEqual(expected: string, given: string): boolean {
  const a = Buffer.from(expected)
  const b = Buffer.from(given)
  return a.length === b.length && timingSafeEqual(a, b)
}

function unsupported(): S3Error {
  return S3Error.of('InvalidRequest', {
    message: 'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
  })
}
