/**
 * An external key's bytes ↔ the record of a store that keeps keys as the Go KES does: in the clear.
 *
 *     offset  bytes  field
 *          0      1  format version, 0x02
 *          1     32  HMAC-SHA-256 over the store id, what never changes about the key, and the value
 *         33      n  the value: the key as KES writes it to its store, see stored-key.ts
 *
 * The store keeps the first 33 bytes in its database and the value alone in the key's file, where KES reads it. So a
 * file that another program has replaced, or swapped with the file of another key, is noticed.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import { RecordDamagedError } from '../errors.ts'
import { KEY_FILE_MARK_BYTES } from '../store/seal-store.ts'
import { frame } from './frame.ts'
import type { KeyFacts, KeyMaterial, SealedRecord } from './sealed-record.ts'
import { decodeStoredKey, encodeEarlyKey, encodeStoredKey, StoredKeyError } from './stored-key.ts'

const VERSION = 2

/** @param macKey - a subkey of the root key. */
export function sealKeyFile(
  macKey: KeyObject,
  storeId: Uint8Array,
  facts: KeyFacts,
  { secretKey, hmacKey }: KeyMaterial,
): SealedRecord {
  const { algorithm, createdAt, createdBy } = facts
  const key = {
    algorithm,
    secretKey: Buffer.from(secretKey),
    hmacKey: hmacKey && Buffer.from(hmacKey),
    createdAt,
    createdBy,
  }
  try {
    const text = key.hmacKey === undefined ? encodeEarlyKey(key) : encodeStoredKey(key)
    return authenticateKeyFile(macKey, storeId, facts, Buffer.from(text))
  } finally {
    key.secretKey.fill(0)
    key.hmacKey?.fill(0)
  }
}

/** The record of a value as it was found. */
export function authenticateKeyFile(
  macKey: KeyObject,
  storeId: Uint8Array,
  facts: KeyFacts,
  value: Uint8Array,
): SealedRecord {
  const mac = macOf(macKey, storeId, facts, value)
  return Buffer.concat([Buffer.of(VERSION), mac, value]) as Uint8Array as SealedRecord
}

/** @throws {@link RecordDamagedError} (502) if the value or a fact is not as it was, or the file is missing. */
export function unsealKeyFile(
  macKey: KeyObject,
  storeId: Uint8Array,
  facts: KeyFacts,
  record: Uint8Array,
): KeyMaterial {
  const value = Buffer.from(record.subarray(KEY_FILE_MARK_BYTES))
  try {
    if (value.length === 0) throw damaged(facts, 'is missing, empty or no regular file')
    const mac = macOf(macKey, storeId, facts, value)
    const isUnchanged = record[0] === VERSION && timingSafeEqual(record.subarray(1, KEY_FILE_MARK_BYTES), mac)
    if (!isUnchanged) throw damaged(facts, 'is not as this server left it')
    const { secretKey, hmacKey } = decodeStoredKey(value)
    return { secretKey, hmacKey }
  } catch (error) {
    if (!(error instanceof StoredKeyError)) throw error
    throw damaged(facts, `can not be read: ${error.message}`)
  } finally {
    value.fill(0)
  }
}

function damaged({ name }: KeyFacts, what: string): RecordDamagedError {
  return new RecordDamagedError('read key', { detail: `the file of key '${name}' ${what}` })
}

function macOf(macKey: KeyObject, storeId: Uint8Array, facts: KeyFacts, value: Uint8Array): Buffer {
  const { keyId, name, algorithm, createdAt, createdBy } = facts
  const content = frame(
    'latchkey file record v1',
    storeId,
    keyId,
    name,
    algorithm,
    createdAt,
    createdBy,
    value,
  )
  try {
    return createHmac('sha256', macKey).update(content).digest()
  } finally {
    content.fill(0)
  }
}
