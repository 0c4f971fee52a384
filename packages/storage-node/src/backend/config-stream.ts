/**
 * The stream in which MinIO encrypts its configuration: chunks of 16 KiB, each behind by its tag, in an order that can't
 * be changed and with an end that can't be cut off.
 *
 *     T         = tag of the empty text under nonce ‖ 0
 *     chunk k   = AEAD(16,384 bytes, nonce ‖ k + 1, associated data 00 ‖ T), k from 0
 *     last one  = AEAD(0 to 16,384 bytes, nonce ‖ k + 1, associated data 80 ‖ T)
 *
 * Numbers have 4 bytes, little-endian; the nonce 8; tags 16. DARE, the format of objects, is another one.
 */
import assert from 'node:assert/strict'
import { type CipherGCMTypes, createCipheriv, createDecipheriv } from 'node:crypto'

export type StreamCipher = 'AES-256-GCM' | 'ChaCha20-Poly1305'

export interface StreamKey {
  readonly cipher: StreamCipher
  /** 32 bytes. */
  readonly key: Uint8Array
  /** 8 bytes, never twice with one key. */
  readonly nonce: Uint8Array
}

/** The bytes are not what was encrypted under this key. */
export class StreamNotAuthenticError extends Error {
  override readonly name = 'StreamNotAuthenticError'
  constructor(options?: ErrorOptions) {
    super('the encrypted configuration is not authentic', options)
  }
}

export const STREAM_NONCE_BYTES = 8
const CHUNK_BYTES = 16_384
const TAG_BYTES = 16
const MORE = 0x00
const LAST = 0x80

/** OpenSSL's names. Node's types know GCM's alone; both ciphers are used alike. */
const NAMES: Readonly<Record<StreamCipher, CipherGCMTypes>> = {
  'AES-256-GCM': 'aes-256-gcm',
  'ChaCha20-Poly1305': 'chacha20-poly1305' as CipherGCMTypes,
}

export function encryptStream(key: StreamKey, plaintext: Uint8Array): Buffer {
  const start = startTag(key)
  const sealed: Buffer[] = []
  const chunks = Math.max(1, Math.ceil(plaintext.length / CHUNK_BYTES))
  for (let index = 0; index < chunks; index += 1) {
    const chunk = plaintext.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)
    const flag = index === chunks - 1 ? LAST : MORE
    sealed.push(seal(key, index + 1, chunk, Buffer.concat([Buffer.of(flag), start])))
  }
  return Buffer.concat(sealed)
}

/** @throws {@link StreamNotAuthenticError} */
export function decryptStream(key: StreamKey, sealed: Uint8Array): Buffer {
  const start = startTag(key)
  const opened: Buffer[] = []
  const sealedChunk = CHUNK_BYTES + TAG_BYTES
  const chunks = Math.max(1, Math.ceil(sealed.length / sealedChunk))
  for (let index = 0; index < chunks; index += 1) {
    const chunk = sealed.subarray(index * sealedChunk, (index + 1) * sealedChunk)
    const flag = index === chunks - 1 ? LAST : MORE
    opened.push(open(key, index + 1, chunk, Buffer.concat([Buffer.of(flag), start])))
  }
  return Buffer.concat(opened)
}

function startTag(key: StreamKey): Buffer {
  return seal(key, 0, Buffer.alloc(0), Buffer.alloc(0))
}

function nonceOf({ nonce }: StreamKey, number: number): Buffer {
  assert.equal(nonce.length, STREAM_NONCE_BYTES)
  const bytes = Buffer.alloc(STREAM_NONCE_BYTES + 4)
  bytes.set(nonce)
  bytes.writeUInt32LE(number, STREAM_NONCE_BYTES)
  return bytes
}

function seal(key: StreamKey, number: number, plaintext: Uint8Array, associated: Buffer): Buffer {
  const cipher = createCipheriv(NAMES[key.cipher], key.key, nonceOf(key, number), {
    authTagLength: TAG_BYTES,
  })
  cipher.setAAD(associated)
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
}

function open(key: StreamKey, number: number, sealed: Uint8Array, associated: Buffer): Buffer {
  if (sealed.length < TAG_BYTES) throw new StreamNotAuthenticError()
  const decipher = createDecipheriv(NAMES[key.cipher], key.key, nonceOf(key, number), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(associated)
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(0, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    throw new StreamNotAuthenticError({ cause })
  }
}
