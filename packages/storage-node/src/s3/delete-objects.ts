/** `POST /bucket?delete`: up to 1,000 objects in one request, each with an answer of its own. */
import { type Call, type Reply, readSmallBody, xmlReply } from './call.ts'
import { S3Error } from './errors.ts'
import { asNodeError } from './node-errors.ts'
import type { NodeServices } from './node-services.ts'
import { writeCondition } from './put-object.ts'
import { checkKey } from './target.ts'
import {
  childrenOf,
  element,
  malformedXml,
  rawTextOf,
  readXml,
  root,
  textOf,
  writeXml,
  type XmlElement,
} from './xml.ts'

const OBJECTS_MAX = 1000
const BODY_BYTES_MAX = 2 * 1024 * 1024

interface Named {
  readonly key: string
  readonly versionId: string | undefined
  readonly etag: string | undefined
}

export async function deleteObjects(services: NodeServices, call: Call): Promise<Reply> {
  const { bucket } = call.target
  services.store.bucket(bucket)
  assertHasDigest(call)
  const document = readXml(await readSmallBody(call, BODY_BYTES_MAX), 'Delete')
  const isQuiet = textOf(document, 'Quiet')?.toLowerCase() === 'true'
  const objects = childrenOf(document, 'Object').map((object) => ({
    key: rawTextOf(object, 'Key') ?? '',
    versionId: textOf(object, 'VersionId') || undefined,
    etag: textOf(object, 'ETag') || undefined,
  }))
  if (objects.length === 0 || objects.length > OBJECTS_MAX) throw malformedXml()
  const results: XmlElement[] = []
  for (const object of objects) {
    const result = await deleteOne(services, call, object)
    if (!isQuiet || result.name === 'Error') results.push(result)
  }
  return xmlReply(writeXml(root('DeleteResult', results)))
}

async function deleteOne(services: NodeServices, call: Call, object: Named): Promise<XmlElement> {
  const { bucket } = call.target
  const { key, versionId, etag } = object
  const version = versionId === undefined ? [] : [element('VersionId', versionId)]
  try {
    if (key === '') throw S3Error.of('XMinioInvalidObjectName')
    if (versionId !== undefined && versionId !== 'null') throw S3Error.of('NoSuchVersion')
    checkKey(key)
    const headers = etag === undefined ? {} : { 'if-match': etag }
    const condition = await writeCondition(services, { target: { ...call.target, key }, headers })
    await services.store.delete(bucket, key, condition)
    return element('Deleted', [element('Key', key), ...version])
  } catch (thrown) {
    const error = asNodeError(thrown)
    return element('Error', [
      element('Code', error.code),
      element('Message', error.message),
      element('Key', key),
      ...version,
    ])
  }
}

/** A list of what is to be destroyed must have come as it was sent: AWS and MinIO both insist. */
function assertHasDigest({ headers, signed }: Call): void {
  const names = Object.keys(headers)
  const hasDigest = names.some((name) => name === 'content-md5' || /^x-amz-checksum-/.test(name))
  if (hasDigest || headers['x-amz-trailer'] !== undefined || /^[0-9a-f]{64}$/.test(signed.payload)) return
  throw S3Error.of('InvalidRequest', {
    message: 'Missing required header for this request: Content-Md5',
  })
}
