/** Content → a stored object: what PutObject, a form upload and a copy have in common. */
import { randomUUID } from 'node:crypto'
import type { Condition, ObjectProperties, ObjectRecord } from '../disk/object-store.ts'
import { encryptContent } from '../sse/content.ts'
import { beginEncryption, type NewEncryption } from '../sse/encryption.ts'
import { sealEtag } from '../sse/etag.ts'
import { CHECKSUM_NAME, encodeEncryption } from '../sse/metadata.ts'
import type { EncryptionRequest } from '../sse/mode.ts'
import { encodeChecksum } from './checksum-record.ts'
import type { Checksum } from './checksums.ts'
import { EtagSealer } from './listed-etags.ts'
import type { NodeServices } from './node-services.ts'
import { storedChecksum } from './object-view.ts'

export interface NewObject {
  readonly bucket: string
  readonly key: string
  readonly content: AsyncIterable<Uint8Array>
  readonly headers: Readonly<Record<string, string>>
  readonly encryption: EncryptionRequest | undefined
  readonly condition?: Condition | undefined
  /** What is known once the content has ended. */
  readonly facts: () => ContentFacts
}

export interface ContentFacts {
  readonly size: number
  /** 16 bytes; absent where nobody asked for it. */
  readonly md5: Buffer | undefined
  readonly checksum: Checksum | undefined
  readonly isChecksumTrailing: boolean
}

export interface WrittenObject {
  readonly record: ObjectRecord
  /** What the client sees as ETag. */
  readonly etag: string
  readonly encryption: NewEncryption | undefined
}

/** @throws S3Error, KmsError, SseError, StorageError */
export async function writeObject(
  services: Pick<NodeServices, 'store' | 'kms'>,
  object: NewObject,
): Promise<WrittenObject> {
  const { store, kms } = services
  const { bucket, key, content, encryption: request } = object
  // Both at once, because each is a call of the KMS; if both fail, the data key's failure is the answer.
  const sealer = request?.kind === 'SSE-S3' ? EtagSealer.open(services, bucket) : undefined
  sealer?.catch(() => {})
  const encryption = request && (await beginEncryption(kms, { bucket, key }, request))
  const etagSealer = await sealer
  let etag = ''
  const finish = (): ObjectProperties => {
    const { size, md5, checksum, isChecksumTrailing } = object.facts()
    const plain = md5 ?? uuidBytes()
    etag = plain.toString('hex')
    const objectKey = encryption?.objectKey
    const stored = objectKey === undefined ? etag : sealEtag(objectKey, plain)
    const record =
      checksum && encodeChecksum({ ...checksum, type: 'FULL_OBJECT' }, { isTrailing: isChecksumTrailing })
    return {
      size,
      etag: stored,
      internal: {
        ...(encryption && encodeEncryption(encryption.stored)),
        ...(record && { [CHECKSUM_NAME]: storedChecksum(record, objectKey) }),
      },
      headers: object.headers,
      listedEtag: etagSealer?.seal(bucket, key, plain),
    }
  }
  const stored = encryption === undefined ? content : encryptContent(content, encryption.objectKey)
  const options = { isAuthenticated: encryption !== undefined, condition: object.condition }
  const record = await store.put(bucket, key, stored, finish, options)
  const shown = request === undefined || request.kind === 'SSE-S3' ? etag : record.etag.slice(-32)
  return { record, etag: shown, encryption }
}

/** An ETag that says nothing of the content, which the client did not name itself. */
export function uuidBytes(): Buffer {
  return Buffer.from(randomUUID().replaceAll('-', ''), 'hex')
}
