/**
 * The root key before the current one ↔ the sealed bytes that the store keeps while rows are sealed under it.
 *
 *     offset  bytes  field
 *          0      1  format version, 0x01
 *          1     12  nonce, random
 *         13     32  AES-256-GCM ciphertext of the old root key
 *         45     16  tag
 *
 * The associated data is the store id and the old root key's number.
 */
import type { KeyObject } from 'node:crypto'
import { aeadOpen, aeadSeal } from './aead.ts'
import { frame } from './frame.ts'
import { RootKey } from './root-key.ts'
import { SealDamagedError } from './seal-errors.ts'

const VERSION = 1
const LABEL = 'latchkey old root v1'

/** @returns 61 bytes. */
export function sealOldRoot(
  sealingKey: KeyObject,
  storeId: Uint8Array,
  generation: number,
  oldRoot: RootKey,
): Buffer {
  const associated = frame(LABEL, storeId, generation)
  return Buffer.concat([Buffer.of(VERSION), oldRoot.lend((bytes) => aeadSeal(sealingKey, associated, bytes))])
}

/** @throws {@link SealDamagedError} if the key, the store id or the number differs, or a bit changed. */
export function unsealOldRoot(
  sealingKey: KeyObject,
  storeId: Uint8Array,
  generation: number,
  sealed: Uint8Array,
): RootKey {
  const associated = frame(LABEL, storeId, generation)
  const bytes = sealed[0] === VERSION ? aeadOpen(sealingKey, associated, sealed.subarray(1)) : undefined
  if (bytes === undefined) {
    throw new SealDamagedError(
      'the store is damaged: the root key that is being replaced can not be unsealed; restore it from a backup',
    )
  }
  return RootKey.from(bytes)
}
