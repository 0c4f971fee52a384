/** An error → the reply that S3 clients, or `mc admin`, read it from. */
import type { Reply } from './call.ts'
import type { S3Error } from './errors.ts'
import { element, writeXml } from './xml.ts'

export interface ErrorPlace {
  readonly bucket: string
  readonly key: string
  /** The decoded path. */
  readonly path: string
  readonly requestId: string
  /** Names this node. */
  readonly hostId: string
}

/** HEAD has no body: MinIO's clients read two headers instead. */
export function headErrorReply(error: S3Error): Reply {
  return {
    status: error.status,
    headers: {
      ...error.headers,
      'x-minio-error-code': error.code,
      'x-minio-error-desc': `"${error.message}"`,
    },
  }
}

export function xmlErrorReply(error: S3Error, place: ErrorPlace): Reply {
  const body = writeXml(
    element('Error', [
      element('Code', error.code),
      element('Message', error.message),
      place.key === '' ? undefined : element('Key', place.key),
      place.bucket === '' ? undefined : element('BucketName', place.bucket),
      element('Resource', place.path),
      element('RequestId', place.requestId),
      element('HostId', place.hostId),
      ...Object.entries(error.elements).map(([name, value]) => element(name, value)),
    ]),
  )
  return { status: error.status, headers: { ...error.headers, 'content-type': 'application/xml' }, body }
}

/** The form of the KMS and admin APIs. */
export function jsonErrorReply(error: S3Error, place: ErrorPlace): Reply {
  const body = JSON.stringify({
    Code: error.code,
    Message: error.message,
    Resource: place.path,
    RequestId: place.requestId,
    HostId: place.hostId,
  })
  return {
    status: error.status,
    headers: { ...error.headers, 'content-type': 'application/json' },
    body: `${body}\n`,
  }
}
