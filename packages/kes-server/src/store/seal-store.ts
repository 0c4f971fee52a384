/** What the seal keeps in the store: who the store is, and the slots that hold its wrapped root key. */

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
}

export interface StoredSeal {
  readonly facts: StoreFacts
  readonly slots: readonly SlotRow[]
}

/** `sealed`: encrypted under the root key. `kes`: as the Go KES has keys in its folder, in the clear. */
export type RecordForm = 'sealed' | 'kes'

/** What a store of the form `kes` keeps of a record in its database, before the value that stands in the key's file. */
export const KEY_FILE_MARK_BYTES = 33

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
  createSeal(facts: StoreFacts, slots: readonly NewSlot[]): void
}
