/**
 * The files in which the node keeps its own data (configuration, settings of buckets), encrypted under the KMS's default
 * key as MinIO encrypts its own.
 *
 *     offset  bytes  field
 *          0      1  version, 0x01
 *          1      4  n, little-endian
 *          5      n  JSON: keyid, kmskey (the data key, encrypted; base64), algorithm, nonce (8 bytes, base64)
 *      5 + n         the stream of `config-stream.ts` under the data key
 */
import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { type Kms, KmsError, type SecretKey } from '@latchkey/kms-client/kms'
import { decryptStream, encryptStream, STREAM_NONCE_BYTES, type StreamCipher } from './config-stream.ts'

const VERSION = 0x01
const HEADER_BYTES = 5
const METADATA_BYTES_MAX = 1024 * 1024
const CIPHERS: readonly StreamCipher[] = ['AES-256-GCM', 'ChaCha20-Poly1305']
const FOLDER = '.minio.sys'

/** The bytes are no encrypted file. */
export class ConfigFileError extends Error {
  override readonly name = 'ConfigFileError'
}

export interface ConfigFileHeader {
  /** Name of the external key. */
  readonly keyName: string
  /** The data key, encrypted. */
  readonly dataKey: Buffer
  readonly cipher: StreamCipher
  readonly nonce: Buffer
}

/** A file in plaintext is text; an encrypted one never is, for its first bytes are no UTF-8 of a configuration. */
export function isEncryptedConfig(file: Uint8Array): boolean {
  return file[0] === VERSION || !isUtf8(file)
}

/**
 * @param path - within the folder of such files, to which the data key is bound.
 * @throws KmsError
 */
export async function encryptConfig(kms: Kms, path: string, plaintext: Uint8Array): Promise<Buffer> {
  const made = await kms.generateKey({ context: contextOf(path) })
  using dek = made.plaintext
  const nonce = randomBytes(STREAM_NONCE_BYTES)
  const cipher: StreamCipher = 'AES-256-GCM'
  const metadata = Buffer.from(
    JSON.stringify({
      keyid: made.key,
      kmskey: Buffer.from(made.ciphertext).toString('base64'),
      algorithm: cipher,
      nonce: nonce.toString('base64'),
    }),
  )
  const header = Buffer.alloc(HEADER_BYTES)
  header[0] = VERSION
  header.writeUInt32LE(metadata.length, 1)
  return Buffer.concat([header, metadata, encryptStream({ cipher, key: dek.bytes, nonce }, plaintext)])
}

/**
 * @throws {@link ConfigFileError}
 * @throws StreamNotAuthenticError if the stream was changed.
 * @throws KmsError if the data key can't be had.
 */
export async function decryptConfig(kms: Kms, path: string, file: Uint8Array): Promise<Buffer> {
  const { header, stream } = readConfigHeader(file)
  using dek = await decryptDataKey(kms, path, header)
  return decryptStream({ cipher: header.cipher, key: dek.bytes, nonce: header.nonce }, stream)
}

/** @throws {@link ConfigFileError} */
export function readConfigHeader(file: Uint8Array): { header: ConfigFileHeader; stream: Buffer } {
  const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
  if (bytes.length < HEADER_BYTES || bytes[0] !== VERSION) {
    throw new ConfigFileError('the file does not begin as an encrypted one')
  }
  const length = bytes.readUInt32LE(1)
  if (length > METADATA_BYTES_MAX || HEADER_BYTES + length > bytes.length) {
    throw new ConfigFileError('the file is cut off in its header')
  }
  const metadata = parseJson(bytes.subarray(HEADER_BYTES, HEADER_BYTES + length))
  return { header: readMetadata(metadata), stream: bytes.subarray(HEADER_BYTES + length) }
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch (cause) {
    throw new ConfigFileError('the header of the file is no JSON', { cause })
  }
}

function readMetadata(metadata: unknown): ConfigFileHeader {
  const fields =
    typeof metadata === 'object' && metadata !== null ? (metadata as Record<string, unknown>) : {}
  const { keyid, kmskey, algorithm, nonce: nonceText } = fields
  const cipher = CIPHERS.find((each) => each === algorithm)
  const nonce = Buffer.from(typeof nonceText === 'string' ? nonceText : '', 'base64')
  if (typeof keyid !== 'string' || typeof kmskey !== 'string' || cipher === undefined) {
    throw new ConfigFileError('the header of the file is not complete')
  }
  if (nonce.length !== STREAM_NONCE_BYTES)
    throw new ConfigFileError('the nonce of the file has a wrong length')
  return { keyName: keyid, dataKey: Buffer.from(kmskey, 'base64'), cipher, nonce }
}

/** Old releases of MinIO bound files to their path without the folder. */
async function decryptDataKey(kms: Kms, path: string, header: ConfigFileHeader): Promise<SecretKey> {
  const request = { key: header.keyName, ciphertext: header.dataKey }
  try {
    return await kms.decrypt({ ...request, context: contextOf(path) })
  } catch (error) {
    if (!(error instanceof KmsError && error.reason === 'wrong-ciphertext')) throw error
    return kms.decrypt({ ...request, context: { [FOLDER]: path } })
  }
}

function contextOf(path: string) {
  return { [FOLDER]: `${FOLDER}/${path}` }
}
