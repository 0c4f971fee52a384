/** PutObject, DeleteObject. */

import { NoSuchKeyError } from '../disk/errors.ts'
import type { Condition, ObjectRecord } from '../disk/object-store.ts'
import { etagTag } from '../sse/etag.ts'
import { encryptionKind } from '../sse/metadata.ts'
import { type Call, NO_CONTENT, type Reply } from './call.ts'
import { checksumHeader } from './checksums.ts'
import { checkWriteConditions } from './conditions.ts'
import { S3Error } from './errors.ts'
import type { NodeServices } from './node-services.ts'
import { assertNoCopySourceKey, encryptionHeaders, needsMd5, writeEncryption } from './object-encryption.ts'
import { quotedEtag, readObjectHeaders } from './object-headers.ts'
import { viewForHead } from './object-view.ts'
import { writeObject } from './object-write.ts'
import { Payload } from './payload.ts'
import { checkVersion } from './target.ts'

export async function putObject(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket, key } = call.target
  services.store.bucket(bucket)
  assertNoCopySourceKey(call.headers)
  const encryption = await writeEncryption(services, call)
  const headers = readObjectHeaders(call.headers)
  const payload = new Payload(call.headers, call.signed)
  const size = payload.requireSize()
  const written = await writeObject(services, {
    bucket,
    key,
    headers,
    encryption,
    content: payload.read(call.body(), { needsMd5: needsMd5(encryption?.kind) }),
    condition: await writeCondition(services, call),
    facts: () => ({
      size,
      md5: payload.md5,
      checksum: payload.checksum,
      isChecksumTrailing: payload.isChecksumTrailing,
    }),
  })
  const customerKey = encryption?.kind === 'SSE-C' ? encryption.customerKey : undefined
  return {
    status: 200,
    headers: {
      etag: quotedEtag(written.etag),
      ...encryptionHeaders(written.encryption?.stored, customerKey),
      ...payloadChecksumHeaders(payload),
    },
  }
}

/** The checksum that came with the body, given back as proof that it was compared. */
export function payloadChecksumHeaders({ checksum }: Payload) {
  if (checksum === undefined) return {}
  return {
    [checksumHeader(checksum.algorithm)]: checksum.digest.toString('base64'),
    'x-amz-checksum-type': 'FULL_OBJECT',
  }
}

/**
 * The conditions of a write, looked at when it is made. What they say of an ETag is compared with what the client saw,
 * for which SSE-S3 needs the KMS: it is opened before, and must then still be the object's.
 */
export async function writeCondition(
  services: NodeServices,
  { target, headers }: Pick<Call, 'target' | 'headers'>,
): Promise<Condition | undefined> {
  const conditions = [headers['if-match'], headers['if-none-match']].filter((each) => each !== undefined)
  if (conditions.length === 0) return undefined
  const namesEtag = conditions.some((each) => each !== '*')
  const seen = namesEtag ? await seenEtag(services, target.bucket, target.key) : undefined
  return (current) => {
    if (namesEtag && current?.revision !== seen?.revision) throw S3Error.of('ConditionalRequestConflict')
    checkWriteConditions(
      headers,
      current && { etag: seen?.etag ?? current.etag, modifiedMs: current.modifiedAt },
    )
  }
}

async function seenEtag(
  services: NodeServices,
  bucket: string,
  key: string,
): Promise<{ etag: string; revision: number } | undefined> {
  let record: ObjectRecord
  try {
    record = services.store.stat(bucket, key)
  } catch (error) {
    if (error instanceof NoSuchKeyError) return undefined
    throw error
  }
  const { revision, internal } = record
  // The tag form of a client's own key's object needs no key.
  const isClients = encryptionKind(internal) === 'SSE-C'
  const etag = isClients ? etagTag(record.etag) : (await viewForHead(services, record, undefined, false)).etag
  return { etag, revision }
}

export async function deleteObject(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket, key, query } = call.target
  checkVersion(query)
  await services.store.delete(bucket, key, await writeCondition(services, call))
  return NO_CONTENT
}
