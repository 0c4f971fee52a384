/**
 * What is stored of an object's encryption, under MinIO's names and in MinIO's encodings: enough to open it with the
 * KMS or the client's key, and nothing that opens it without.
 */
import { encodeContext } from '@latchkey/kms-client/kms'
import { EncryptionMetadataError, ObjectTamperedError } from './errors.ts'
import {
  type EncryptionKind,
  IV_BYTES,
  LEGACY_SEAL_ALGORITHM,
  SEAL_ALGORITHM,
  SEALED_KEY_BYTES,
  type SealedObjectKey,
} from './object-key.ts'

const PREFIX = 'X-Minio-Internal-Server-Side-Encryption-'
const SEAL_ALGORITHM_NAME = `${PREFIX}Seal-Algorithm`
const IV_NAME = `${PREFIX}Iv`
const SEALED_KEY_NAMES = {
  'SSE-KMS': `${PREFIX}Kms-Sealed-Key`,
  'SSE-S3': `${PREFIX}S3-Sealed-Key`,
  'SSE-C': `${PREFIX}Sealed-Key`,
} as const satisfies Record<EncryptionKind, string>
/** An object that has several is of the first kind. */
const KINDS: readonly EncryptionKind[] = ['SSE-KMS', 'SSE-S3', 'SSE-C']
const KMS_KEY_NAME = `${PREFIX}S3-Kms-Key-Id`
const DATA_KEY_NAME = `${PREFIX}S3-Kms-Sealed-Key`
const CONTEXT_NAME = `${PREFIX}Context`
/** Its presence says that the content consists of parts, each under a key of its own. */
export const MULTIPART_NAME = 'X-Minio-Internal-Encrypted-Multipart'
export const ACTUAL_SIZE_NAME = 'X-Minio-Internal-actual-size'
/** Sealed; in base64. */
export const CHECKSUM_NAME = 'x-minio-internal-crc'

/** All that say that an object is encrypted. */
const ENCRYPTION_NAMES = [
  SEAL_ALGORITHM_NAME,
  IV_NAME,
  ...Object.values(SEALED_KEY_NAMES),
  KMS_KEY_NAME,
  DATA_KEY_NAME,
  CONTEXT_NAME,
  MULTIPART_NAME,
]

export type Metadata = Readonly<Record<string, string>>
/** What a client gave as the context of an object. */
export type UserContext = Readonly<Record<string, string>>

/** A data key as it is stored: encrypted under an external key of the KMS. */
export interface StoredDataKey {
  /** Name of the external key. */
  readonly externalKey: string
  readonly ciphertext: Uint8Array
}

export type StoredEncryption =
  | { readonly kind: 'SSE-S3'; readonly sealedKey: SealedObjectKey; readonly dataKey: StoredDataKey }
  | {
      readonly kind: 'SSE-KMS'
      readonly sealedKey: SealedObjectKey
      readonly dataKey: StoredDataKey
      readonly context: UserContext
    }
  | { readonly kind: 'SSE-C'; readonly sealedKey: SealedObjectKey }

/** Of which kind an object is, `undefined` if it is not encrypted. @throws {@link ObjectTamperedError} */
export function encryptionKind(metadata: Metadata): EncryptionKind | undefined {
  const kind = KINDS.find((kind) => Object.hasOwn(metadata, SEALED_KEY_NAMES[kind]))
  if (kind === undefined && ENCRYPTION_NAMES.some((name) => Object.hasOwn(metadata, name))) {
    throw new ObjectTamperedError()
  }
  return kind
}

/** Of which kind an object is, and the name of its external key, if it has one: without a look at whether they are whole. */
export function encryptionInBrief(
  metadata: Metadata,
): { readonly kind: EncryptionKind | 'unknown'; readonly externalKey: string | undefined } | undefined {
  const externalKey = metadata[KMS_KEY_NAME]
  try {
    const kind = encryptionKind(metadata)
    return kind && { kind, externalKey }
  } catch (error) {
    if (error instanceof ObjectTamperedError) return { kind: 'unknown', externalKey }
    throw error
  }
}

export function isMultipart(metadata: Metadata): boolean {
  return Object.hasOwn(metadata, MULTIPART_NAME)
}

export function encodeEncryption(encryption: StoredEncryption): Record<string, string> {
  const { kind, sealedKey } = encryption
  const metadata: Record<string, string> = {
    [SEAL_ALGORITHM_NAME]: sealedKey.algorithm,
    [IV_NAME]: toBase64(sealedKey.iv),
    [SEALED_KEY_NAMES[kind]]: toBase64(sealedKey.sealed),
  }
  if (kind === 'SSE-C') return metadata
  metadata[KMS_KEY_NAME] = encryption.dataKey.externalKey
  metadata[DATA_KEY_NAME] = toBase64(encryption.dataKey.ciphertext)
  if (kind === 'SSE-KMS' && Object.keys(encryption.context).length > 0) {
    metadata[CONTEXT_NAME] = encodeContext(encryption.context).toString('base64')
  }
  return metadata
}

/**
 * @returns `undefined` if the object is not encrypted.
 * @throws {@link EncryptionMetadataError} if what is stored is not complete or not well-formed.
 * @throws {@link ObjectTamperedError} as {@link encryptionKind}.
 */
export function decodeEncryption(metadata: Metadata): StoredEncryption | undefined {
  const kind = encryptionKind(metadata)
  if (kind === undefined) return undefined
  const sealedKey = decodeSealedKey(metadata, kind)
  if (kind === 'SSE-C') return { kind, sealedKey }
  const dataKey = decodeDataKey(metadata)
  if (kind === 'SSE-S3') return { kind, sealedKey, dataKey }
  return { kind, sealedKey, dataKey, context: decodeContext(metadata[CONTEXT_NAME]) }
}

/** Everything but what is stored of encryption: for content that is about to be encrypted anew, or no more. */
export function withoutEncryption(metadata: Metadata): Record<string, string> {
  const gone = new Set([...ENCRYPTION_NAMES, ACTUAL_SIZE_NAME, CHECKSUM_NAME])
  return Object.fromEntries(Object.entries(metadata).filter(([name]) => !gone.has(name)))
}

function decodeSealedKey(metadata: Metadata, kind: EncryptionKind): SealedObjectKey {
  const iv = required(metadata, IV_NAME, 'The object metadata is missing the internal encryption IV')
  const algorithm = required(
    metadata,
    SEAL_ALGORITHM_NAME,
    'The object metadata is missing the internal seal algorithm',
  )
  const sealed = metadata[SEALED_KEY_NAMES[kind]] ?? ''
  const ivBytes = fromBase64(iv, IV_BYTES)
  if (ivBytes === undefined) throw new EncryptionMetadataError('The internal encryption IV is malformed')
  const isLegacy = kind === 'SSE-C' && algorithm === LEGACY_SEAL_ALGORITHM
  if (algorithm !== SEAL_ALGORITHM && !isLegacy) {
    throw new EncryptionMetadataError('The internal seal algorithm is invalid and not supported')
  }
  const sealedBytes = fromBase64(sealed, SEALED_KEY_BYTES)
  if (sealedBytes === undefined) {
    throw new EncryptionMetadataError(`The internal sealed key for ${kind} is invalid`)
  }
  return {
    algorithm: isLegacy ? LEGACY_SEAL_ALGORITHM : SEAL_ALGORITHM,
    iv: ivBytes,
    sealed: sealedBytes,
  }
}

/** MinIO speaks of SSE-S3 for both kinds that have a data key. */
function decodeDataKey(metadata: Metadata): StoredDataKey {
  const hasNeither = !Object.hasOwn(metadata, KMS_KEY_NAME) && !Object.hasOwn(metadata, DATA_KEY_NAME)
  if (hasNeither) {
    throw new EncryptionMetadataError(
      'The object was encrypted without a KMS, under a master key of MinIO before 2020: copy it with such a MinIO',
    )
  }
  const externalKey = required(
    metadata,
    KMS_KEY_NAME,
    'The object metadata is missing the internal KMS key-ID for SSE-S3',
  )
  const ciphertext = required(
    metadata,
    DATA_KEY_NAME,
    'The object metadata is missing the internal sealed KMS data key for SSE-S3',
  )
  const bytes = fromBase64(ciphertext)
  if (bytes === undefined) {
    throw new EncryptionMetadataError('The internal sealed KMS data key for SSE-S3 is invalid')
  }
  return { externalKey, ciphertext: bytes }
}

function decodeContext(encoded: string | undefined): UserContext {
  if (encoded === undefined) return {}
  try {
    const context: unknown = JSON.parse(Buffer.from(encoded, 'base64').toString())
    if (isContext(context)) return context
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  throw new EncryptionMetadataError('The internal KMS context is not supported')
}

function isContext(value: unknown): value is UserContext {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  return Object.values(value).every((entry) => typeof entry === 'string')
}

function required(metadata: Metadata, name: string, problem: string): string {
  const value = metadata[name]
  if (value === undefined) throw new EncryptionMetadataError(problem)
  return value
}

function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/** @returns `undefined` if the text is not standard base64, or not of that many bytes. */
function fromBase64(text: string, bytes?: number): Buffer | undefined {
  const decoded = Buffer.from(text, 'base64')
  if (decoded.toString('base64') !== text || (bytes !== undefined && decoded.length !== bytes))
    return undefined
  return decoded
}
