/** The console's calls about the storage node: its buckets and objects, for the admin. */
import type { IncomingMessage } from 'node:http'
import { readTexts } from '../body.ts'
import { ConsoleError, refusal } from '../errors.ts'
import { type Answer, decodePath, type Exchange } from '../exchange.ts'
import type { Route, Services } from '../routes.ts'
import type { NodeClient } from './node-client.ts'

const BUCKETS = '/console/node/buckets'
const BUCKET = '/console/node/bucket/'
const ENCRYPTION = '/console/node/encryption/'
const OBJECTS = '/console/node/objects/'
const OBJECT = '/console/node/object/'
const EXPLAIN = '/console/node/explain/'
const OBJECTS_OF_KEY = '/console/node/objects-of-key/'

export const NODE_ROUTES: readonly Route[] = [
  { method: 'GET', path: BUCKETS, access: 'admin', run: listBuckets },
  { method: 'PUT', path: BUCKET, access: 'admin', run: makeBucket },
  { method: 'DELETE', path: BUCKET, access: 'admin', run: removeBucket },
  { method: 'PUT', path: ENCRYPTION, access: 'admin', run: setEncryption },
  { method: 'DELETE', path: ENCRYPTION, access: 'admin', run: removeEncryption },
  { method: 'GET', path: OBJECTS, access: 'admin', run: listObjects },
  { method: 'GET', path: OBJECT, access: 'admin', run: readObject },
  { method: 'HEAD', path: OBJECT, access: 'admin', run: readObject },
  { method: 'PUT', path: OBJECT, access: 'admin', run: storeObject },
  { method: 'DELETE', path: OBJECT, access: 'admin', run: deleteObject },
  { method: 'GET', path: EXPLAIN, access: 'admin', run: explainObject },
  { method: 'GET', path: OBJECTS_OF_KEY, access: 'admin', run: listObjectsOfKey },
]

function nodeOf({ node }: Services): NodeClient {
  if (node === undefined) throw new ConsoleError(404, 'NodeNotConfigured', 'the console has no storage node')
  return node
}

/** What stands behind the route's path, decoded. @throws ConsoleError 400 */
function argumentOf({ rawPath }: Exchange, route: string): string {
  const argument = decodePath(rawPath.slice(route.length))
  if (argument === undefined || argument === '') throw refusal('InvalidPath')
  return argument
}

/** The node would take any other for a part of its API, or for no bucket at all. */
const BUCKET_NAME = /^(?!minio$)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/

function checkBucket(bucket: string): string {
  if (BUCKET_NAME.test(bucket)) return bucket
  throw new ConsoleError(400, 'InvalidBucketName', 'the bucket name is not valid')
}

function bucketOf(exchange: Exchange, route: string): string {
  return checkBucket(argumentOf(exchange, route))
}

function placeOf(exchange: Exchange, route: string): { readonly bucket: string; readonly key: string } {
  const argument = argumentOf(exchange, route)
  const slash = argument.indexOf('/')
  if (slash < 0 || slash === argument.length - 1) throw refusal('InvalidPath')
  return { bucket: checkBucket(argument.slice(0, slash)), key: argument.slice(slash + 1) }
}

async function listBuckets(services: Services): Promise<Answer> {
  return { json: await nodeOf(services).view('buckets', {}), audit: 'buckets of the node listed' }
}

async function makeBucket(services: Services, exchange: Exchange): Promise<Answer> {
  await done(nodeOf(services).send('PUT', [bucketOf(exchange, BUCKET)]))
  return { json: {}, audit: 'bucket made' }
}

async function removeBucket(services: Services, exchange: Exchange): Promise<Answer> {
  await done(nodeOf(services).send('DELETE', [bucketOf(exchange, BUCKET)]))
  return { json: {}, audit: 'bucket removed' }
}

const KEY_NAME = /^[\w-]{1,80}$/

/** SSE-S3 is under the node's own key, so it has no key id. */
async function setEncryption(services: Services, exchange: Exchange): Promise<Answer> {
  const node = nodeOf(services)
  const bucket = bucketOf(exchange, ENCRYPTION)
  const { kind, key_id: keyId } = await readTexts(exchange.request, ['kind'], ['key_id'])
  const isKms = kind === 'SSE-KMS'
  if (kind !== 'SSE-S3' && !isKms) throw refusal('InvalidBody')
  if (isKms && !KEY_NAME.test(keyId ?? '')) throw refusal('InvalidBody')
  const rule = isKms
    ? `<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>${keyId}</KMSMasterKeyID>`
    : '<SSEAlgorithm>AES256</SSEAlgorithm>'
  const inner = `<ApplyServerSideEncryptionByDefault>${rule}</ApplyServerSideEncryptionByDefault>`
  const body = `<ServerSideEncryptionConfiguration><Rule>${inner}</Rule></ServerSideEncryptionConfiguration>`
  const headers = { 'content-length': String(body.length) }
  await done(node.send('PUT', [bucket], { query: { encryption: '' }, headers, body }))
  return { json: {}, audit: `encryption of the bucket set to ${isKms ? `SSE-KMS with '${keyId}'` : kind}` }
}

async function removeEncryption(services: Services, exchange: Exchange): Promise<Answer> {
  const query = { encryption: '' }
  await done(nodeOf(services).send('DELETE', [bucketOf(exchange, ENCRYPTION)], { query }))
  return { json: {}, audit: 'encryption of the bucket removed' }
}

async function listObjects(services: Services, exchange: Exchange): Promise<Answer> {
  const bucket = bucketOf(exchange, OBJECTS)
  const query = { bucket, ...queryOf(exchange, ['prefix', 'delimiter', 'after', 'max']) }
  return { json: await nodeOf(services).view('objects', query), audit: 'objects listed' }
}

async function explainObject(services: Services, exchange: Exchange): Promise<Answer> {
  return {
    json: await nodeOf(services).view('explain', placeOf(exchange, EXPLAIN)),
    audit: 'object explained',
  }
}

async function listObjectsOfKey(services: Services, exchange: Exchange): Promise<Answer> {
  const query = { key: argumentOf(exchange, OBJECTS_OF_KEY), ...queryOf(exchange, ['max']) }
  return { json: await nodeOf(services).view('objects-of-key', query), audit: 'objects of the key listed' }
}

function queryOf({ query }: Exchange, names: readonly string[]): Record<string, string | undefined> {
  return Object.fromEntries(names.map((name) => [name, query.get(name) ?? undefined]))
}

const SHOWN_HEADERS = [
  'content-length',
  'content-range',
  'etag',
  'last-modified',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
]

/**
 * No content of an object may be taken for a page of the console's own origin, so its type stands in a header that
 * browsers don't know.
 */
async function readObject(services: Services, exchange: Exchange): Promise<Answer> {
  const { request, response } = exchange
  const { bucket, key } = placeOf(exchange, OBJECT)
  const { range } = request.headers
  const answer = await nodeOf(services).send(request.method ?? '', [bucket, key], {
    headers: range === undefined ? {} : { range },
    for: response,
  })
  const isHead = request.method === 'HEAD'
  if (isHead) answer.resume()
  return {
    status: answer.statusCode ?? 200,
    headers: {
      ...headersOf(answer, SHOWN_HEADERS),
      'content-type': 'application/octet-stream',
      'content-disposition': 'attachment',
      'x-object-content-type': String(answer.headers['content-type'] ?? ''),
    },
    body: isHead ? undefined : answer,
    audit: isHead ? 'object looked at' : 'object read',
  }
}

const SENT_HEADERS = [
  'content-type',
  'content-length',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
]

async function storeObject(services: Services, exchange: Exchange): Promise<Answer> {
  const { request, response } = exchange
  const { bucket, key } = placeOf(exchange, OBJECT)
  if (request.headers['content-length'] === undefined) throw refusal('LengthRequired')
  const headers = headersOf(request, SENT_HEADERS)
  const stored = nodeOf(services).send('PUT', [bucket, key], { headers, body: request, for: response })
  const { etag = '' } = headersOf(await done(stored), ['etag'])
  return { json: { etag: etag.replaceAll('"', '') }, audit: 'object stored' }
}

async function deleteObject(services: Services, exchange: Exchange): Promise<Answer> {
  const { bucket, key } = placeOf(exchange, OBJECT)
  await done(nodeOf(services).send('DELETE', [bucket, key]))
  return { json: {}, audit: 'object deleted' }
}

function headersOf({ headers }: IncomingMessage, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    names.flatMap((name) => {
      const value = headers[name]
      return typeof value === 'string' ? [[name, value]] : []
    }),
  )
}

/** Of an answer that has nothing more to say. */
async function done(answering: Promise<IncomingMessage>): Promise<IncomingMessage> {
  const answer = await answering
  answer.resume()
  return answer
}
