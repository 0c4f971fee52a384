/**
 * The conditions under which a client wants an object, and the part of it.
 *
 * @see RFC 9110, sections 13 and 14
 */
import type { IncomingHttpHeaders } from 'node:http'
import { S3Error } from './errors.ts'

export interface ObjectFacts {
  /** Without quotes. */
  readonly etag: string
  /** Milliseconds since 1970; compared by whole seconds, as HTTP dates are. */
  readonly modifiedMs: number
}

/** Names of the headers: those of a read, or of the source of a copy. */
const READ = {
  match: 'if-match',
  noneMatch: 'if-none-match',
  modifiedSince: 'if-modified-since',
  unmodifiedSince: 'if-unmodified-since',
} as const
const COPY = {
  match: 'x-amz-copy-source-if-match',
  noneMatch: 'x-amz-copy-source-if-none-match',
  modifiedSince: 'x-amz-copy-source-if-modified-since',
  unmodifiedSince: 'x-amz-copy-source-if-unmodified-since',
} as const

/** What the conditions of a GET or HEAD come to. */
export type Condition = 'met' | 'not modified'

/** @throws S3Error 412 */
export function checkReadConditions(headers: IncomingHttpHeaders, facts: ObjectFacts): Condition {
  return evaluate(headers, READ, facts)
}

/** @throws S3Error 412, also where a read would be answered 304. */
export function checkCopyConditions(headers: IncomingHttpHeaders, facts: ObjectFacts): void {
  if (evaluate(headers, COPY, facts) !== 'met') throw S3Error.of('PreconditionFailed')
}

function evaluate(
  headers: IncomingHttpHeaders,
  names: typeof READ | typeof COPY,
  { etag, modifiedMs }: ObjectFacts,
): Condition {
  const seconds = Math.floor(modifiedMs / 1000)
  const match = headers[names.match]
  const noneMatch = headers[names.noneMatch]
  const unmodifiedSince = secondsOf(headers[names.unmodifiedSince])
  const modifiedSince = secondsOf(headers[names.modifiedSince])
  // An entity tag, where given, decides over the date beside it.
  if (match !== undefined) {
    if (!matches(String(match), etag)) throw S3Error.of('PreconditionFailed')
  } else if (unmodifiedSince !== undefined && seconds > unmodifiedSince) {
    throw S3Error.of('PreconditionFailed')
  }
  if (noneMatch !== undefined) return matches(String(noneMatch), etag) ? 'not modified' : 'met'
  if (modifiedSince !== undefined && seconds <= modifiedSince) return 'not modified'
  return 'met'
}

/**
 * The conditions of a PUT or a complete: `If-None-Match: *` only makes, `If-Match` only replaces.
 *
 * @param current - the object that stands there now.
 * @throws S3Error 412, or 404 if there is nothing to match.
 */
export function checkWriteConditions(headers: IncomingHttpHeaders, current: ObjectFacts | undefined): void {
  const match = headers['if-match']
  const noneMatch = headers['if-none-match']
  if (match !== undefined) {
    if (current === undefined) throw S3Error.of('NoSuchKey')
    if (!matches(String(match), current.etag)) throw S3Error.of('PreconditionFailed')
  }
  if (noneMatch !== undefined && current !== undefined && matches(String(noneMatch), current.etag)) {
    throw S3Error.of('PreconditionFailed')
  }
}

function matches(list: string, etag: string): boolean {
  return list
    .split(',')
    .map((each) =>
      each
        .trim()
        .replace(/^W\//, '')
        .replace(/^"(.*)"$/, '$1'),
    )
    .some((each) => each === '*' || each === etag)
}

/** A date that can't be read is no condition (RFC 9110, 13.1.3). */
function secondsOf(text: string | string[] | undefined): number | undefined {
  const ms = Date.parse(String(text))
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000)
}

export interface ByteRange {
  readonly start: number
  /** Of the bytes wanted; at least 1. */
  readonly length: number
}

/**
 * @param text - the Range header.
 * @returns undefined for the whole object: no header, several ranges, or none that can be read, which is ignored.
 * @throws S3Error 416 if the range has no byte of the object.
 */
export function parseRange(text: string | undefined, size: number): ByteRange | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(text?.trim() ?? '')
  if (text === undefined || match === null || (match[1] === '' && match[2] === '')) return undefined
  const [first = '', last = ''] = match.slice(1)
  if (first === '') {
    const length = Math.min(Number(last), size)
    if (length === 0) throw unsatisfiable(text.trim(), size)
    return { start: size - length, length }
  }
  const start = Number(first)
  const end = last === '' ? size - 1 : Math.min(Number(last), size - 1)
  if (last !== '' && Number(last) < start) return undefined
  // MinIO writes an end that was not given as -1.
  if (start >= size) throw unsatisfiable(`bytes=${start}-${last === '' ? -1 : last}`, size)
  return { start, length: end - start + 1 }
}

/**
 * `bytes=first-last`, both given: the only form that the source of a part may have.
 *
 * @throws S3Error 400, or 416 if it ends beyond the source.
 */
export function parseCopyRange(text: string, size: number): ByteRange {
  const match = /^bytes=(\d+)-(\d+)$/.exec(text)
  const [first, last] = [Number(match?.[1]), Number(match?.[2])]
  if (match === null || last < first) {
    throw S3Error.of('InvalidArgument', {
      message:
        'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    })
  }
  if (last >= size) throw unsatisfiable(text.trim(), size)
  return { start: first, length: last - first + 1 }
}

function unsatisfiable(text: string, size: number): S3Error {
  return S3Error.of('InvalidRange', {
    message: `The requested range '${text}' is not satisfiable`,
    headers: { 'content-range': `bytes */${size}` },
    elements: { ActualObjectSize: String(size), RangeRequested: text.replace(/^bytes=/, '') },
  })
}
