/** `GET /v1/key/history/<name>`: what the journal says of one name, also of keys that were erased. */
import { KeyNotFoundError } from '../errors.ts'
import {
  type EntryDocument,
  entryDocument,
  type ReceiptDocument,
  receiptDocument,
} from '../journal/document.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import type { KeyName } from '../names.ts'

/** Each entry's signature is checked, which costs about 0.1 ms. */
const PAGE_ENTRIES = 100

export interface KeyHistory {
  readonly entries: readonly EntryDocument[]
  /** The `after` of the next page; absent on the last. */
  readonly continue_at?: number
}

/**
 * @param after - the number of the entry before the page; 0 for the first.
 * @throws {@link KeyNotFoundError} (404) if no key has ever had the name.
 */
export function keyHistory(ring: KeyRing, name: KeyName, after: number): KeyHistory {
  const entries = ring.history(name, after, PAGE_ENTRIES)
  if (entries.length === 0 && after === 0) throw new KeyNotFoundError()
  const last = entries.length < PAGE_ENTRIES ? undefined : entries.at(-1)
  return {
    entries: entries.map(entryDocument),
    ...(last === undefined ? {} : { continue_at: last.entry.number }),
  }
}

/**
 * The receipt of the last erasure of a key of this name: also if nobody asked for it then, or a waiting period ended.
 *
 * @throws {@link KeyNotFoundError} (404) if none was erased, ErasePendingError (503)
 */
export function lastReceipt(ring: KeyRing, name: KeyName): ReceiptDocument {
  const erasure = ring.erasureOf(name)
  return receiptDocument(erasure, ring.backupsOf(erasure))
}
