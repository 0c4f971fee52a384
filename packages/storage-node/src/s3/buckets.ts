/** What is done to buckets, and to the service as a whole. */

import { KEY_ARN_PREFIX } from '../sse/mode.ts'
import { readBucketEncryption, writeBucketEncryption } from './bucket-encryption.ts'
import { type Call, EMPTY_OK, NO_CONTENT, type Reply, readSmallBody, xmlReply } from './call.ts'
import { type S3Code, S3Error } from './errors.ts'
import { OWNER } from './listing.ts'
import { KMS_NOT_CONFIGURED } from './node-errors.ts'
import type { NodeServices } from './node-services.ts'
import { isBucketName } from './target.ts'
import { element, readXml, root, writeXml } from './xml.ts'

const CONFIGURATION_BYTES_MAX = 1024 * 1024

export async function listBuckets({ store }: NodeServices): Promise<Reply> {
  const buckets = store
    .buckets()
    .map(({ name, createdAt }) =>
      element('Bucket', [element('Name', name), element('CreationDate', new Date(createdAt).toISOString())]),
    )
  return xmlReply(
    writeXml(root('ListAllMyBucketsResult', [element('Owner', OWNER), element('Buckets', buckets)])),
  )
}

export async function createBucket({ store }: NodeServices, call: Call): Promise<Reply> {
  const { bucket } = call.target
  if (!isBucketName(bucket) || bucket === 'minio') throw S3Error.of('InvalidBucketName')
  if (call.headers['x-amz-bucket-object-lock-enabled']?.toString().toLowerCase() === 'true') {
    throw S3Error.of('NotImplemented')
  }
  const body = await readSmallBody(call, CONFIGURATION_BYTES_MAX)
  if (body.length > 0) readXml(body, 'CreateBucketConfiguration') // The one region there is takes any name.
  await store.createBucket(bucket)
  return { status: 200, headers: { location: `/${bucket}` } }
}

export async function headBucket({ store }: NodeServices, { target }: Call): Promise<Reply> {
  store.bucket(target.bucket)
  return { status: 200, headers: { 'content-type': 'application/xml' } }
}

export async function deleteBucket({ store, settings }: NodeServices, { target }: Call): Promise<Reply> {
  await store.deleteBucket(target.bucket)
  settings.forget(target.bucket)
  return NO_CONTENT
}

export async function getBucketLocation({ store }: NodeServices, { target }: Call): Promise<Reply> {
  store.bucket(target.bucket)
  return xmlReply(writeXml(root('LocationConstraint', '')))
}

/** Versions are not kept: no status, as for a bucket that never had any. */
export async function getBucketVersioning({ store }: NodeServices, { target }: Call): Promise<Reply> {
  store.bucket(target.bucket)
  return xmlReply(writeXml(root('VersioningConfiguration', [])))
}

export async function getBucketEncryption({ settings }: NodeServices, { target }: Call): Promise<Reply> {
  const { encryption } = await settings.of(target.bucket)
  if (encryption === undefined) throw S3Error.of('ServerSideEncryptionConfigurationNotFoundError')
  return xmlReply(writeBucketEncryption(encryption))
}

/** A key that is named must work: the KMS makes a data key under it. AES256 needs only that there is a KMS. */
export async function putBucketEncryption(services: NodeServices, call: Call): Promise<Reply> {
  const { store, settings, kms } = services
  const { bucket } = call.target
  store.bucket(bucket)
  const encryption = readBucketEncryption(await readSmallBody(call, CONFIGURATION_BYTES_MAX))
  if (kms === undefined) throw S3Error.of('NotImplemented', { message: KMS_NOT_CONFIGURED })
  const { keyId } = encryption
  if (keyId !== undefined) {
    const made = await kms.generateKey({ key: withoutArn(keyId), context: CHECK_CONTEXT })
    made.plaintext[Symbol.dispose]()
  }
  await settings.set(bucket, { encryption })
  return EMPTY_OK
}

/** As MinIO checks a key. */
const CHECK_CONTEXT = { 'MinIO admin API': 'ServerInfoHandler' }

function withoutArn(keyId: string): string {
  return keyId.startsWith(KEY_ARN_PREFIX) ? keyId.slice(KEY_ARN_PREFIX.length) : keyId
}

export async function deleteBucketEncryption({ settings }: NodeServices, { target }: Call): Promise<Reply> {
  await settings.set(target.bucket, {})
  return NO_CONTENT
}

/** Nothing is tagged here. */
export async function getObjectTagging({ store }: NodeServices, { target }: Call): Promise<Reply> {
  store.stat(target.bucket, target.key)
  return xmlReply(writeXml(root('Tagging', [element('TagSet')])))
}

/** Everything belongs to one owner, who may do everything. */
export async function getAcl({ store }: NodeServices, { target }: Call): Promise<Reply> {
  if (target.key === '') store.bucket(target.bucket)
  else store.stat(target.bucket, target.key)
  const grantee = '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
  const body = writeXml(
    root('AccessControlPolicy', [
      element('Owner', OWNER),
      element('AccessControlList', [
        element('Grant', [element('Grantee', OWNER), element('Permission', 'FULL_CONTROL')]),
      ]),
    ]),
  )
  // The one element with an attribute.
  return xmlReply(body.replace('<Grantee>', grantee))
}

/** What was never set, and can't be: an error with a name that clients know. */
export function notConfigured(code: S3Code) {
  return async ({ store }: NodeServices, { target }: Call): Promise<Reply> => {
    store.bucket(target.bucket)
    throw S3Error.of(code)
  }
}
