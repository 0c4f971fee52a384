/**
 * The storage node: a server to be started within a program, and what it is made of.
 *
 *     dare/     the format of encrypted content
 *     sse/      the keys of objects, from the KMS down; metadata, ETags, request headers
 *     disk/     objects as files, and their index
 *     backend/  the node's own configuration, encrypted
 *     s3/       requests and replies
 *     node/     all of it, put together
 */
export {
  ConfigFileError,
  decryptConfig,
  encryptConfig,
  isEncryptedConfig,
} from './backend/config-file.ts'
export { StreamNotAuthenticError } from './backend/config-stream.ts'
export { type DareDecryptOptions, DareDecryptor, decryptStream } from './dare/decrypt.ts'
export { type DareEncryptOptions, DareEncryptor, encryptStream } from './dare/encrypt.ts'
export { DareError } from './dare/errors.ts'
export { type DareCipher, plainSize, sealedSize } from './dare/format.ts'
export { type SealedRange, sealedRange } from './dare/range.ts'
export * from './disk/errors.ts'
export { FileObjectStore, type StoreOptions } from './disk/file-object-store.ts'
export { type FsckOptions, type FsckProblem, type FsckReport, fsck } from './disk/fsck.ts'
export type * from './disk/object-store.ts'
export { type NodeOptions, type StorageNode, startNode } from './node/node.ts'
export {
  type ContentPart,
  type ContentSource,
  encryptContent,
  type Range,
  readContent,
} from './sse/content.ts'
export type { ObjectName } from './sse/data-key.ts'
export {
  beginEncryption,
  type NewEncryption,
  openEncryption,
  resealUnderCustomerKey,
  resealUnderExternalKey,
} from './sse/encryption.ts'
export * from './sse/errors.ts'
export { sealChecksum, sealEtag, shownEtag, unsealChecksum, unsealEtag } from './sse/etag.ts'
export {
  decodeEncryption,
  encodeEncryption,
  encryptionKind,
  type Metadata,
  type StoredEncryption,
  type UserContext,
  withoutEncryption,
} from './sse/metadata.ts'
export {
  type CustomerKey,
  type EncryptionRequest,
  parseCopySourceKey,
  parseEncryptionRequest,
  parseReadKey,
} from './sse/mode.ts'
export type { EncryptionKind, ObjectKey } from './sse/object-key.ts'
