/** GetObject, HeadObject and GetObjectAttributes. */
import type { ObjectRecord, OpenObject } from '../disk/object-store.ts'
import { readContent } from '../sse/content.ts'
import { type Call, headerOf, type Reply, type ReplyHeaders, xmlReply } from './call.ts'
import { checksumHeader } from './checksums.ts'
import { type ByteRange, checkReadConditions, parseRange } from './conditions.ts'
import { S3Error } from './errors.ts'
import { readMax } from './listing.ts'
import type { NodeServices } from './node-services.ts'
import { assertNoEncryptionRequest, readKey } from './object-encryption.ts'
import { httpDate, overriddenHeaders, quotedEtag } from './object-headers.ts'
import {
  checksumHeaders,
  checksumOf,
  checksumText,
  describeHeaders,
  type ObjectView,
  viewForContent,
  viewForHead,
} from './object-view.ts'
import type { ReadGuard } from './read-guards.ts'
import { checkVersion } from './target.ts'
import { element, writeXml } from './xml.ts'

export async function getObject(services: NodeServices, call: Call): Promise<Reply> {
  const customerKey = prepareRead(call)
  const { bucket, key } = call.target
  const object = await services.store.open(bucket, key)
  try {
    const view = await viewForContent(services, object.record, customerKey)
    const { part, reply } = describe(call, view)
    if (reply.status === 304) {
      await object[Symbol.asyncDispose]()
      return reply
    }
    const guard = services.reads.guard(object.record.internal)
    const content = contentOf(object, view, part, guard)
    return { ...reply, body: { length: part.length, content, signal: guard?.signal } }
  } catch (error) {
    await object[Symbol.asyncDispose]()
    throw error
  }
}

/** Ends as soon as the key server says that the object's key is locked: nothing is decrypted from then on. */
async function* contentOf(
  object: OpenObject,
  { objectKey }: ObjectView,
  { start, length }: ByteRange,
  guard: ReadGuard | undefined,
): AsyncGenerator<Uint8Array> {
  await using _object = object
  using _guard = guard
  yield* readContent(object, objectKey, { offset: start, length }, guard?.signal)
}

export async function headObject(services: NodeServices, call: Call): Promise<Reply> {
  const customerKey = prepareRead(call)
  const { bucket, key } = call.target
  const record = services.store.stat(bucket, key)
  const view = await viewForHead(services, record, customerKey, wantsChecksum(call))
  const { part, reply } = describe(call, view)
  return { ...reply, headers: { ...reply.headers, 'content-length': String(part.length) } }
}

function prepareRead(call: Call) {
  checkVersion(call.target.query)
  assertNoEncryptionRequest(call.headers)
  return readKey(call)
}

function wantsChecksum({ headers }: Call): boolean {
  return headerOf(headers, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED'
}

/** The reply to a read but its body, and the part of the object that it is about. */
function describe(call: Call, view: ObjectView): { part: ByteRange; reply: Reply } {
  const { record, etag } = view
  const { query } = call.target
  const facts = { etag, modifiedMs: record.modifiedAt }
  const whole = { start: 0, length: record.size }
  if (checkReadConditions(call.headers, facts) === 'not modified') {
    const headers = { etag: quotedEtag(etag), 'last-modified': httpDate(record.modifiedAt) }
    return { part: whole, reply: { status: 304, headers } }
  }
  const range = headerOf(call.headers, 'range')
  const partNumber = query.get('partNumber')
  if (partNumber !== undefined && range !== undefined) {
    throw S3Error.of('InvalidRequest', {
      message: 'Cannot specify both Range header and partNumber query parameter',
    })
  }
  const part = partNumber === undefined ? parseRange(range, record.size) : partOf(record, partNumber)
  const headers: ReplyHeaders = {
    ...describeHeaders(view, overriddenHeaders(record.headers, query)),
    ...(isInParts(record) && partNumber !== undefined
      ? { 'x-amz-mp-parts-count': String(record.parts.length) }
      : {}),
    // The checksum is that of the whole.
    ...(part === undefined && wantsChecksum(call)
      ? checksumHeaders(checksumOf(view), record.parts.length)
      : {}),
  }
  if (part === undefined) return { part: whole, reply: { status: 200, headers } }
  const end = part.start + part.length - 1
  const contentRange = `bytes ${part.start}-${end}/${record.size}`
  return { part, reply: { status: 206, headers: { ...headers, 'content-range': contentRange } } }
}

function isInParts({ etag }: ObjectRecord): boolean {
  return /-\d+$/.test(etag)
}

/** By the position in the object, as S3 counts after an upload has been completed. */
function partOf(record: ObjectRecord, text: string): ByteRange | undefined {
  const number = readPartNumber(text)
  if (!isInParts(record)) {
    if (number !== 1) throw S3Error.of('InvalidPartNumber')
    return record.size === 0 ? undefined : { start: 0, length: record.size }
  }
  let start = 0
  for (const [index, part] of record.parts.entries()) {
    if (index + 1 === number) return { start, length: part.size }
    start += part.size
  }
  throw S3Error.of('InvalidPartNumber')
}

const PART_NUMBER_MAX = 10_000

/** @throws S3Error 400 */
export function readPartNumber(text: string | undefined): number {
  const number = /^\d{1,5}$/.test(text ?? '') ? Number(text) : 0
  if (number >= 1 && number <= PART_NUMBER_MAX) return number
  throw S3Error.of('InvalidArgument', {
    message: 'Part number must be an integer between 1 and 10000, inclusive',
  })
}

const ATTRIBUTES = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']

export async function getObjectAttributes(services: NodeServices, call: Call): Promise<Reply> {
  const customerKey = prepareRead(call)
  const wanted = (headerOf(call.headers, 'x-amz-object-attributes') ?? '')
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')
  if (wanted.length === 0 || wanted.some((each) => !ATTRIBUTES.includes(each))) {
    throw S3Error.of('InvalidArgument', { message: 'Invalid attribute name specified.' })
  }
  const { bucket, key } = call.target
  const record = services.store.stat(bucket, key)
  const view = await viewForHead(services, record, customerKey, wanted.includes('Checksum'))
  const has = (name: string) => wanted.includes(name)
  const body = writeXml(
    element('getObjectAttributesResponse', [
      has('ETag') ? element('ETag', view.etag) : undefined,
      has('Checksum') ? describeChecksum(view) : undefined,
      has('ObjectParts') && isInParts(record) ? describeParts(call, record) : undefined,
      has('StorageClass') ? element('StorageClass', 'STANDARD') : undefined,
      has('ObjectSize') ? element('ObjectSize', record.size) : undefined,
    ]),
  )
  return xmlReply(body, { 'last-modified': httpDate(record.modifiedAt), 'x-amz-version-id': 'null' })
}

function describeChecksum(view: ObjectView) {
  const checksum = checksumOf(view)
  if (checksum === undefined) return undefined
  const name = checksumHeader(checksum.algorithm).replace('x-amz-checksum-', '').toUpperCase()
  return element('Checksum', [
    element(`Checksum${name}`, checksumText(checksum, view.record.parts.length)),
    element('ChecksumType', checksum.type),
  ])
}

function describeParts({ headers }: Call, { parts }: ObjectRecord) {
  const max = readMax(headerOf(headers, 'x-amz-max-parts'))
  const marker = Number(headerOf(headers, 'x-amz-part-number-marker') ?? 0)
  const later = parts
    .map((part, index) => ({ number: index + 1, size: part.size }))
    .filter(({ number }) => number > marker)
  const page = later.slice(0, max)
  return element('ObjectParts', [
    element('PartsCount', parts.length),
    element('PartNumberMarker', marker),
    element('NextPartNumberMarker', page.at(-1)?.number ?? 0),
    element('MaxParts', max),
    element('IsTruncated', later.length > page.length),
    ...page.map(({ number, size }) =>
      element('Part', [element('PartNumber', number), element('Size', size)]),
    ),
  ])
}
