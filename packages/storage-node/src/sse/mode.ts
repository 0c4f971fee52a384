/**
 * The headers of a request → how the object is to be encrypted, or the client's key to read it.
 *
 * What counts as asking for which kind, the order of the checks and the texts are MinIO's. Names of headers are in
 * lower case here, as node:http gives them.
 */
import { createHash } from 'node:crypto'
import { decodeBase64, InvalidBase64Error } from '@latchkey/kms-client'
import { parseContext } from './context-header.ts'
import { EncryptionHeaderError, IncompatibleEncryptionError } from './errors.ts'
import type { UserContext } from './metadata.ts'
import { type EncryptionKind, KEY_BYTES } from './object-key.ts'

export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>

const ENCRYPTION = 'x-amz-server-side-encryption'
const KMS_KEY_ID = `${ENCRYPTION}-aws-kms-key-id`
const KMS_CONTEXT = `${ENCRYPTION}-context`
const CUSTOMER = `${ENCRYPTION}-customer`
const COPY_SOURCE_CUSTOMER = 'x-amz-copy-source-server-side-encryption-customer'

export const KEY_ARN_PREFIX = 'arn:aws:kms:'

export type EncryptionRequest =
  | { readonly kind: 'SSE-S3' }
  | {
      readonly kind: 'SSE-KMS'
      /** `undefined`: the KMS's default key. */
      readonly externalKey: string | undefined
      readonly context: UserContext
    }
  | { readonly kind: 'SSE-C'; readonly customerKey: CustomerKey }

export interface CustomerKey {
  /** 32 bytes. */
  readonly key: Uint8Array
  /** As the client gave it, in base64: it is given back. */
  readonly md5: string
}

/** Which kinds the headers ask for; more than one may be. */
export interface RequestedKinds {
  readonly s3: boolean
  readonly kms: boolean
  readonly c: boolean
}

export function requestedKinds(headers: Headers): RequestedKinds {
  const algorithm = headerOf(headers, ENCRYPTION)
  return {
    s3: algorithm !== undefined && algorithm.toLowerCase() !== 'aws:kms',
    kms:
      headerOf(headers, KMS_KEY_ID) !== undefined ||
      headerOf(headers, KMS_CONTEXT) !== undefined ||
      (algorithm !== undefined && algorithm.toUpperCase() !== 'AES256'),
    c: hasCustomerKey(headers, CUSTOMER),
  }
}

/** The kind that the headers mean, if they mean several. */
export function requestedKind(headers: Headers): EncryptionKind | undefined {
  const { s3, kms, c } = requestedKinds(headers)
  if (s3) return 'SSE-S3'
  if (kms) return 'SSE-KMS'
  return c ? 'SSE-C' : undefined
}

/**
 * How an object is to be written.
 *
 * @returns `undefined` if the headers say nothing.
 * @throws {@link EncryptionHeaderError}, {@link IncompatibleEncryptionError}
 */
export function parseEncryptionRequest(headers: Headers): EncryptionRequest | undefined {
  const { s3, kms, c } = requestedKinds(headers)
  if (c && (s3 || kms)) throw new IncompatibleEncryptionError()
  if (kms) return parseKind(headers, 'SSE-KMS')
  if (s3) return parseKind(headers, 'SSE-S3')
  return c ? parseKind(headers, 'SSE-C') : undefined
}

/** Reads the headers of one kind, whatever else they may ask for. @throws {@link EncryptionHeaderError} */
export function parseKind(headers: Headers, kind: EncryptionKind): EncryptionRequest {
  const algorithm = headerOf(headers, ENCRYPTION)
  switch (kind) {
    case 'SSE-S3':
      if (algorithm?.toUpperCase() !== 'AES256') throw unsupportedMethod()
      return { kind }
    case 'SSE-KMS':
      if (algorithm !== 'aws:kms') throw unsupportedMethod()
      return {
        kind,
        externalKey: parseKeyId(headerOf(headers, KMS_KEY_ID)),
        context: parseContext(headerOf(headers, KMS_CONTEXT)),
      }
    case 'SSE-C':
      return { kind, customerKey: parseCustomerKey(headers, CUSTOMER, WRITE_TEXTS) }
  }
}

/**
 * The client's key for reading.
 *
 * @returns `undefined` if the headers have none.
 * @throws {@link EncryptionHeaderError}
 */
export function parseReadKey(headers: Headers): CustomerKey | undefined {
  return hasCustomerKey(headers, CUSTOMER) ? parseCustomerKey(headers, CUSTOMER, READ_TEXTS) : undefined
}

/** The client's key for the source of a copy. @see {@link parseReadKey} */
export function parseCopySourceKey(headers: Headers): CustomerKey | undefined {
  return hasCustomerKey(headers, COPY_SOURCE_CUSTOMER)
    ? parseCustomerKey(headers, COPY_SOURCE_CUSTOMER, READ_TEXTS)
    : undefined
}

function parseKeyId(keyId: string | undefined): string | undefined {
  if (keyId === undefined) return undefined
  if (keyId.trim() !== keyId) throw new EncryptionHeaderError('KMS KeyID contains unsupported characters')
  const name = keyId.startsWith(KEY_ARN_PREFIX) ? keyId.slice(KEY_ARN_PREFIX.length) : keyId
  return name === '' ? undefined : name
}

interface CustomerKeyTexts {
  readonly algorithm: string
  readonly noKey: string
  readonly noMd5: string
  readonly key: string
  readonly md5: string
}

const WRITE_TEXTS: CustomerKeyTexts = {
  algorithm: 'The SSE-C algorithm is not supported',
  noKey: 'The SSE-C request is missing the customer key',
  noMd5: 'The SSE-C request is missing the customer key MD5',
  key: 'The SSE-C client key is invalid',
  md5: 'The provided SSE-C key MD5 does not match the computed MD5 of the SSE-C key',
}

const READ_PREFIX = 'Requests specifying Server Side Encryption with Customer provided keys must provide'
const READ_TEXTS: CustomerKeyTexts = {
  algorithm: `${READ_PREFIX} a valid encryption algorithm.`,
  noKey: `${READ_PREFIX} an appropriate secret key.`,
  noMd5: `${READ_PREFIX} the client calculated MD5 of the secret key.`,
  key: 'The secret key was invalid for the specified algorithm.',
  md5: 'The calculated MD5 hash of the key did not match the hash that was provided.',
}

function parseCustomerKey(headers: Headers, prefix: string, texts: CustomerKeyTexts): CustomerKey {
  const encoded = headerOf(headers, `${prefix}-key`) ?? ''
  const md5 = headerOf(headers, `${prefix}-key-md5`) ?? ''
  if (headerOf(headers, `${prefix}-algorithm`) !== 'AES256') throw new EncryptionHeaderError(texts.algorithm)
  if (encoded === '') throw new EncryptionHeaderError(texts.noKey)
  if (md5 === '') throw new EncryptionHeaderError(texts.noMd5)
  const key = decodeKey(encoded)
  if (key === undefined) throw new EncryptionHeaderError(texts.key)
  // Of a key that the client sent: an attacker who could find it out by the time of the comparison has it.
  if (createHash('md5').update(key).digest('base64') !== md5) throw new EncryptionHeaderError(texts.md5)
  return { key, md5 }
}

function decodeKey(encoded: string): Uint8Array | undefined {
  try {
    const key = decodeBase64(encoded)
    return key.length === KEY_BYTES ? key : undefined
  } catch (error) {
    if (error instanceof InvalidBase64Error) return undefined
    throw error
  }
}

function hasCustomerKey(headers: Headers, prefix: string): boolean {
  return ['algorithm', 'key', 'key-md5'].some((name) => headerOf(headers, `${prefix}-${name}`) !== undefined)
}

/** The first, if a header comes more than once. */
function headerOf(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.[0]
}

function unsupportedMethod(): EncryptionHeaderError {
  return new EncryptionHeaderError('The encryption method is not supported')
}
