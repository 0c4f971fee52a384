/** What the seal keeps in the store: who the store is, the slots that hold its wrapped root key, and its rotation. */
import type { KeyName } from '../names.ts'
import type { ErasedName } from './key-store.ts'

/** One way to unwrap the root key. `record` is sealed bytes; docs/sealed-record.md has its format. */
export interface NewSlot {
  /** What an operator calls it. */
  readonly label: string
  /** RFC 3339, UTC. */
  readonly createdAt: string
  readonly record: Uint8Array
}

export interface SlotRow extends NewSlot {
  /** 1 or more; never used twice in one store. */
  readonly slotId: number
}

export interface StoreFacts {
  /** 16 random bytes. */
  readonly storeId: Uint8Array
  /** RFC 3339, UTC. */
  readonly createdAt: string
  /** 32 bytes by which a root key is recognised. */
  readonly check: Uint8Array
  /** The root key's number: 1 for the first. */
  readonly rootGeneration: number
}

/** The root key before the current one, while rows are sealed under it. */
export interface OldRoot {
  readonly generation: number
  /** Under the current root key. Read back as found. */
  readonly sealed: Uint8Array
}

export interface StoredSeal {
  readonly facts: StoreFacts
  readonly slots: readonly SlotRow[]
  readonly oldRoot: OldRoot | undefined
}

/** `sealed`: encrypted under the root key. `kes`: as the Go KES has keys in its folder, in the clear. */
export type RecordForm = 'sealed' | 'kes'

/** What a store of the form `kes` keeps of a record in its database, before the value that stands in the key's file. */
export const KEY_FILE_MARK_BYTES = 33

/** What takes the place of the seal when its root key changes. */
export interface NewRoot {
  readonly check: Uint8Array
  readonly oldRoot: OldRoot
  /** Under the new root key. */
  readonly journalKey: Uint8Array
}

/** A row by which a page goes on, and whose name finds it. */
export interface RowPlace {
  readonly id: number
  readonly name: KeyName
}

/** A secret of the seal that was replaced: the bytes that must not stay in any file of the store. */
export type ReplacedSecret = Uint8Array

export interface SealStore {
  /** The form of the keys' records that this store keeps. */
  readonly recordForm: RecordForm
  /**
   * @returns undefined for a store that was never set up, also if a set-up was interrupted.
   * @throws {@link StoreOpenError} if keys or slots are there without the facts, or the facts can't be read: a
   *   new seal over them would lose the keys for good.
   */
  readSeal(): StoredSeal | undefined
  /**
   * Writes facts and slots in one transaction, once in a store's life.
   *
   * @throws {@link StoreOpenError} if the store has a seal, or if it outlives the process and `slots` is empty.
   */
  createSeal(facts: Omit<StoreFacts, 'rootGeneration'>, slots: readonly NewSlot[]): void
}

/** What a running store can change of its seal. A write joins the transaction that it is part of. */
export interface SealChanges extends SealStore {
  /** @returns the new slot's id. */
  insertSlot(slot: NewSlot): number
  /** The slot keeps its id. */
  replaceSlot(slot: SlotRow, replaced: ReplacedSecret): void
  removeSlot(slotId: number, replaced: ReplacedSecret): void

  /** New rows are sealed under the new root key from now on. */
  replaceRoot(root: NewRoot): void
  /** Key rows that are sealed under an older root key, from the row after `after` on. */
  keysOfOldRoot(after: number, limit: number): RowPlace[]
  /** As {@link SealChanges.keysOfOldRoot}. */
  erasedOfOldRoot(after: number, limit: number): RowPlace[]
  /** How many rows, keys and erased names, are sealed under an older root key. */
  countOfOldRoot(): number
  replaceErased(erased: ErasedName): void
  /** No row needs the old root key any more. */
  dropOldRoot(replaced: ReplacedSecret): void
  /**
   * Ends once no file of the store holds a secret that was replaced.
   *
   * @throws {@link ErasePendingError} after 5 s, or if the disk fails; the store goes on, as with erased keys.
   */
  finishReplacement(): Promise<void>
}
