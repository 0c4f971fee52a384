/**
 * DARE, the format of encrypted content: a stream of packages, each with a header and a tag of its own.
 *
 *     offset   bytes  version 2.0                          version 1.0
 *          0       1  0x20                                 0x10
 *          1       1  cipher: 0 AES-256-GCM, 1 ChaCha20-Poly1305
 *          2       2  n - 1, little-endian
 *          4      12  nonce; the top bit of its first      sequence number, little-endian (4),
 *                     byte marks the final package         then random bytes (8)
 *         16       n  ciphertext, 1 to 65,536 bytes
 *     16 + n      16  tag
 *
 * The first four bytes are the associated data. In version 2.0 every header has the nonce of the stream, and the
 * AEAD takes it with its last four bytes, as a little-endian number, XORed with the package's number in the stream.
 * In version 1.0 the AEAD takes the header's nonce as it stands.
 *
 * All packages but the last are full. An empty stream has no package.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto'
import { DareError } from './errors.ts'

export const HEADER_BYTES = 16
export const TAG_BYTES = 16
export const NONCE_BYTES = 12
export const ASSOCIATED_BYTES = 4
/** Plaintext of a full package. */
export const PACKAGE_BYTES = 65_536
const OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES
/** A full package as it is stored. */
export const SEALED_PACKAGE_BYTES = PACKAGE_BYTES + OVERHEAD_BYTES

export const VERSION_1 = 0x10
export const VERSION_2 = 0x20
/** In byte 4 of a header of version 2.0. */
export const FINAL_FLAG = 0x80

export type DareCipher = 'AES-256-GCM' | 'ChaCha20-Poly1305'
/** The position is the number in the header. */
export const CIPHERS: readonly DareCipher[] = ['AES-256-GCM', 'ChaCha20-Poly1305']

const ALGORITHMS = { 'AES-256-GCM': 'aes-256-gcm', 'ChaCha20-Poly1305': 'chacha20-poly1305' } as const
const TAG = { authTagLength: TAG_BYTES } as const

/** The AEAD of one package. The caller gives the associated data. */
export function sealing(cipher: DareCipher, key: KeyObject, nonce: Uint8Array) {
  // One name of two, so that TypeScript takes the overload; both ciphers have the same methods.
  return createCipheriv(ALGORITHMS[cipher] as 'chacha20-poly1305', key, nonce, TAG)
}

/** @see {@link sealing} */
export function opening(cipher: DareCipher, key: KeyObject, nonce: Uint8Array) {
  return createDecipheriv(ALGORITHMS[cipher] as 'chacha20-poly1305', key, nonce, TAG)
}

/** Bytes that `plainBytes` take when they are stored. */
export function sealedSize(plainBytes: number): number {
  return plainBytes + OVERHEAD_BYTES * Math.ceil(plainBytes / PACKAGE_BYTES)
}

/**
 * Bytes of plaintext in a stream of `sealedBytes`.
 *
 * @throws {@link DareError} (size) if no stream has that length.
 */
export function plainSize(sealedBytes: number): number {
  const last = sealedBytes % SEALED_PACKAGE_BYTES
  if (last > 0 && last <= OVERHEAD_BYTES) throw new DareError('size')
  return sealedBytes - OVERHEAD_BYTES * Math.ceil(sealedBytes / SEALED_PACKAGE_BYTES)
}
