/** What a console shows of a node: its buckets and objects with their encryption, and what an external key opens. */
import { KmsError } from '@latchkey/kms-client/kms'
import type { BucketEncryption } from '../s3/bucket-encryption.ts'
import type { BucketSettings } from '../s3/bucket-settings.ts'
import type { Call, Reply } from '../s3/call.ts'
import { listedEtags } from '../s3/listed-etags.ts'
import { readMax } from '../s3/listing.ts'
import { encryptionInBrief } from '../sse/metadata.ts'
import { KEY_ARN_PREFIX } from '../sse/mode.ts'
import type { AdminServices } from './commands.ts'
import { json } from './replies.ts'

const HOLDINGS_MAX = 1000

/** `GET …/buckets` */
export async function viewBuckets({ store, settings, kms }: AdminServices): Promise<Reply> {
  const buckets = []
  for (const { name, createdAt } of store.buckets()) {
    const encryption = await encryptionOf(settings, name, kms?.defaultKey)
    buckets.push({ name, created: new Date(createdAt).toISOString(), encryption })
  }
  return json({ buckets })
}

interface ShownEncryption {
  readonly kind: string
  readonly key_id?: string | undefined
}

/** Where the key of the settings can't be used, nobody knows what they are, and nothing can be stored in the bucket. */
async function encryptionOf(
  settings: BucketSettings,
  bucket: string,
  defaultKey: string | undefined,
): Promise<ShownEncryption | null> {
  try {
    const { encryption } = await settings.of(bucket)
    return encryption?.algorithm === undefined ? null : shown(encryption, defaultKey)
  } catch (error) {
    if (error instanceof KmsError) return { kind: 'unknown' }
    throw error
  }
}

function shown({ algorithm, keyId }: BucketEncryption, defaultKey: string | undefined): ShownEncryption {
  if (algorithm === 'AES256') return { kind: 'SSE-S3', key_id: defaultKey }
  const isArn = keyId?.startsWith(KEY_ARN_PREFIX) === true
  return { kind: 'SSE-KMS', key_id: isArn ? keyId.slice(KEY_ARN_PREFIX.length) : keyId }
}

/** `GET …/objects?bucket=…&prefix=…&delimiter=…&after=…&max=…`: a page of a listing, with the encryption of each object. */
export async function viewObjects(
  { store, kms }: AdminServices,
  { target: { query } }: Call,
): Promise<Reply> {
  const bucket = query.get('bucket') ?? ''
  const optional = (name: 'prefix' | 'delimiter' | 'after') => {
    const value = query.get(name)
    return value === undefined || value === '' ? {} : { [name]: value }
  }
  const max = Math.max(1, readMax(query.get('max')))
  const page = store.list(bucket, {
    ...optional('prefix'),
    ...optional('delimiter'),
    ...optional('after'),
    max,
  })
  const kinds = page.items.map(({ key }) => encryptionInBrief(store.stat(bucket, key).internal))
  const etagOf = await listedEtags({ store, kms }, bucket, page.items)
  const objects = page.items.map((item, index) => {
    const encryption = kinds[index]
    return {
      key: item.key,
      size: item.size,
      etag: etagOf(item),
      modified: new Date(item.modifiedAt).toISOString(),
      encryption: encryption === undefined ? null : { kind: encryption.kind, key_id: encryption.externalKey },
    }
  })
  return json({ objects, prefixes: page.commonPrefixes, next: page.next ?? null })
}

/** `GET …/objects-of-key?key=…&max=…`: what is lost with an external key; of the objects the largest are named. */
export async function viewKeyHoldings(
  { store, isBackendUnder }: AdminServices,
  { target: { query } }: Call,
): Promise<Reply> {
  const externalKey = query.get('key') ?? ''
  const max = readMax(query.get('max') ?? '100', HOLDINGS_MAX)
  const { objects: count, bytes, uploads, largest } = store.holdingsOf(externalKey, max)
  const objects = largest.map(({ bucket, key, size, internal }) => ({
    bucket,
    key,
    size,
    kind: encryptionInBrief(internal)?.kind ?? 'unknown',
  }))
  const isTruncated = count > objects.length
  return json({
    count,
    bytes,
    objects,
    truncated: isTruncated,
    uploads,
    backend: isBackendUnder(externalKey),
  })
}
