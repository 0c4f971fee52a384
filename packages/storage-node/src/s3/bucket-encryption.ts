/** A bucket's default encryption: the document that clients set and get, and what it adds to a request. */
import type { IncomingHttpHeaders } from 'node:http'
import {
  childrenOf,
  element,
  malformedXml,
  rawTextOf,
  readXml,
  S3_NAMESPACE,
  writeXml,
  type XmlNode,
} from './xml.ts'

export interface BucketEncryption {
  /** Absent in a rule that says nothing: it is kept, and does nothing. */
  readonly algorithm?: 'AES256' | 'aws:kms' | undefined
  /** As given, with or without `arn:aws:kms:`. */
  readonly keyId?: string | undefined
}

const ROOT = 'ServerSideEncryptionConfiguration'
const RULE = 'ApplyServerSideEncryptionByDefault'

/** @throws S3Error 400 MalformedXML, with MinIO's reasons */
export function readBucketEncryption(body: Buffer): BucketEncryption {
  const rules = childrenOf(readXml(body, ROOT), 'Rule')
  const [rule] = rules
  if (rules.length !== 1 || rule === undefined) {
    throw malformedXml('only one server-side encryption rule is allowed at a time')
  }
  return readRule(childrenOf(rule, RULE)[0] ?? '')
}

function readRule(rule: XmlNode): BucketEncryption {
  const algorithm = rawTextOf(rule, 'SSEAlgorithm')
  const keyId = rawTextOf(rule, 'KMSMasterKeyID') || undefined
  switch (algorithm) {
    case undefined:
    case '':
      return { keyId }
    case 'AES256':
      if (keyId !== undefined) throw malformedXml('MasterKeyID is allowed with aws:kms only')
      return { algorithm }
    case 'aws:kms':
      if (keyId === undefined) throw malformedXml('MasterKeyID is missing with aws:kms')
      if (keyId.trim() !== keyId) throw malformedXml('MasterKeyID contains unsupported characters')
      return { algorithm, keyId }
    default:
      throw malformedXml('Unknown SSE algorithm')
  }
}

/** Without a prolog, as MinIO writes this one document. */
export function writeBucketEncryption({ algorithm, keyId }: BucketEncryption): string {
  const rule = element(RULE, [
    algorithm === undefined ? undefined : element('SSEAlgorithm', algorithm),
    keyId === undefined ? undefined : element('KMSMasterKeyID', keyId),
  ])
  const root = { name: ROOT, namespace: S3_NAMESPACE, children: [element('Rule', [rule])] }
  return writeXml(root, { prolog: false })
}

const HEADER = 'x-amz-server-side-encryption'

/**
 * The headers of a request that writes, with the default in them if it asks for no encryption itself.
 *
 * @param isAlways - `MINIO_KMS_AUTO_ENCRYPTION`: SSE-KMS with the default key where the bucket says nothing.
 */
export function withDefaultEncryption(
  headers: IncomingHttpHeaders,
  encryption: BucketEncryption | undefined,
  isAlways: boolean,
): IncomingHttpHeaders {
  if (Object.keys(headers).some((name) => name.startsWith(HEADER))) return headers
  if (encryption === undefined) return isAlways ? { ...headers, [HEADER]: 'aws:kms' } : headers
  const { algorithm, keyId } = encryption
  if (algorithm === undefined) return headers
  return {
    ...headers,
    [HEADER]: algorithm,
    ...(keyId === undefined ? {} : { [`${HEADER}-aws-kms-key-id`]: keyId }),
  }
}
