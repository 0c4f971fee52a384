/** What a request is about: bucket, key and query, from its target and its Host. */
import { S3Error } from './errors.ts'
import { decodeQuery, decodeUri } from './uri.ts'

export interface Target {
  /** Empty for the service itself. */
  readonly bucket: string
  /** Decoded; empty for the bucket itself. */
  readonly key: string
  /** Decoded path as it was sent, for the signature and for `Resource`. */
  readonly path: string
  readonly query: Query
}

/** The decoded query. Flags may be written `?name` or `?name=`. */
export class Query {
  readonly pairs: readonly (readonly [name: string, value: string])[]

  constructor(pairs: readonly (readonly [string, string])[]) {
    this.pairs = pairs
  }

  has(name: string): boolean {
    return this.pairs.some(([each]) => each === name)
  }

  /** The first value of this name. */
  get(name: string): string | undefined {
    return this.pairs.find(([each]) => each === name)?.[1]
  }
}

/** Objects' keys have at most so many bytes of UTF-8. */
const KEY_BYTES_MAX = 1024

/**
 * @param rawTarget - the request target as sent: `/bucket/key?query`.
 * @param host - the Host header.
 * @param domains - under which a bucket may be the first label of the host (virtual-host style).
 * @throws S3Error 400 if the target is no valid one.
 */
export function readTarget(rawTarget: string, host: string, domains: readonly string[]): Target {
  const at = rawTarget.indexOf('?')
  const rawPath = at < 0 ? rawTarget : rawTarget.slice(0, at)
  const pairs = decodeQuery(at < 0 ? '' : rawTarget.slice(at + 1))
  const path = decodeUri(rawPath)
  if (path === undefined || pairs === undefined || !path.startsWith('/')) throw S3Error.of('BadRequest')
  const query = new Query(pairs)
  const hosted = bucketOfHost(host, domains)
  if (hosted !== undefined) return { bucket: hosted, key: checkKey(path.slice(1)), path, query }
  const slash = path.indexOf('/', 1)
  const bucket = slash < 0 ? path.slice(1) : path.slice(1, slash)
  return { bucket, key: slash < 0 ? '' : checkKey(path.slice(slash + 1)), path, query }
}

function bucketOfHost(host: string, domains: readonly string[]): string | undefined {
  const name = host.replace(/:\d+$/, '').toLowerCase()
  for (const domain of domains) {
    if (name.endsWith(`.${domain}`)) return name.slice(0, -domain.length - 1)
  }
  return undefined
}

/**
 * An encrypted object is bound to its *cleaned* path (no empty, `.` or `..` segments), so a key must be clean by itself:
 * otherwise two keys would share one binding. MinIO refuses the same keys.
 *
 * @throws S3Error 400 for an empty, `.` or `..` segment, NUL, lone surrogates, or more than 1,024 bytes.
 */
export function checkKey(key: string): string {
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) throw S3Error.of('KeyTooLongError')
  if (key === '') return key
  const segments = key.split('/')
  if (segments.at(-1) === '') segments.pop() // One slash at the end makes a "folder".
  const isClean = segments.every((segment) => segment !== '' && segment !== '.' && segment !== '..')
  if (!isClean || key.includes('\0') || !key.isWellFormed()) throw S3Error.of('XMinioInvalidObjectName')
  return key
}

/**
 * 3 to 63 characters: lower-case letters, digits, `.` and `-`, a letter or digit at both ends, no IPv4 address.
 *
 * @see https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
 */
export function isBucketName(name: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name) &&
    !/\.\.|\.-|-\./.test(name) &&
    !/^\d+\.\d+\.\d+\.\d+$/.test(name)
  )
}

/** Versions are not kept: the only one is called `null`. @throws S3Error 404 or 400 */
export function checkVersion(query: Query): void {
  const version = query.get('versionId')
  if (version === undefined || version === '' || version === 'null') return
  throw S3Error.of('NoSuchVersion')
}
