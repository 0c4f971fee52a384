/**
 * The journal of one open store: who made, changed and erased which key, when and from where.
 *
 * An entry is appended inside the transaction of the change that it records, so both are there or neither. Entries are
 * chained by hash and signed one by one; the store keeps their bytes.
 */
import assert from 'node:assert/strict'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { RecordDamagedError } from '../errors.ts'
import type { KeyName } from '../names.ts'
import type { JournalStore, StoredEntry } from '../store/journal-store.ts'
import type { KeyRow } from '../store/key-store.ts'
import {
  decodeEntry,
  type Entry,
  EntryFormatError,
  HASH_BYTES,
  hashOf,
  isSignedBy,
  type SignedEntry,
  signEntry,
} from './entry.ts'

const KEY_ID_BYTES = 16

/** Who acts, and from which address. */
export interface Actor {
  /** Empty without a certificate. */
  readonly identity: string
  /** Empty for the server itself. */
  readonly ip: string
}

/** What the journal does not know by itself. */
export type EntryFacts = Omit<Entry, 'storeId' | 'number' | 'previous'>

/** Of an entry about the store itself. */
export const NO_KEY = {
  name: '',
  keyId: new Uint8Array(KEY_ID_BYTES),
  algorithm: undefined,
  state: 'none',
  revision: 0,
  createdAt: '',
  createdBy: '',
  fingerprint: undefined,
} as const satisfies Partial<EntryFacts>

/** An entry with the bytes that prove it. */
export interface RecordedEntry extends SignedEntry {
  readonly entry: Entry
}

export interface JournalHead {
  /** Number of the last entry. */
  readonly number: number
  /** 32 bytes: SHA-256 of the last entry. */
  readonly hash: Uint8Array
}

const PAGE_ENTRIES = 50

const BEFORE_FIRST: JournalHead = { number: 0, hash: new Uint8Array(HASH_BYTES) }

export class Journal {
  readonly publicKey: KeyObject
  readonly storeId: Uint8Array
  readonly #store: JournalStore
  readonly #privateKey: KeyObject | undefined

  /** @param key - Ed25519, private. With a public one, entries can be read and checked, and none can be appended. */
  constructor(store: JournalStore, storeId: Uint8Array, key: KeyObject) {
    this.#store = store
    this.storeId = storeId
    this.#privateKey = key.type === 'private' ? key : undefined
    this.publicKey = key.type === 'private' ? createPublicKey(key) : key
  }

  /**
   * Called inside the transaction of the change. A last entry that was damaged is chained to as it is found, so that
   * it does not keep a key from being disabled; verification names it.
   */
  append(facts: EntryFacts): RecordedEntry {
    assert(this.#privateKey, 'only the process that writes appends to the journal')
    const { number, hash } = this.head()
    const entry: Entry = { ...facts, storeId: this.storeId, number: number + 1, previous: hash }
    const signed = signEntry(this.#privateKey, entry)
    const { bytes, signature } = signed
    this.#store.appendEntry({ number: entry.number, name: entry.name, entry: bytes, signature })
    return { entry, ...signed }
  }

  head(): JournalHead {
    const last = this.#store.lastEntry()
    return last === undefined ? BEFORE_FIRST : { number: last.number, hash: hashOf(last.entry) }
  }

  /**
   * The names of keys that were changed since the entry of this number, and the number of the last entry now.
   *
   * @returns undefined if there were more than `limit` changes, or the journal has lost entries.
   */
  changesSince(number: number, limit: number): { names: string[]; last: number } | undefined {
    const found = this.#store.namesOfEntries(number, limit + 1)
    const last = found.at(-1)?.number ?? number
    if (found.length > limit || last - number !== found.length) return undefined
    return { names: found.map(({ name }) => name), last }
  }

  /** The last entry about a key of this name; undefined if there is none, or what is there can't be read. */
  lastOf(name: KeyName): Entry | undefined {
    const stored = this.#store.lastEntryOf(name)
    const entry = stored && readEntry(stored)
    return entry?.name === name ? entry : undefined
  }

  /** The number of the first entry about this very key; 0 if there is none that can be read. */
  firstOf(name: KeyName, keyId: Uint8Array): number {
    for (let after = 0; ; ) {
      const page = this.#store.readEntriesOf(name, after, PAGE_ENTRIES)
      const first = page.find((stored) => {
        const entry = readEntry(stored)
        return entry !== undefined && Buffer.compare(entry.keyId, keyId) === 0
      })
      if (first !== undefined) return first.number
      after = page.at(-1)?.number ?? 0
      if (page.length < PAGE_ENTRIES) return 0
    }
  }

  /** As {@link Journal.lastOf}, but only if it was this journal that signed it. */
  provenLastOf(name: KeyName): Entry | undefined {
    const stored = this.#store.lastEntryOf(name)
    return stored !== undefined && this.#isSigned(stored) ? this.lastOf(name) : undefined
  }

  /**
   * The entry of the erasure that was the last thing to happen to this name.
   *
   * @throws {@link RecordDamagedError} (502) if the last entry was changed, or is of no erasure.
   */
  lastErasureOf(name: KeyName): RecordedEntry {
    return this.#proveErasure(name, this.#store.lastEntryOf(name))
  }

  /**
   * The last erasure under this name, whatever the name was used for since; undefined if there was none.
   *
   * @throws {@link RecordDamagedError} (502) if its entry was changed.
   */
  erasureOf(name: KeyName): RecordedEntry | undefined {
    let erasure: StoredEntry | undefined
    for (let after = 0; ; ) {
      const page = this.#store.readEntriesOf(name, after, PAGE_ENTRIES)
      erasure = page.findLast((stored) => readEntry(stored)?.action === 'erase') ?? erasure
      if (page.length < PAGE_ENTRIES) return erasure && this.#proveErasure(name, erasure)
      after = page.at(-1)?.number ?? 0
    }
  }

  #proveErasure(name: KeyName, stored: StoredEntry | undefined): RecordedEntry {
    const entry = stored && this.#isSigned(stored) ? readEntry(stored) : undefined
    if (stored !== undefined && entry?.name === name && entry.action === 'erase')
      return { entry, bytes: stored.entry, signature: stored.signature }
    const detail = `the journal's entry of the erasure of '${name}' was changed`
    throw new RecordDamagedError('read key', { detail })
  }

  /** Whether the key is as its last entry left it: an older row that was put back is not. */
  agreesWith(row: Omit<KeyRow, 'sealed' | 'mac'>): boolean {
    const last = this.lastOf(row.name)
    return (
      last !== undefined &&
      last.number === row.journalEntry &&
      last.state === row.state &&
      last.revision === row.revision &&
      Buffer.compare(last.keyId, row.keyId) === 0
    )
  }

  /**
   * The entries about all keys that have had this name, the erased ones included.
   *
   * @throws {@link RecordDamagedError} (502) if one of them was changed.
   */
  history(name: KeyName, after: number, limit: number): RecordedEntry[] {
    return this.#store.readEntriesOf(name, after, limit).map((stored) => {
      const entry = this.#isSigned(stored) ? readEntry(stored) : undefined
      if (entry?.name === name) return { entry, bytes: stored.entry, signature: stored.signature }
      throw new RecordDamagedError('read key', {
        detail: `entry ${stored.number} of the journal was changed`,
      })
    })
  }

  /** Entries as the store has them: whoever verifies them must see what was changed. */
  read(after: number, limit: number): StoredEntry[] {
    return this.#store.readEntries(after, limit)
  }

  /** As {@link Journal.read}, decoded; `entry` is undefined where it can't be read, or was filed under another name. */
  changes(after: number, limit: number): { number: number; name: string; entry: Entry | undefined }[] {
    return this.#store.readEntries(after, limit).map((stored) => {
      const entry = readEntry(stored)
      const { number, name } = stored
      return { number, name, entry: entry?.name === name ? entry : undefined }
    })
  }

  /** The last entry of this action, of those that are about no key and that this journal signed. */
  lastOfAction(action: Entry['action']): Entry | undefined {
    for (let before = Number.MAX_SAFE_INTEGER; ; ) {
      const page = this.#store.readEntriesBefore('', before, PAGE_ENTRIES)
      for (const stored of page) {
        const entry = readEntry(stored)
        if (entry?.action === action && this.#isSigned(stored)) return entry
        before = stored.number
      }
      if (page.length === 0) return undefined
    }
  }

  #isSigned({ entry, signature }: StoredEntry): boolean {
    return isSignedBy(this.publicKey, { bytes: entry, signature })
  }
}

/** @returns undefined if the bytes are no entry, or the entry of another number. */
function readEntry(stored: StoredEntry): Entry | undefined {
  try {
    const entry = decodeEntry(stored.entry)
    return entry.number === stored.number ? entry : undefined
  } catch (error) {
    if (error instanceof EntryFormatError) return undefined
    throw error
  }
}
