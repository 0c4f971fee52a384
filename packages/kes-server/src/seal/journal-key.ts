/**
 * The private key that signs the journal ↔ the sealed bytes that the store keeps.
 *
 *     offset  bytes  field
 *          0      1  format version, 0x01
 *          1     12  nonce, random
 *         13     48  AES-256-GCM ciphertext of the Ed25519 key as PKCS #8 (RFC 8410, section 7)
 *         61     16  tag
 *
 * The associated data is the store id, so the key signs for no other store.
 */
import { createPrivateKey, type KeyObject } from 'node:crypto'
import { aeadOpen, aeadSeal } from './aead.ts'
import { frame } from './frame.ts'
import { SealDamagedError } from './seal-errors.ts'

const VERSION = 1
const LABEL = 'latchkey journal key v1'

/** @returns 77 bytes. */
export function sealJournalKey(sealingKey: KeyObject, storeId: Uint8Array, privateKey: KeyObject): Buffer {
  const plaintext = privateKey.export({ format: 'der', type: 'pkcs8' })
  try {
    return Buffer.concat([Buffer.of(VERSION), aeadSeal(sealingKey, frame(LABEL, storeId), plaintext)])
  } finally {
    plaintext.fill(0)
  }
}

/** @throws {@link SealDamagedError} if the key or the store id differs, or a bit changed. */
export function unsealJournalKey(sealingKey: KeyObject, storeId: Uint8Array, sealed: Uint8Array): KeyObject {
  const isKnown = sealed[0] === VERSION
  const plaintext = isKnown ? aeadOpen(sealingKey, frame(LABEL, storeId), sealed.subarray(1)) : undefined
  if (plaintext === undefined) {
    throw new SealDamagedError('the store is damaged: the key of its journal can not be unsealed')
  }
  try {
    return createPrivateKey({ key: plaintext, format: 'der', type: 'pkcs8' })
  } finally {
    plaintext.fill(0)
  }
}
