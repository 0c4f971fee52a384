/**
 * HMAC-SHA-256 over what a row says in the clear, so that no state is changed by hand.
 *
 * A key's MAC leaves out its sealed bytes, which authenticate themselves and the key's facts: a key whose sealed
 * bytes are damaged can still be disabled and erased. Both are tied to one another by the store id, the key id and
 * the facts, which stand in both.
 */
import { createHmac, type KeyObject, timingSafeEqual } from 'node:crypto'
import type { ErasedName, KeyRow, ScheduledDeletion, StoredRunningTime } from '../store/key-store.ts'
import { frame } from './frame.ts'

export type KeyRowFacts = Omit<KeyRow, 'sealed' | 'mac'>
export type ErasedNameFacts = Omit<ErasedName, 'mac'>
export type RunningTimeFacts = Omit<StoredRunningTime, 'mac'>

const HASH = 'sha256'

/** @returns 32 bytes. */
export function macOfRow(macKey: KeyObject, storeId: Uint8Array, row: KeyRowFacts): Buffer {
  const {
    keyId,
    name,
    algorithm,
    createdAt,
    createdBy,
    state,
    revision,
    changedAt,
    changedBy,
    journalEntry,
    deletion,
  } = row
  const facts = [keyId, name, algorithm, createdAt, createdBy]
  const life = [state, revision, changedAt, changedBy, journalEntry]
  const framed =
    deletion === undefined
      ? frame('latchkey key row v1', storeId, ...facts, ...life)
      : frame('latchkey pending key row v1', storeId, ...facts, ...life, ...framedDeletion(deletion))
  return createHmac(HASH, macKey).update(framed).digest()
}

function framedDeletion({ atMs, runningFromMs, waitingMs }: ScheduledDeletion): number[] {
  return [atMs, runningFromMs, waitingMs]
}

/** @returns false for a MAC of any wrong value or length; takes the same time for every value. */
export function verifyRow(macKey: KeyObject, storeId: Uint8Array, row: Omit<KeyRow, 'sealed'>): boolean {
  return isSameMac(row.mac, macOfRow(macKey, storeId, row))
}

/** @returns 32 bytes. */
export function macOfErased(macKey: KeyObject, storeId: Uint8Array, erased: ErasedNameFacts): Buffer {
  const { name, keyId, erasedAt, erasedBy } = erased
  return createHmac(HASH, macKey)
    .update(frame('latchkey erased name v1', storeId, name, keyId, erasedAt, erasedBy))
    .digest()
}

/** As {@link verifyRow}. */
export function verifyErased(macKey: KeyObject, storeId: Uint8Array, erased: ErasedName): boolean {
  return isSameMac(erased.mac, macOfErased(macKey, storeId, erased))
}

/** @returns 32 bytes. */
export function macOfRunningTime(macKey: KeyObject, storeId: Uint8Array, time: RunningTimeFacts): Buffer {
  return createHmac(HASH, macKey)
    .update(frame('latchkey running time v1', storeId, time.runningMs, time.monotonicMs))
    .digest()
}

export function isSameMac(found: Uint8Array, expected: Uint8Array): boolean {
  return found.length === expected.length && timingSafeEqual(found, expected)
}
