/** Method, place and flags of a request → its command. */
import {
  createBucket,
  deleteBucket,
  deleteBucketEncryption,
  getAcl,
  getBucketEncryption,
  getBucketLocation,
  getBucketVersioning,
  getObjectTagging,
  headBucket,
  listBuckets,
  notConfigured,
  putBucketEncryption,
} from './buckets.ts'
import type { Call, Reply } from './call.ts'
import { copyObject, uploadPartCopy } from './copy-object.ts'
import { deleteObjects } from './delete-objects.ts'
import { S3Error } from './errors.ts'
import { getObject, getObjectAttributes, headObject } from './get-object.ts'
import { listObjects } from './listing-commands.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from './multipart.ts'
import type { NodeServices } from './node-services.ts'
import { deleteObject, putObject } from './put-object.ts'
import type { Target } from './target.ts'

export type NodeCommand = (services: NodeServices, call: Call) => Promise<Reply>

type Level = 'service' | 'bucket' | 'object'

interface Route {
  readonly method: string
  readonly level: Level
  /** A parameter that the query must have. */
  readonly flag?: string
  /** A header that must be there. */
  readonly header?: string
  readonly run: NodeCommand
}

/** The first that fits; those with a flag or a header stand before those without. */
const ROUTES: readonly Route[] = [
  { method: 'GET', level: 'service', run: listBuckets },

  { method: 'GET', level: 'bucket', flag: 'location', run: getBucketLocation },
  { method: 'GET', level: 'bucket', flag: 'encryption', run: getBucketEncryption },
  { method: 'GET', level: 'bucket', flag: 'versioning', run: getBucketVersioning },
  { method: 'GET', level: 'bucket', flag: 'uploads', run: listMultipartUploads },
  { method: 'GET', level: 'bucket', flag: 'acl', run: getAcl },
  {
    method: 'GET',
    level: 'bucket',
    flag: 'object-lock',
    run: notConfigured('ObjectLockConfigurationNotFoundError'),
  },
  { method: 'GET', level: 'bucket', flag: 'policy', run: notConfigured('NoSuchBucketPolicy') },
  { method: 'GET', level: 'bucket', flag: 'tagging', run: notConfigured('NoSuchTagSet') },
  { method: 'GET', level: 'bucket', flag: 'cors', run: notConfigured('NoSuchCORSConfiguration') },
  { method: 'GET', level: 'bucket', flag: 'lifecycle', run: notConfigured('NoSuchLifecycleConfiguration') },
  { method: 'GET', level: 'bucket', flag: 'website', run: notConfigured('NoSuchWebsiteConfiguration') },
  {
    method: 'GET',
    level: 'bucket',
    flag: 'replication',
    run: notConfigured('ReplicationConfigurationNotFoundError'),
  },
  { method: 'GET', level: 'bucket', run: listObjects },
  { method: 'HEAD', level: 'bucket', run: headBucket },
  { method: 'PUT', level: 'bucket', flag: 'encryption', run: putBucketEncryption },
  { method: 'PUT', level: 'bucket', run: createBucket },
  { method: 'POST', level: 'bucket', flag: 'delete', run: deleteObjects },
  { method: 'DELETE', level: 'bucket', flag: 'encryption', run: deleteBucketEncryption },
  { method: 'DELETE', level: 'bucket', run: deleteBucket },

  { method: 'GET', level: 'object', flag: 'uploadId', run: listParts },
  { method: 'GET', level: 'object', flag: 'attributes', run: getObjectAttributes },
  { method: 'GET', level: 'object', flag: 'tagging', run: getObjectTagging },
  { method: 'GET', level: 'object', flag: 'acl', run: getAcl },
  { method: 'GET', level: 'object', flag: 'retention', run: notConfigured('NoSuchObjectLockConfiguration') },
  { method: 'GET', level: 'object', flag: 'legal-hold', run: notConfigured('NoSuchObjectLockConfiguration') },
  { method: 'GET', level: 'object', run: getObject },
  { method: 'HEAD', level: 'object', run: headObject },
  { method: 'PUT', level: 'object', flag: 'uploadId', header: 'x-amz-copy-source', run: uploadPartCopy },
  { method: 'PUT', level: 'object', flag: 'uploadId', run: uploadPart },
  { method: 'PUT', level: 'object', header: 'x-amz-copy-source', run: copyObject },
  { method: 'PUT', level: 'object', run: putObject },
  { method: 'POST', level: 'object', flag: 'uploads', run: createMultipartUpload },
  { method: 'POST', level: 'object', flag: 'uploadId', run: completeMultipartUpload },
  { method: 'DELETE', level: 'object', flag: 'uploadId', run: abortMultipartUpload },
  { method: 'DELETE', level: 'object', run: deleteObject },
]

/** Parts of S3 that this node has not: a request for one must not be taken for a plain one. */
const UNSUPPORTED_FLAGS = [
  'accelerate',
  'acl',
  'analytics',
  'cors',
  'intelligent-tiering',
  'inventory',
  'legal-hold',
  'lifecycle',
  'logging',
  'metadataTable',
  'metrics',
  'notification',
  'object-lock',
  'ownershipControls',
  'policy',
  'policyStatus',
  'publicAccessBlock',
  'replication',
  'requestPayment',
  'restore',
  'retention',
  'select',
  'tagging',
  'torrent',
  'versioning',
  'website',
]

/** @throws S3Error 405 or 501 */
export function findRoute(
  method: string,
  { bucket, key, query }: Target,
  headers: Call['headers'],
): NodeCommand {
  const level: Level = bucket === '' ? 'service' : key === '' ? 'bucket' : 'object'
  const fitting = ROUTES.filter(
    (route) =>
      route.method === method &&
      route.level === level &&
      (route.flag === undefined || query.has(route.flag)) &&
      (route.header === undefined || headers[route.header] !== undefined),
  )
  const [route] = fitting
  const unsupported = UNSUPPORTED_FLAGS.find((flag) => query.has(flag))
  if (unsupported !== undefined && route?.flag !== unsupported) {
    throw S3Error.of('NotImplemented', { detail: `?${unsupported} is not supported` })
  }
  if (route === undefined) throw S3Error.of('MethodNotAllowed')
  return route.run
}
