/** ListObjects, its second version, and ListObjectVersions: queries read, pages written. */
import type { ListedObject, ListPage } from '../disk/object-store.ts'
import { S3Error } from './errors.ts'
import type { Query } from './target.ts'
import { encodeUri } from './uri.ts'
import { element, root, writeXml, type XmlElement } from './xml.ts'

const KEYS_MAX = 1000

/** The one owner of everything, as MinIO names it. */
export const OWNER = [
  element('ID', '02d6176db174dc93cb1b899f7c6078f08654445fe8cf1b6ce98d8855f66bdbf4'),
  element('DisplayName', 'minio'),
]

export interface ListRequest {
  readonly form: 'v1' | 'v2' | 'versions'
  readonly prefix: string
  readonly delimiter: string
  readonly max: number
  /** As asked; the page holds what comes behind it. */
  readonly after: string
  readonly isUrlEncoded: boolean
  readonly hasOwner: boolean
  /** As sent, to be repeated in the reply. */
  readonly continuationToken: string | undefined
  readonly startAfter: string | undefined
}

/** @throws S3Error 400 */
export function readListRequest(query: Query): ListRequest {
  const form = query.has('versions') ? 'versions' : query.get('list-type') === '2' ? 'v2' : 'v1'
  const encoding = query.get('encoding-type') ?? ''
  if (encoding !== '' && encoding.toLowerCase() !== 'url') {
    throw S3Error.of('InvalidArgument', { message: 'Invalid Encoding Method specified in Request' })
  }
  const token = form === 'v2' ? query.get('continuation-token') : undefined
  const startAfter = form === 'v2' ? query.get('start-after') : undefined
  const marker = query.get(form === 'versions' ? 'key-marker' : 'marker') ?? ''
  return {
    form,
    prefix: query.get('prefix') ?? '',
    delimiter: query.get('delimiter') ?? '',
    max: readMax(query.get('max-keys')),
    after: form === 'v2' ? decodeToken(token) || (startAfter ?? '') : marker,
    isUrlEncoded: encoding !== '',
    hasOwner: form !== 'v2' || query.get('fetch-owner') === 'true',
    continuationToken: token,
    startAfter,
  }
}

/** @throws S3Error 400 */
export function readMax(text: string | undefined, max = KEYS_MAX): number {
  if (text === undefined || text === '') return max
  if (!/^\d{1,10}$/.test(text)) {
    throw S3Error.of('InvalidArgument', {
      message: 'Argument max-keys must be an integer between 0 and 2147483647',
    })
  }
  return Math.min(Number(text), max)
}

/** A token is the last key in base64: no state is kept between pages. */
function encodeToken(after: string): string {
  return Buffer.from(after).toString('base64')
}

function decodeToken(token: string | undefined): string {
  if (token === undefined) return ''
  const after = Buffer.from(token, 'base64').toString()
  if (token === '' || encodeToken(after) !== token) {
    throw S3Error.of('InvalidArgument', { message: 'The continuation token provided is incorrect' })
  }
  return after
}

/** @param etagOf - what the client sees as an object's ETag. */
export function writeListing(
  bucket: string,
  request: ListRequest,
  page: ListPage<ListedObject>,
  etagOf: (object: ListedObject) => string,
): string {
  const { form, prefix, delimiter, max, isUrlEncoded } = request
  const text = (value: string) => (isUrlEncoded ? encodeUri(value, { keepSlash: true }) : value)
  const optional = (name: string, value: string | undefined) =>
    value === undefined || value === '' ? undefined : element(name, value)
  const { items, commonPrefixes, next } = page
  const entries = items.map((item) => writeEntry(request, item, etagOf(item), text))
  const prefixes = commonPrefixes.map((each) => element('CommonPrefixes', [element('Prefix', text(each))]))
  const head = [element('Name', bucket), element('Prefix', text(prefix))]
  const tail = [
    element('MaxKeys', max),
    optional('Delimiter', text(delimiter)),
    element('IsTruncated', next !== undefined),
  ]
  const encoding = optional('EncodingType', isUrlEncoded ? 'url' : '')
  switch (form) {
    case 'v2':
      return writeXml(
        root('ListBucketResult', [
          ...head,
          optional('StartAfter', text(request.startAfter ?? '')),
          optional('ContinuationToken', request.continuationToken),
          optional('NextContinuationToken', next === undefined ? undefined : encodeToken(next)),
          element('KeyCount', items.length + commonPrefixes.length),
          ...tail,
          ...entries,
          ...prefixes,
          encoding,
        ]),
      )
    case 'v1':
      return writeXml(
        root('ListBucketResult', [
          ...head,
          element('Marker', text(request.after)),
          optional('NextMarker', next === undefined ? undefined : text(next)),
          ...tail,
          ...entries,
          ...prefixes,
          encoding,
        ]),
      )
    case 'versions':
      return writeXml(
        root('ListVersionsResult', [
          ...head,
          element('KeyMarker', text(request.after)),
          element('VersionIdMarker', ''),
          optional('NextKeyMarker', next === undefined ? undefined : text(next)),
          next === undefined ? undefined : element('NextVersionIdMarker', 'null'),
          ...tail,
          ...entries,
          ...prefixes,
          encoding,
        ]),
      )
  }
}

function writeEntry(
  { form, hasOwner }: ListRequest,
  { key, size, modifiedAt }: ListedObject,
  etag: string,
  text: (value: string) => string,
): XmlElement {
  const isVersion = form === 'versions'
  return element(isVersion ? 'Version' : 'Contents', [
    element('Key', text(key)),
    element('LastModified', new Date(modifiedAt).toISOString()),
    element('ETag', `"${etag}"`),
    element('Size', size),
    hasOwner ? element('Owner', OWNER) : undefined,
    element('StorageClass', 'STANDARD'),
    ...(isVersion ? [element('IsLatest', true), element('VersionId', 'null')] : []),
  ])
}
