/** A mark of a key's bytes for the journal: it says that two keys are the same, and nothing about the key. */
import { createHmac } from 'node:crypto'
import type { Seal } from '../seal/seal.ts'
import type { KeyRow } from '../store/key-store.ts'
import { unlessDamaged } from './unless-damaged.ts'

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
  const material = unlessDamaged(() => seal.unsealKey(row))
  if (material === undefined) return undefined
  const { secretKey, hmacKey } = material
  const fingerprint = fingerprintOf(secretKey)
  secretKey.fill(0)
  hmacKey?.fill(0)
  return fingerprint
}
