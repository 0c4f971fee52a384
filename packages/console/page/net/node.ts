/** The storage node, as the console's server shows it. */
import type { Session } from './session.ts'

export interface Encryption {
  readonly kind: string
  readonly key_id?: string | null
}

export interface Bucket {
  readonly name: string
  readonly created: string
  readonly encryption: Encryption | null
}

export interface StoredObject {
  readonly key: string
  readonly size: number
  readonly etag: string
  readonly modified: string
  readonly encryption: Encryption | null
}

export interface ObjectPage {
  readonly objects: readonly StoredObject[]
  readonly prefixes: readonly string[]
  readonly next: string | null
}

export interface Stage {
  readonly name: string
  readonly outcome: 'opens' | 'fails' | 'not tried'
  readonly reason?: string
  readonly keyState?: 'locked' | 'erased'
}

/** What `latchkey-node object explain --json` prints. */
export interface ExplainedObject {
  readonly bucket: string
  readonly key: string
  readonly size: number
  readonly storedBytes: number
  readonly modifiedAt: string
  readonly kind: string
  readonly externalKey?: string
  readonly context?: string
  readonly dataKeyBytes?: number
  readonly sealAlgorithm?: string
  readonly sealedKeyBytes?: number
  readonly keys: string
  readonly parts: readonly { readonly number: number; readonly dare?: { readonly cipher: string } }[]
  readonly stages: readonly Stage[]
}

/** What dies with an external key. */
export interface ObjectsOfKey {
  readonly count: number
  readonly bytes: number
  readonly objects: readonly {
    readonly bucket: string
    readonly key: string
    readonly size: number
    readonly kind: string
  }[]
  readonly truncated: boolean
  readonly uploads?: number
  readonly backend?: boolean
}

/** One segment each, also of a key with slashes: browsers fold the segments `.` and `..` of a URL. */
function nodePath(kind: string, ...names: readonly string[]): string {
  return ['/console/node', kind, ...names.map((name) => encodeURIComponent(name.toWellFormed()))].join('/')
}

export async function listBuckets(session: Session): Promise<readonly Bucket[]> {
  const { buckets } = await session.json<{ buckets: readonly Bucket[] }>(nodePath('buckets'))
  return buckets
}

export function makeBucket(session: Session, bucket: string): Promise<void> {
  return session.send(nodePath('bucket', bucket), { method: 'PUT' })
}

export function removeBucket(session: Session, bucket: string): Promise<void> {
  return session.send(nodePath('bucket', bucket), { method: 'DELETE' })
}

export function setBucketEncryption(
  session: Session,
  bucket: string,
  encryption: Encryption | null,
): Promise<void> {
  const path = nodePath('encryption', bucket)
  return encryption === null
    ? session.send(path, { method: 'DELETE' })
    : session.send(path, { method: 'PUT', body: encryption })
}

export interface ListOptions {
  readonly prefix: string
  readonly after: string | undefined
  readonly signal: AbortSignal
}

const PAGE_OBJECTS = 200

export function listObjects(
  session: Session,
  bucket: string,
  { prefix, after, signal }: ListOptions,
): Promise<ObjectPage> {
  const query = new URLSearchParams({ prefix, delimiter: '/', max: String(PAGE_OBJECTS) })
  if (after !== undefined) query.set('after', after)
  return session.json(`${nodePath('objects', bucket)}?${query}`, { signal })
}

export function readObject(session: Session, bucket: string, key: string): Promise<Blob> {
  return session.download(nodePath('object', bucket, key))
}

export function removeObject(session: Session, bucket: string, key: string): Promise<void> {
  return session.send(nodePath('object', bucket, key), { method: 'DELETE' })
}

/** @param encryption - undefined for the bucket's default. */
export function putObject(
  session: Session,
  target: { readonly bucket: string; readonly key: string; readonly encryption: Encryption | undefined },
  content: Blob,
  onProgress: (bytes: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const headers = {
    'content-type': content.type === '' ? 'application/octet-stream' : content.type,
    ...encryptionHeaders(target.encryption),
  }
  return session.upload(nodePath('object', target.bucket, target.key), content, headers, onProgress, signal)
}

function encryptionHeaders(encryption: Encryption | undefined): Record<string, string> {
  if (encryption === undefined) return {}
  const header = 'x-amz-server-side-encryption'
  if (encryption.kind !== 'SSE-KMS') return { [header]: 'AES256' }
  return {
    [header]: 'aws:kms',
    ...(encryption.key_id && { [`${header}-aws-kms-key-id`]: encryption.key_id }),
  }
}

export function explainObject(
  session: Session,
  bucket: string,
  key: string,
  signal: AbortSignal,
): Promise<ExplainedObject> {
  return session.json(nodePath('explain', bucket, key), { signal })
}

export function objectsOfKey(session: Session, name: string, signal: AbortSignal): Promise<ObjectsOfKey> {
  return session.json(`${nodePath('objects-of-key', name)}?max=100`, { signal })
}
