/**
 * MinIO's object encryption, as a library: what a storage node writes, and what it reads back.
 *
 * `dare/` is the stream format of encrypted content.
 */
export { type DareDecryptOptions, DareDecryptor, decryptStream } from './dare/decrypt.ts'
export { type DareEncryptOptions, DareEncryptor, encryptStream } from './dare/encrypt.ts'
export { DareError } from './dare/errors.ts'
export { type DareCipher, plainSize, sealedSize } from './dare/format.ts'
export { type SealedRange, sealedRange } from './dare/range.ts'
