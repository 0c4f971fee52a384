/** The headers that are kept with an object and given back, and those that tell of it. */
import type { IncomingHttpHeaders } from 'node:http'
import type { ReplyHeaders } from './call.ts'
import { S3Error } from './errors.ts'
import type { Query } from './target.ts'

const KEPT = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
]
const USER_PREFIX = 'x-amz-meta-'
const USER_BYTES_MAX = 2048
const DEFAULT_TYPE = 'binary/octet-stream'

/** What this node has no place for: better refused than lost. */
const UNSUPPORTED = [
  'x-amz-object-lock-mode',
  'x-amz-object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold',
  'x-amz-website-redirect-location',
  'x-amz-tagging',
  'x-amz-write-offset-bytes',
]

/** @throws S3Error 400 or 501 */
export function readObjectHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const unsupported = UNSUPPORTED.find((name) => headers[name] !== undefined && headers[name] !== '')
  if (unsupported !== undefined) {
    throw S3Error.of('NotImplemented', { detail: `${unsupported} is not supported` })
  }
  const storageClass = headers['x-amz-storage-class']
  if (storageClass !== undefined && storageClass !== 'STANDARD' && storageClass !== 'REDUCED_REDUNDANCY') {
    throw S3Error.of('InvalidStorageClass')
  }
  const kept: Record<string, string> = {}
  for (const name of KEPT) {
    const value = asText(headers[name])
    if (value !== undefined && value !== '') kept[name] = value
  }
  const encoding = withoutAwsChunked(kept['content-encoding'])
  if (encoding === undefined) delete kept['content-encoding']
  else kept['content-encoding'] = encoding
  kept['content-type'] ??= DEFAULT_TYPE
  let userBytes = 0
  for (const [name, raw] of Object.entries(headers)) {
    if (!name.startsWith(USER_PREFIX)) continue
    const value = asText(raw) ?? ''
    userBytes += name.length - USER_PREFIX.length + Buffer.byteLength(value)
    kept[name] = value
  }
  if (userBytes > USER_BYTES_MAX) throw S3Error.of('MetadataTooLarge')
  return kept
}

/** `aws-chunked` is how the body came, not what it is. */
function withoutAwsChunked(encoding: string | undefined): string | undefined {
  const rest = encoding
    ?.split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '' && each !== 'aws-chunked')
  return rest === undefined || rest.length === 0 ? undefined : rest.join(',')
}

/** node:http reads header bytes as Latin-1; clients mean UTF-8. */
function asText(value: string | string[] | undefined): string | undefined {
  if (value === undefined) return undefined
  return Buffer.from(Array.isArray(value) ? value.join(',') : value, 'latin1').toString()
}

const OVERRIDES: Readonly<Record<string, string>> = {
  'response-cache-control': 'cache-control',
  'response-content-disposition': 'content-disposition',
  'response-content-encoding': 'content-encoding',
  'response-content-language': 'content-language',
  'response-content-type': 'content-type',
  'response-expires': 'expires',
}

/** The kept headers with what the query wants in their place. */
export function overriddenHeaders(headers: Readonly<Record<string, string>>, query: Query): ReplyHeaders {
  const result: Record<string, string> = { ...headers }
  for (const [parameter, name] of Object.entries(OVERRIDES)) {
    const value = query.get(parameter)
    if (value !== undefined) result[name] = value
  }
  return result
}

export function quotedEtag(etag: string): string {
  return `"${etag}"`
}

export function httpDate(ms: number): string {
  return new Date(ms).toUTCString()
}
