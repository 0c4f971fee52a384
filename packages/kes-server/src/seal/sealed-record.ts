/**
 * An external key's bytes ↔ the sealed record that a store keeps.
 *
 *     offset  bytes  field
 *          0      1  format version, 0x01
 *          1     12  nonce, random for each seal
 *         13      n  AES-256-GCM ciphertext of: secret key (32) [‖ HMAC key (32)]
 *     13 + n     16  tag
 *
 * n is 32 for keys of KES's first releases, which have no HMAC key, and 64 for all others. The associated data is the
 * store id and everything about the key that never changes, so a record opens in no other row, name or store.
 *
 * @see docs/sealed-record.md for the reasons.
 */
import assert from 'node:assert/strict'
import type { KeyObject } from 'node:crypto'
import { allocSecret } from '../encoding/secret-bytes.ts'
import { RecordDamagedError } from '../errors.ts'
import type { KeyName } from '../names.ts'
import type { Algorithm } from '../store/key-store.ts'
import { AEAD_OVERHEAD_BYTES, aeadOpen, aeadSeal } from './aead.ts'
import { frame } from './frame.ts'

declare const brand: unique symbol
export type SealedRecord = Uint8Array & { readonly [brand]: 'SealedRecord' }

/** What never changes about a key. */
export interface KeyFacts {
  /** 16 bytes. */
  readonly keyId: Uint8Array
  readonly name: KeyName
  readonly algorithm: Algorithm
  readonly createdAt: string
  readonly createdBy: string
}

/** An external key in plaintext. Whoever holds one wipes both buffers when done. */
export interface KeyMaterial {
  /** 32 bytes. */
  readonly secretKey: Uint8Array
  /** 32 bytes; undefined for keys of KES's first releases. */
  readonly hmacKey: Uint8Array | undefined
}

const VERSION = 1
const VERSION_BYTES = 1
const KEY_BYTES = 32

/** @returns 61 bytes, or 93 with an HMAC key; safe to write to disk. */
export function sealKey(
  sealingKey: KeyObject,
  storeId: Uint8Array,
  facts: KeyFacts,
  material: KeyMaterial,
): SealedRecord {
  assert.equal(material.secretKey.length, KEY_BYTES)
  assert(material.hmacKey === undefined || material.hmacKey.length === KEY_BYTES)
  const plaintext = allocSecret(material.hmacKey === undefined ? KEY_BYTES : 2 * KEY_BYTES)
  try {
    plaintext.set(material.secretKey)
    if (material.hmacKey !== undefined) plaintext.set(material.hmacKey, KEY_BYTES)
    const box = aeadSeal(sealingKey, associatedData(storeId, facts), plaintext)
    return Buffer.concat([Buffer.of(VERSION), box]) as Uint8Array as SealedRecord
  } finally {
    plaintext.fill(0)
  }
}

/** @throws {@link RecordDamagedError} (502) if the root key, a fact, a bit or the length differs. */
export function unsealKey(
  sealingKey: KeyObject,
  storeId: Uint8Array,
  facts: KeyFacts,
  record: Uint8Array,
): KeyMaterial {
  const plaintext = openRecord(sealingKey, associatedData(storeId, facts), record)
  if (plaintext === undefined) {
    throw new RecordDamagedError('read key', {
      detail: `the sealed record of key '${facts.name}' does not open`,
    })
  }
  // Parts of the one buffer, not copies: what is wiped is all there is.
  return {
    secretKey: plaintext.subarray(0, KEY_BYTES),
    hmacKey: plaintext.length > KEY_BYTES ? plaintext.subarray(KEY_BYTES) : undefined,
  }
}

function openRecord(key: KeyObject, associated: Uint8Array, record: Uint8Array): Buffer | undefined {
  const keyBytes = record.length - VERSION_BYTES - AEAD_OVERHEAD_BYTES
  const isKnown = record[0] === VERSION && (keyBytes === KEY_BYTES || keyBytes === 2 * KEY_BYTES)
  return isKnown ? aeadOpen(key, associated, record.subarray(VERSION_BYTES)) : undefined
}

function associatedData(storeId: Uint8Array, facts: KeyFacts): Buffer {
  const { keyId, name, algorithm, createdAt, createdBy } = facts
  return frame('latchkey sealed record v1', storeId, keyId, name, algorithm, createdAt, createdBy)
}
