/**
 * The encryption of one request: what its headers ask for, and what its reply says of it. Between the S3 commands and
 * `sse/`, which knows nothing of headers to answer with.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { encodeContext } from '@latchkey/kms-client/kms'
import { EncryptionHeaderError } from '../sse/errors.ts'
import { decodeEncryption, type Metadata, type StoredEncryption } from '../sse/metadata.ts'
import {
  type CustomerKey,
  type EncryptionRequest,
  KEY_ARN_PREFIX,
  parseCopySourceKey,
  parseEncryptionRequest,
  parseReadKey,
} from '../sse/mode.ts'
import type { EncryptionKind } from '../sse/object-key.ts'
import { withDefaultEncryption } from './bucket-encryption.ts'
import type { Call, ReplyHeaders } from './call.ts'
import { S3Error } from './errors.ts'
import type { NodeServices } from './node-services.ts'

const ENCRYPTION = 'x-amz-server-side-encryption'
const COPY_SOURCE_CUSTOMER = `x-amz-copy-source-server-side-encryption-customer-`

/**
 * How the object of this call is to be encrypted, by its own headers or by its bucket's default.
 *
 * @throws S3Error 400; KmsError as {@link BucketSettings.of}
 */
export async function writeEncryption(
  services: NodeServices,
  call: Pick<Call, 'target' | 'headers'>,
): Promise<EncryptionRequest | undefined> {
  const { bucket, key } = call.target
  const { encryption } = await services.settings.of(bucket)
  const headers = withDefaultEncryption(call.headers, encryption, services.isAutoEncrypting)
  return inWords(
    (text) => `Invalid arguments provided for ${bucket}/${key}: (${text})`,
    () => parseEncryptionRequest(headers),
  )
}

/**
 * The client's key for what it reads.
 *
 * @throws S3Error 400
 */
export function readKey({ headers }: Pick<Call, 'headers'>): CustomerKey | undefined {
  return inWords(
    (text) => text,
    () => parseReadKey(headers),
  )
}

/** @throws S3Error 400 */
export function copySourceKey({ headers }: Pick<Call, 'headers'>): CustomerKey | undefined {
  return inWords(
    (text) => text,
    () => parseCopySourceKey(headers),
  )
}

/** @throws S3Error 400 for a key of a source where nothing is copied. */
export function assertNoCopySourceKey(headers: IncomingHttpHeaders): void {
  if (!Object.keys(headers).some((name) => name.startsWith(COPY_SOURCE_CUSTOMER))) return
  throw S3Error.of('InvalidRequest', {
    message: 'The encryption parameters are not applicable to this object.',
  })
}

/** A read can't choose an encryption. @throws S3Error 400 */
export function assertNoEncryptionRequest(headers: IncomingHttpHeaders): void {
  const names = [ENCRYPTION, `${ENCRYPTION}-aws-kms-key-id`, `${ENCRYPTION}-context`]
  if (names.some((name) => headers[name] !== undefined)) throw S3Error.of('BadRequest')
}

function inWords<Result>(words: (text: string) => string, body: () => Result): Result {
  try {
    return body()
  } catch (error) {
    if (!(error instanceof EncryptionHeaderError)) throw error
    throw S3Error.of('InvalidArgument', { message: words(error.message), cause: error })
  }
}

/** @param customerKey - of the request: its MD5 is given back. */
export function encryptionHeaders(
  stored: StoredEncryption | undefined,
  customerKey: CustomerKey | undefined,
): ReplyHeaders {
  switch (stored?.kind) {
    case undefined:
      return {}
    case 'SSE-S3':
      return { [ENCRYPTION]: 'AES256' }
    case 'SSE-KMS': {
      const hasContext = Object.keys(stored.context).length > 0
      return {
        [ENCRYPTION]: 'aws:kms',
        [`${ENCRYPTION}-aws-kms-key-id`]: `${KEY_ARN_PREFIX}${stored.dataKey.externalKey}`,
        [`${ENCRYPTION}-context`]: hasContext
          ? Buffer.from(encodeContext(stored.context)).toString('base64')
          : undefined,
      }
    }
    case 'SSE-C':
      return customerKey === undefined
        ? { [`${ENCRYPTION}-customer-algorithm`]: 'AES256' }
        : {
            [`${ENCRYPTION}-customer-algorithm`]: 'AES256',
            [`${ENCRYPTION}-customer-key-md5`]: customerKey.md5,
          }
  }
}

/** As {@link encryptionHeaders}, of what is stored. @throws EncryptionMetadataError, ObjectTamperedError */
export function storedEncryptionHeaders(internal: Metadata, customerKey?: CustomerKey): ReplyHeaders {
  return encryptionHeaders(decodeEncryption(internal), customerKey)
}

/** Which kinds have the MD5 of their content as ETag even if the client did not send it. */
export function needsMd5(kind: EncryptionKind | undefined): boolean {
  return kind === undefined || kind === 'SSE-S3'
}
