/**
 * Entries and receipts as JSON: the fields in words for people, and the signed bytes that prove them.
 *
 * @see docs/journal.md, which documents the fields.
 */

import type { KeyObject } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { BackupRow, KnownBackups } from '../store/journal-store.ts'
import {
  type Detail,
  decodeEntry,
  type Entry,
  EntryFormatError,
  isSignedBy,
  type SignedEntry,
} from './entry.ts'
import type { FiledEntry } from './verify.ts'

export interface EntryDocument {
  readonly number: number
  readonly time: string
  readonly action: string
  readonly name: string
  readonly key_id: string
  readonly algorithm: string | null
  readonly state: string
  readonly revision: number
  readonly identity: string
  readonly ip: string
  readonly created_at: string
  readonly created_by: string
  readonly fingerprint: string | null
  readonly detail?: Detail
  readonly store_id: string
  readonly previous: string
  readonly entry: string
  readonly signature: string
}

/** What an erasure can't reach. */
const NOT_COVERED: readonly string[] = [
  'backups, snapshots and other copies of the store, which still hold the sealed key',
  'blocks that a drive or a copy-on-write file system keeps after it has remapped or copied them',
]

/** @throws {@link EntryFormatError} if the bytes are no entry. */
export function entryDocument({ bytes, signature }: SignedEntry): EntryDocument {
  return { ...fieldsOf(decodeEntry(bytes)), entry: base64(bytes), signature: base64(signature) }
}

function fieldsOf(entry: Entry): Omit<EntryDocument, 'entry' | 'signature'> {
  const { number, time, action, name, state, revision, identity, ip } = entry
  return {
    number,
    time,
    action,
    name,
    key_id: hex(entry.keyId),
    algorithm: entry.algorithm ?? null,
    state,
    revision,
    identity,
    ip,
    created_at: entry.createdAt,
    created_by: entry.createdBy,
    fingerprint: entry.fingerprint === undefined ? null : hex(entry.fingerprint),
    ...(entry.detail === undefined ? {} : { detail: entry.detail }),
    store_id: hex(entry.storeId),
    previous: hex(entry.previous),
  }
}

const RECEIPT_FORMAT = 'latchkey receipt v1'

export interface ReceiptDocument {
  readonly format: string
  readonly name: string
  readonly fingerprint: string | null
  readonly created_at: string
  readonly created_by: string
  readonly erased_at: string
  readonly erased_by: string
  readonly not_covered: readonly string[]
  readonly journal: EntryDocument
}

/**
 * @param erasure - the entry of an erasure.
 * @param backups - those of the store that hold the key.
 */
export function receiptDocument(erasure: SignedEntry, backups: KnownBackups): ReceiptDocument {
  const journal = entryDocument(erasure)
  const not_covered = [...NOT_COVERED, ...backups.latest.map(describeBackup)]
  const others = backups.count - backups.latest.length
  if (others > 0) not_covered.push(`${others} earlier backups of the store, which hold the sealed key`)
  return { format: RECEIPT_FORMAT, ...factsOfReceipt(journal), not_covered, journal }
}

function describeBackup({ backupId, madeAt, number }: BackupRow): string {
  return `backup ${backupId} of ${madeAt} (journal entry ${number}), which holds the sealed key`
}

function factsOfReceipt({ name, fingerprint, created_at, created_by, time, identity }: EntryDocument) {
  return { name, fingerprint, created_at, created_by, erased_at: time, erased_by: identity }
}

/** A receipt or an export that proves nothing. */
export class ProofError extends Error {
  override readonly name = 'ProofError'
}

/**
 * Checks that the signature is by this key, that the entry is an erasure, and that what people read in the receipt is
 * what was signed.
 *
 * @param publicKey - never one that came with the receipt.
 * @returns the receipt, with nothing but what was signed; `not_covered` is not.
 * @throws {@link ProofError}
 */
export function verifyReceipt(text: string, publicKey: KeyObject): Omit<ReceiptDocument, 'not_covered'> {
  const receipt = parseObject(text, 'receipt')
  if (receipt.format !== RECEIPT_FORMAT)
    throw new ProofError('the file is no receipt of a format that is known')
  const signed = parseSigned(receipt.journal, 'receipt')
  if (!isSignedBy(publicKey, signed)) {
    throw new ProofError(
      'the signature is not valid: the receipt was changed, or the public key is that of another journal',
    )
  }
  const journal = asProof(() => entryDocument(signed))
  if (journal.action !== 'erase')
    throw new ProofError(`the signed entry is no erasure, but: ${journal.action}`)
  const { not_covered, ...found } = receipt
  const proven = { format: RECEIPT_FORMAT, ...factsOfReceipt(journal), journal }
  if (!isDeepStrictEqual(found, proven)) {
    throw new ProofError('the receipt says something else than its signed entry: it was changed')
  }
  return proven
}

/** One line of an export. @throws {@link ProofError} */
export function parseEntryLine(line: string): FiledEntry {
  const { number, name, entry, signature } = parseObject(line, 'line')
  const signed = parseSigned({ entry, signature }, 'line')
  if (JSON.stringify({ number, name, entry, signature }) !== line)
    throw new ProofError('the line is not as it was exported')
  return { ...signed, number, name }
}

function parseSigned(value: unknown, what: string): SignedEntry {
  const { entry, signature } = asObject(value, what)
  return { bytes: bytesOf(entry, what), signature: bytesOf(signature, what) }
}

function parseObject(text: string, what: string): Record<string, unknown> {
  try {
    return asObject(JSON.parse(text), what)
  } catch (error) {
    throw error instanceof ProofError ? error : new ProofError(`the ${what} is not JSON`)
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new ProofError(`the ${what} holds no entry`)
  return { ...value }
}

function bytesOf(value: unknown, what: string): Uint8Array {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : undefined
  if (bytes === undefined || base64(bytes) !== value)
    throw new ProofError(`the ${what} holds no entry in base64`)
  return bytes
}

function asProof<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw error instanceof EntryFormatError ? new ProofError(error.message) : error
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}
