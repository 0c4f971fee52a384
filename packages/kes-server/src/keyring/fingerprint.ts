/** A mark of a key's bytes for the journal: it says that two keys are the same, and nothing about the key. */
import { createHmac } from 'node:crypto'
import { RecordDamagedError } from '../errors.ts'
import type { Seal } from '../seal/seal.ts'
import type { KeyRow } from '../store/key-store.ts'

const FINGERPRINT_BYTES = 16

/** @returns 16 bytes: the first of HMAC-SHA-256(key, "latchkey fingerprint v1"). */
export function fingerprintOf(secretKey: Uint8Array): Buffer {
  return createHmac('sha256', secretKey)
    .update('latchkey fingerprint v1')
    .digest()
    .subarray(0, FINGERPRINT_BYTES)
}

/** Undefined if the sealed bytes are damaged. */
export function fingerprintOfRow(seal: Seal, row: KeyRow): Uint8Array | undefined {
  try {
    const { secretKey, hmacKey } = seal.unsealKey(row)
    const fingerprint = fingerprintOf(secretKey)
    secretKey.fill(0)
    hmacKey?.fill(0)
    return fingerprint
  } catch (error) {
    if (error instanceof RecordDamagedError) return undefined
    throw error
  }
}
