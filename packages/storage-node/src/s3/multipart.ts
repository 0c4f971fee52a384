/** Uploads in parts: begun, filled, listed, completed into an object, or aborted. */
import { createHash } from 'node:crypto'
import { KmsError } from '@latchkey/kms-client/kms'
import type { ObjectProperties, Upload, UploadedPart } from '../disk/object-store.ts'
import { encryptContent } from '../sse/content.ts'
import { beginEncryption, openEncryption } from '../sse/encryption.ts'
import { etagTag, shownEtag } from '../sse/etag.ts'
import {
  ACTUAL_SIZE_NAME,
  CHECKSUM_NAME,
  encodeEncryption,
  encryptionKind,
  MULTIPART_NAME,
} from '../sse/metadata.ts'
import type { ObjectKey } from '../sse/object-key.ts'
import { type Call, headerOf, NO_CONTENT, type Reply, readSmallBody, xmlReply } from './call.ts'
import { type ChecksumRecord, type ChecksumType, encodeChecksum } from './checksum-record.ts'
import {
  CHECKSUM_ALGORITHMS,
  type Checksum,
  type ChecksumAlgorithm,
  checksumHeader,
  createChecksum,
  parseAlgorithm,
  parseChecksum,
} from './checksums.ts'
import { combineCrcs, isCrc } from './crc-combine.ts'
import { S3Error } from './errors.ts'
import { readPartNumber } from './get-object.ts'
import { OWNER, readMax } from './listing.ts'
import type { NodeServices } from './node-services.ts'
import {
  assertNoCopySourceKey,
  encryptionHeaders,
  needsMd5,
  readKey,
  storedEncryptionHeaders,
  writeEncryption,
} from './object-encryption.ts'
import { quotedEtag, readObjectHeaders } from './object-headers.ts'
import { checksumText, storedChecksum } from './object-view.ts'
import { type ContentFacts, uuidBytes } from './object-write.ts'
import { decodePartEtag, encodePartEtag, partChecksum } from './part-etag.ts'
import { Payload } from './payload.ts'
import { payloadChecksumHeaders, writeCondition } from './put-object.ts'
import { encodeUri } from './uri.ts'
import {
  childrenOf,
  element,
  malformedXml,
  readXml,
  root,
  textOf,
  writeXml,
  type XmlElement,
  type XmlNode,
} from './xml.ts'

const PART_BYTES_MIN = 5 * 1024 ** 2
const PARTS_MAX = 10_000
const COMPLETE_BYTES_MAX = 4 * 1024 ** 2

/** What an upload keeps of its checksums until it is completed. */
const UPLOAD_CHECKSUM = 'x-latchkey-upload-checksum'
const UPLOAD_CHECKSUM_TYPE = 'x-latchkey-upload-checksum-type'

export async function createMultipartUpload(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket, key } = call.target
  const { store, kms } = services
  store.bucket(bucket)
  assertNoCopySourceKey(call.headers)
  const request = await writeEncryption(services, call)
  const headers = readObjectHeaders(call.headers)
  const checksum = readUploadChecksum(call)
  const encryption = request && (await beginEncryption(kms, { bucket, key }, request))
  const upload = await store.createUpload(bucket, key, {
    internal: {
      ...(encryption && { ...encodeEncryption(encryption.stored), [MULTIPART_NAME]: '' }),
      ...(checksum && { [UPLOAD_CHECKSUM]: checksum.algorithm, [UPLOAD_CHECKSUM_TYPE]: checksum.type }),
    },
    headers,
  })
  const customerKey = request?.kind === 'SSE-C' ? request.customerKey : undefined
  const body = root('InitiateMultipartUploadResult', [
    element('Bucket', bucket),
    element('Key', key),
    element('UploadId', upload.id),
  ])
  return xmlReply(writeXml(body), {
    ...encryptionHeaders(encryption?.stored, customerKey),
    ...(checksum && {
      'x-amz-checksum-algorithm': checksum.algorithm,
      'x-amz-checksum-type': checksum.type,
    }),
  })
}

interface UploadChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly type: ChecksumType
}

/** SHA sums can't be joined, and CRC-64/NVME is never composite. */
function readUploadChecksum({ headers }: Call): UploadChecksum | undefined {
  const name = headerOf(headers, 'x-amz-checksum-algorithm')
  if (name === undefined) return undefined
  const algorithm = parseAlgorithm(name)
  const standard: ChecksumType = algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  const type = headerOf(headers, 'x-amz-checksum-type')?.toUpperCase() ?? standard
  const isSha = algorithm === 'SHA1' || algorithm === 'SHA256'
  const isPossible = (type === 'COMPOSITE' && algorithm !== 'CRC64NVME') || (type === 'FULL_OBJECT' && !isSha)
  if (!isPossible) {
    throw S3Error.of('InvalidRequest', {
      message: `The ${type} checksum type cannot be used with the ${algorithm} checksum algorithm.`,
    })
  }
  return { algorithm, type: type as ChecksumType }
}

export function uploadChecksum({ internal }: Upload): UploadChecksum | undefined {
  const algorithm = CHECKSUM_ALGORITHMS.find((each) => each === internal[UPLOAD_CHECKSUM])
  return (
    algorithm && {
      algorithm,
      type: internal[UPLOAD_CHECKSUM_TYPE] === 'COMPOSITE' ? 'COMPOSITE' : 'FULL_OBJECT',
    }
  )
}

export async function uploadPart(services: NodeServices, call: Call): Promise<Reply> {
  const upload = uploadOf(services, call)
  const number = readPartNumber(call.target.query.get('partNumber'))
  assertNoCopySourceKey(call.headers)
  const kind = encryptionKind(upload.internal)
  const customerKey = kind === 'SSE-C' ? partKey(call) : undefined
  const objectKey = await openEncryption(services.kms, upload, upload.internal, customerKey)
  const payload = new Payload(call.headers, call.signed)
  const size = payload.requireSize()
  const part = await writePart(services, upload, objectKey, {
    number,
    content: payload.read(call.body(), { needsMd5: needsMd5(kind) }),
    facts: () => ({ size, md5: payload.md5, checksum: payload.checksum }),
  })
  return {
    status: 200,
    headers: {
      etag: quotedEtag(part.etag),
      ...storedEncryptionHeaders(upload.internal, customerKey),
      ...payloadChecksumHeaders(payload),
    },
  }
}

/** @throws S3Error 400 in the words for a part, if there is none. */
function partKey(call: Call) {
  const key = readKey(call)
  if (key !== undefined) return key
  throw S3Error.of('InvalidRequest', {
    message:
      'The multipart upload initiate requested encryption. Subsequent part requests must include the appropriate encryption parameters.',
  })
}

export interface NewPart {
  readonly number: number
  readonly content: AsyncIterable<Uint8Array>
  readonly facts: () => Omit<ContentFacts, 'isChecksumTrailing'>
}

/** @returns the part, and its ETag as the client sees it. */
export async function writePart(
  { store }: NodeServices,
  upload: Upload,
  objectKey: ObjectKey | undefined,
  { number, content, facts }: NewPart,
): Promise<{ part: UploadedPart; etag: string }> {
  let plain: Buffer = Buffer.alloc(0)
  const stored = objectKey === undefined ? content : encryptContent(content, objectKey, number)
  const part = await store.putPart(
    upload,
    number,
    stored,
    () => {
      const { size, md5, checksum } = facts()
      plain = md5 ?? uuidBytes()
      return { size, etag: encodePartEtag(plain, checksum, objectKey) }
    },
    { isAuthenticated: objectKey !== undefined },
  )
  return { part, etag: seenPartEtag(upload, decodePartEtag(part.etag).etag, () => plain.toString('hex')) }
}

/** @param md5 - of the plaintext, for the kinds that show it. */
function seenPartEtag({ internal }: Upload, stored: string, md5: () => string): string {
  return needsMd5(encryptionKind(internal)) ? md5() : etagTag(stored)
}

export async function completeMultipartUpload(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket, key } = call.target
  const { store, kms } = services
  const upload = uploadOf(services, call)
  const document = readXml(await readSmallBody(call, COMPLETE_BYTES_MAX), 'CompleteMultipartUpload')
  const named = readParts(document)
  const condition = await writeCondition(services, call)
  // A client's own key is not asked for here: it is needed for checksums alone.
  const isClients = encryptionKind(upload.internal) === 'SSE-C'
  const customerKey = isClients ? readKey(call) : undefined
  const isKeyless = isClients && customerKey === undefined
  const objectKey = isKeyless ? undefined : await openEncryption(kms, upload, upload.internal, customerKey)
  const parts = matchParts(upload, store.parts(upload), named, objectKey, isKeyless)
  const size = parts.reduce((sum, { part }) => sum + part.size, 0)
  const digests = parts.map(({ etag }) => Buffer.from(etag, 'hex'))
  const md5 = createHash('md5').update(Buffer.concat(digests)).digest('hex')
  const etag = `${md5}-${parts.length}`
  const checksum = await joinChecksums(uploadChecksum(upload), parts)
  assertPromised(call, checksum, parts.length)
  const { [UPLOAD_CHECKSUM]: _algorithm, [UPLOAD_CHECKSUM_TYPE]: _type, ...internal } = upload.internal
  const properties: ObjectProperties = {
    size,
    etag,
    internal: {
      ...internal,
      ...(encryptionKind(internal) && { [ACTUAL_SIZE_NAME]: String(size) }),
      ...(checksum && {
        [CHECKSUM_NAME]: storedChecksum(encodeChecksum(checksum, { isMultipart: true }), objectKey),
      }),
    },
    headers: upload.headers,
  }
  await store.completeUpload(
    upload,
    parts.map(({ part: { number, etag } }) => ({ number, etag })),
    properties,
    condition,
  )
  const body = root('CompleteMultipartUploadResult', [
    element('Location', `${call.origin}/${bucket}/${encodeUri(key, { keepSlash: true })}`),
    element('Bucket', bucket),
    element('Key', key),
    element('ETag', quotedEtag(etag)),
    ...(checksum === undefined
      ? []
      : [
          element(`Checksum${checksum.algorithm}`, checksumText(checksum, parts.length)),
          element('ChecksumType', checksum.type),
        ]),
  ])
  return xmlReply(writeXml(body), {
    etag: quotedEtag(etag),
    ...storedEncryptionHeaders(internal),
  })
}

interface NamedPart {
  readonly number: number
  readonly etag: string
  readonly checksum: Checksum | undefined
}

/** @throws S3Error 400 */
function readParts(document: XmlNode): NamedPart[] {
  const parts = childrenOf(document, 'Part').map((part) => {
    const number = Number(textOf(part, 'PartNumber'))
    const etag = textOf(part, 'ETag')?.replace(/^"(.*)"$/, '$1')
    if (!Number.isInteger(number) || number < 1 || number > PARTS_MAX || etag === undefined) {
      throw malformedXml()
    }
    const algorithm = CHECKSUM_ALGORITHMS.find((each) => textOf(part, `Checksum${each}`) !== undefined)
    const checksum = algorithm && parseChecksum(algorithm, textOf(part, `Checksum${algorithm}`) ?? '')
    return { number, etag, checksum }
  })
  if (parts.length === 0 || parts.length > PARTS_MAX) throw malformedXml()
  const isAscending = parts.every(({ number }, index) => number > (parts[index - 1]?.number ?? 0))
  if (!isAscending) throw S3Error.of('InvalidPartOrder')
  return parts
}

interface MatchedPart {
  readonly part: UploadedPart
  /** As the client sees it. */
  readonly etag: string
  readonly checksum: ChecksumRecord | undefined
}

/** @throws S3Error 400 */
function matchParts(
  upload: Upload,
  uploaded: readonly UploadedPart[],
  named: readonly NamedPart[],
  objectKey: ObjectKey | undefined,
  isKeyless: boolean,
): MatchedPart[] {
  const byNumber = new Map(uploaded.map((part) => [part.number, part]))
  return named.map(({ number, etag, checksum }, index) => {
    const part = byNumber.get(number)
    if (part === undefined) throw S3Error.of('InvalidPart')
    const stored = decodePartEtag(part.etag)
    const seen = shownEtag(encryptionKind(upload.internal), stored.etag, objectKey)
    if (seen !== etag) throw S3Error.of('InvalidPart')
    const known = isKeyless ? undefined : partChecksum(stored, objectKey)
    const isOther = checksum !== undefined && known !== undefined && !checksum.digest.equals(known.digest)
    if (isOther) throw S3Error.of('InvalidPart')
    if (part.size < PART_BYTES_MIN && index < named.length - 1) throw S3Error.of('EntityTooSmall')
    return { part, etag: seen, checksum: known }
  })
}

/** Undefined if the upload has no checksum, or one of its parts came without. */
async function joinChecksums(
  upload: UploadChecksum | undefined,
  parts: readonly MatchedPart[],
): Promise<ChecksumRecord | undefined> {
  if (upload === undefined) return undefined
  const { algorithm, type } = upload
  const sums: { digest: Buffer; size: number }[] = []
  for (const { part, checksum } of parts) {
    if (checksum?.algorithm !== algorithm) return undefined
    sums.push({ digest: checksum.digest, size: part.size })
  }
  if (type === 'FULL_OBJECT' && isCrc(algorithm)) {
    return { algorithm, type, digest: combineCrcs(algorithm, sums) }
  }
  const ofDigests = await createChecksum(algorithm)
  for (const { digest } of sums) ofDigests.update(digest)
  return { algorithm, type: 'COMPOSITE', digest: ofDigests.digest() }
}

/** What the client says of the whole, in the headers of a complete. @throws S3Error 400 */
function assertPromised({ headers }: Call, checksum: ChecksumRecord | undefined, parts: number): void {
  if (checksum === undefined) return
  const promised = headerOf(headers, checksumHeader(checksum.algorithm))
  const text = checksumText(checksum, parts)
  if (promised === undefined || promised === text || promised === checksum.digest.toString('base64')) return
  throw S3Error.of('BadDigest', {
    message: `The ${checksum.algorithm} you specified did not match the calculated checksum.`,
  })
}

export async function abortMultipartUpload(services: NodeServices, call: Call): Promise<Reply> {
  await services.store.abortUpload(uploadOf(services, call))
  return NO_CONTENT
}

export async function listParts(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket, key, query } = call.target
  const upload = uploadOf(services, call)
  const max = readMax(query.get('max-parts'), PARTS_MAX)
  const marker = readMax(query.get('part-number-marker') ?? '0', PARTS_MAX)
  const later = services.store.parts(upload).filter(({ number }) => number > marker)
  const page = later.slice(0, max)
  const objectKey = await keyForEtags(services, upload, page)
  const { algorithm, type } = uploadChecksum(upload) ?? {}
  const body = root('ListPartsResult', [
    element('Bucket', bucket),
    element('Key', key),
    element('UploadId', upload.id),
    element('Initiator', OWNER),
    element('Owner', OWNER),
    element('StorageClass', 'STANDARD'),
    element('PartNumberMarker', marker),
    element('NextPartNumberMarker', later.length > page.length ? (page.at(-1)?.number ?? 0) : 0),
    element('MaxParts', max),
    element('IsTruncated', later.length > page.length),
    element('ChecksumAlgorithm', algorithm ?? ''),
    element('ChecksumType', type ?? ''),
    ...page.map((part) => describePart(upload, part, objectKey)),
  ])
  return xmlReply(writeXml(body))
}

/** The KMS is needed for the ETags of parts in SSE-S3; a list goes on without it. */
async function keyForEtags(
  { kms }: NodeServices,
  upload: Upload,
  parts: readonly UploadedPart[],
): Promise<ObjectKey | undefined> {
  if (encryptionKind(upload.internal) !== 'SSE-S3' || parts.length === 0) return undefined
  try {
    return await openEncryption(kms, upload, upload.internal)
  } catch (error) {
    if (error instanceof KmsError) return undefined
    throw error
  }
}

function describePart(upload: Upload, part: UploadedPart, objectKey: ObjectKey | undefined): XmlElement {
  const etag = shownEtag(encryptionKind(upload.internal), decodePartEtag(part.etag).etag, objectKey)
  return element('Part', [
    element('PartNumber', part.number),
    element('LastModified', new Date(part.modifiedAt).toISOString()),
    element('ETag', quotedEtag(etag)),
    element('Size', part.size),
  ])
}

export async function listMultipartUploads({ store }: NodeServices, call: Call): Promise<Reply> {
  const { bucket, query } = call.target
  store.bucket(bucket)
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const max = readMax(query.get('max-uploads'))
  const keyMarker = query.get('key-marker') ?? ''
  const idMarker = query.get('upload-id-marker') ?? ''
  const after = idMarker === '' ? keyMarker : `${keyMarker}\0${idMarker}`
  const isUrlEncoded = query.get('encoding-type') === 'url'
  const text = (value: string) => (isUrlEncoded ? encodeUri(value, { keepSlash: true }) : value)
  const { items, commonPrefixes, next } = store.uploads(bucket, {
    prefix,
    max,
    ...(delimiter === '' ? {} : { delimiter }),
    ...(after === '' ? {} : { after }),
  })
  const [nextKey = '', nextId = ''] = next?.split('\0') ?? []
  const body = root('ListMultipartUploadsResult', [
    element('Bucket', bucket),
    element('KeyMarker', text(keyMarker)),
    element('UploadIdMarker', idMarker),
    element('NextKeyMarker', text(nextKey)),
    element('NextUploadIdMarker', nextId),
    element('Delimiter', text(delimiter)),
    element('Prefix', text(prefix)),
    isUrlEncoded ? element('EncodingType', 'url') : undefined,
    element('MaxUploads', max),
    element('IsTruncated', next !== undefined),
    ...items.map(({ key, id, initiatedAt }) =>
      element('Upload', [
        element('Key', text(key)),
        element('UploadId', id),
        element('Initiator', OWNER),
        element('Owner', OWNER),
        element('StorageClass', 'STANDARD'),
        element('Initiated', new Date(initiatedAt).toISOString()),
      ]),
    ),
    ...commonPrefixes.map((each) => element('CommonPrefixes', [element('Prefix', text(each))])),
  ])
  return xmlReply(writeXml(body))
}

export function uploadOf({ store }: NodeServices, { target }: Call): Upload {
  store.bucket(target.bucket)
  return store.upload(target.bucket, target.key, target.query.get('uploadId') ?? '')
}
