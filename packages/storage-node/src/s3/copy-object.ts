/**
 * CopyObject and UploadPartCopy. A copy is read and written anew, under its own key; only a client that changes its own
 * key of an object in place leaves the content as it is. A copy keeps nothing of its source's encryption, in particular
 * not its context: MinIO does, and can then never read the copy.
 */
import type { ObjectRecord, OpenObject } from '../disk/object-store.ts'
import { readContent } from '../sse/content.ts'
import { openEncryption, resealUnderCustomerKey } from '../sse/encryption.ts'
import { decodeEncryption, encodeEncryption, encryptionKind } from '../sse/metadata.ts'
import type { CustomerKey, EncryptionRequest } from '../sse/mode.ts'
import { type Call, headerOf, type Reply, type ReplyHeaders, xmlReply } from './call.ts'
import { type ChecksumAlgorithm, parseAlgorithm } from './checksums.ts'
import { type ByteRange, checkCopyConditions, parseCopyRange } from './conditions.ts'
import { S3Error } from './errors.ts'
import { readPartNumber } from './get-object.ts'
import { measureContent } from './measured-content.ts'
import { uploadChecksum, uploadOf, writePart } from './multipart.ts'
import type { NodeServices } from './node-services.ts'
import {
  copySourceKey,
  encryptionHeaders,
  needsMd5,
  readKey,
  storedEncryptionHeaders,
  writeEncryption,
} from './object-encryption.ts'
import { quotedEtag, readObjectHeaders } from './object-headers.ts'
import { checksumHeaders, checksumOf, type ObjectView, viewForContent } from './object-view.ts'
import { writeObject } from './object-write.ts'
import { writeCondition } from './put-object.ts'
import { checkKey, checkVersion, isBucketName, Query } from './target.ts'
import { decodeQuery, decodeUri } from './uri.ts'
import { element, root, writeXml } from './xml.ts'

const COPY_BYTES_MAX = 5 * 1024 ** 3

interface Source {
  readonly bucket: string
  readonly key: string
}

/** `/bucket/key`, percent-encoded, with or without the first slash; `?versionId=null` may follow. */
function readSource({ headers }: Call): Source {
  const text = headerOf(headers, 'x-amz-copy-source') ?? ''
  const at = text.indexOf('?')
  const path = decodeUri(at < 0 ? text : text.slice(0, at))?.replace(/^\//, '')
  const pairs = decodeQuery(at < 0 ? '' : text.slice(at + 1))
  const slash = path?.indexOf('/') ?? -1
  const bucket = path?.slice(0, slash) ?? ''
  const key = path?.slice(slash + 1) ?? ''
  if (slash < 1 || key === '' || pairs === undefined || !isBucketName(bucket)) {
    throw S3Error.of('InvalidArgument', {
      message: 'Copy Source must mention the source bucket and key: sourcebucket/sourcekey.',
    })
  }
  checkVersion(new Query(pairs))
  return { bucket, key: checkKey(key) }
}

export async function copyObject(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket, key } = call.target
  services.store.bucket(bucket)
  const source = readSource(call)
  const encryption = await writeEncryption(services, call)
  const sourceKey = copySourceKey(call)
  const replaces = directive(call) === 'REPLACE'
  const isSelf = source.bucket === bucket && source.key === key
  await using object = await services.store.open(source.bucket, source.key)
  assertSourceKeyFits(object.record, sourceKey)
  const view = await viewForContent(services, object.record, sourceKey)
  checkCopyConditions(call.headers, { etag: view.etag, modifiedMs: object.record.modifiedAt })
  if (isSelf) assertChangesSomething(object.record, encryption, replaces)
  if (object.record.size > COPY_BYTES_MAX) throw S3Error.of('EntityTooLarge')
  const headers = replaces ? readObjectHeaders(call.headers) : object.record.headers
  if (isSelf && encryption?.kind === 'SSE-C' && sourceKey !== undefined) {
    return changeCustomerKey(services, view, { before: sourceKey, after: encryption.customerKey, headers })
  }
  const { size } = object.record
  const { content, facts } = await measureContent(
    contentOf(services, object, view, { start: 0, length: size }),
    { needsMd5: needsMd5(encryption?.kind), algorithm: checksumAlgorithmOf(call, view) },
  )
  const written = await writeObject(services, {
    bucket,
    key,
    headers,
    encryption,
    content,
    facts,
    condition: await writeCondition(services, call),
  })
  const customerKey = encryption?.kind === 'SSE-C' ? encryption.customerKey : undefined
  const { checksum } = facts()
  return copyReply('CopyObjectResult', written.etag, written.record.modifiedAt, {
    ...encryptionHeaders(written.encryption?.stored, customerKey),
    ...checksumHeaders(checksum && { ...checksum, type: 'FULL_OBJECT' }),
  })
}

export async function uploadPartCopy(services: NodeServices, call: Call): Promise<Reply> {
  const upload = uploadOf(services, call)
  const number = readPartNumber(call.target.query.get('partNumber'))
  const source = readSource(call)
  const sourceKey = copySourceKey(call)
  const kind = encryptionKind(upload.internal)
  const customerKey = kind === 'SSE-C' ? readKey(call) : undefined
  const objectKey = await openEncryption(services.kms, upload, upload.internal, customerKey)
  await using object = await services.store.open(source.bucket, source.key)
  assertSourceKeyFits(object.record, sourceKey)
  const view = await viewForContent(services, object.record, sourceKey)
  checkCopyConditions(call.headers, { etag: view.etag, modifiedMs: object.record.modifiedAt })
  const text = headerOf(call.headers, 'x-amz-copy-source-range')
  const { size } = object.record
  const range = text === undefined ? { start: 0, length: size } : parseCopyRange(text, size)
  if (range.length > COPY_BYTES_MAX) throw S3Error.of('EntityTooLarge')
  const { content, facts } = await measureContent(contentOf(services, object, view, range), {
    needsMd5: needsMd5(kind),
    algorithm: uploadChecksum(upload)?.algorithm,
  })
  const { part, etag } = await writePart(services, upload, objectKey, {
    number,
    content,
    facts,
  })
  return copyReply(
    'CopyPartResult',
    etag,
    part.modifiedAt,
    storedEncryptionHeaders(upload.internal, customerKey),
  )
}

function directive({ headers }: Call): 'COPY' | 'REPLACE' {
  const text = headerOf(headers, 'x-amz-metadata-directive')?.toUpperCase() ?? 'COPY'
  if (text === 'COPY' || text === 'REPLACE') return text
  throw S3Error.of('InvalidArgument', { message: 'Unknown metadata directive.' })
}

/** MinIO's answer to a client's key for a source that the KMS opens. */
function assertSourceKeyFits({ internal }: ObjectRecord, sourceKey: CustomerKey | undefined): void {
  const kind = encryptionKind(internal)
  if (sourceKey === undefined || kind === undefined || kind === 'SSE-C') return
  throw S3Error.of('InvalidArgument', {
    message:
      'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
  })
}

function assertChangesSomething(
  { internal }: ObjectRecord,
  encryption: EncryptionRequest | undefined,
  replaces: boolean,
): void {
  if (replaces || encryption !== undefined || encryptionKind(internal) !== undefined) return
  throw S3Error.of('InvalidRequest', {
    message:
      "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  })
}

interface KeyChange {
  readonly before: CustomerKey
  readonly after: CustomerKey
  readonly headers: Readonly<Record<string, string>>
}

async function changeCustomerKey(
  { store }: NodeServices,
  { record, etag }: ObjectView,
  { before, after, headers }: KeyChange,
): Promise<Reply> {
  const stored = decodeEncryption(record.internal)
  if (stored?.kind !== 'SSE-C') throw new TypeError('the object has no key of a client')
  const resealed = resealUnderCustomerKey(record, stored, before, after)
  const changed = await store.replaceProperties(record.bucket, record.key, record.revision, {
    etag: record.etag,
    internal: { ...record.internal, ...encodeEncryption(resealed) },
    headers,
  })
  return copyReply('CopyObjectResult', etag, changed.modifiedAt, encryptionHeaders(resealed, after))
}

/** A copy has a checksum if it was asked for, or if its source has one. */
function checksumAlgorithmOf({ headers }: Call, view: ObjectView): ChecksumAlgorithm | undefined {
  const wanted = headerOf(headers, 'x-amz-checksum-algorithm')
  return wanted === undefined ? checksumOf(view)?.algorithm : parseAlgorithm(wanted)
}

/** The plaintext of a part of the source; it ends when the key server locks the source's key. */
async function* contentOf(
  { reads }: NodeServices,
  object: OpenObject,
  { objectKey, record }: ObjectView,
  { start, length }: ByteRange,
): AsyncGenerator<Uint8Array> {
  using guard = reads.guard(record.internal)
  yield* readContent(object, objectKey, { offset: start, length }, guard?.signal)
}

function copyReply(name: string, etag: string, modifiedAt: number, headers: ReplyHeaders): Reply {
  const body = root(name, [
    element('LastModified', new Date(modifiedAt).toISOString()),
    element('ETag', quotedEtag(etag)),
  ])
  return xmlReply(writeXml(body), headers)
}
