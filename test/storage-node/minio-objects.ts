/** Puts the recorded objects of a MinIO server into a node's store, bytes and metadata as they were on its drive. */
import { createSecretKey } from 'node:crypto'
import { encryptBytes } from '../../packages/storage-node/src/dare/encrypt.ts'
import type { FileObjectStore } from '../../packages/storage-node/src/disk/file-object-store.ts'
import type { ObjectProperties } from '../../packages/storage-node/src/disk/object-store.ts'
import { generatedPlaintext, readMinioVectors } from '../minio-vectors.ts'

export interface RecordedPart {
  readonly number: number
  readonly plainSize: number
  readonly storedSize: number
  readonly generatorLabel: string
  readonly plaintextSHA256: string
  readonly storedSHA256: string
  readonly firstDareHeader: string | null
  readonly partKey?: string
  readonly uploadResponseETag?: string
  readonly stored?: string
}

export interface RecordedObject {
  readonly id: string
  readonly kind: 'SSE-S3' | 'SSE-KMS' | 'SSE-C'
  readonly bucket: string
  readonly object: string
  readonly size: number
  readonly multipart: boolean
  readonly metaSys: Readonly<Record<string, string>>
  readonly metaUser: Readonly<Record<string, string>>
  readonly keys: { readonly oek: string }
  readonly parts: readonly RecordedPart[]
}

export const RECORDED_OBJECTS = readMinioVectors<RecordedObject>('objects.json')

/** What lay on the drive; made again where it is too long to be kept, with the recorded key and nonce. */
export function storedBytes({ keys }: RecordedObject, part: RecordedPart): Buffer {
  if (part.stored !== undefined) return Buffer.from(part.stored, 'base64')
  const key = createSecretKey(Buffer.from(part.partKey ?? keys.oek, 'hex'))
  const header = Buffer.from(part.firstDareHeader ?? '', 'hex')
  return encryptBytes(generatedPlaintext(part.generatorLabel, part.plainSize), key, {
    cipher: header[1] === 1 ? 'ChaCha20-Poly1305' : 'AES-256-GCM',
    nonce: header.subarray(4, 16),
  })
}

/** A binary value has a name with `;base64` in the recording. */
function internalOf({ metaSys }: RecordedObject): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metaSys).map(([name, value]) => [name.replace(/;base64$/, ''), value]),
  )
}

/** @returns the objects' properties; `etag` is MinIO's, which it keeps among the headers. */
function propertiesOf(object: RecordedObject): ObjectProperties {
  const { etag = '', ...headers } = Object.fromEntries(
    Object.entries(object.metaUser).map(([name, value]) => [name.toLowerCase(), value]),
  )
  return { size: object.size, etag, internal: internalOf(object), headers }
}

/** Makes the buckets, too. */
export async function putRecordedObjects(store: FileObjectStore): Promise<void> {
  const names = new Set(RECORDED_OBJECTS.map(({ bucket }) => bucket))
  for (const name of names) await store.createBucket(name)
  for (const object of RECORDED_OBJECTS) await putRecordedObject(store, object)
}

async function putRecordedObject(store: FileObjectStore, object: RecordedObject): Promise<void> {
  const { bucket, object: key, multipart, parts } = object
  const properties = propertiesOf(object)
  const options = { isAuthenticated: true }
  const [first] = parts
  if (!multipart && first !== undefined) {
    await store.put(bucket, key, pieces(storedBytes(object, first)), () => properties, options)
    return
  }
  const upload = await store.createUpload(bucket, key, { internal: {}, headers: {} })
  for (const part of parts) {
    const finish = () => ({ size: part.plainSize, etag: String(part.number) })
    await store.putPart(upload, part.number, pieces(storedBytes(object, part)), finish, options)
  }
  const named = parts.map(({ number }) => ({ number, etag: String(number) }))
  await store.completeUpload(upload, named, properties)
}

async function* pieces(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}
