/**
 * What the key ring needs of a store, and the rows that cross this border: sealed bytes in and out, compare and
 * set on the revision, listing in the order of bytes, and a counter that moves at every change.
 *
 * A store never sees a key: it neither checks a row's MAC nor opens its sealed bytes. It promises order,
 * atomicity and durability: what it has acknowledged outlives a crash, and what it has erased no reader finds again.
 */
import { type StoreAction, StoreError } from '../errors.ts'
import type { KeyName } from '../names.ts'
import type { BackupLog, JournalStore } from './journal-store.ts'

export type KeyState = 'enabled' | 'disabled' | 'pending'
export type Algorithm = 'AES256' | 'ChaCha20'

/** When a key that is pending deletion may be erased: once both clocks are past. Whole milliseconds. */
export interface ScheduledDeletion {
  /** Since 1970, by the wall clock. */
  readonly atMs: number
  /** How long the server had run when the deletion was scheduled; see {@link StoredRunningTime}. */
  readonly runningFromMs: number
  readonly waitingMs: number
}

/** How long servers have run on this store. Whole milliseconds. */
export interface StoredRunningTime {
  readonly runningMs: number
  /** When this was so, by the machine's monotonic clock. */
  readonly monotonicMs: number
  /** 32 bytes over everything above. Read back as found, of any length. */
  readonly mac: Uint8Array
}

/** One external key (EK), sealed. */
export interface KeyRow {
  /** 16 random bytes; a key made later under the same name has another one. */
  readonly keyId: Uint8Array
  readonly name: KeyName
  readonly algorithm: Algorithm
  /** RFC 3339, UTC. */
  readonly createdAt: string
  /** The creator's identity; empty if it had none. */
  readonly createdBy: string
  /** The sealed record. Read back as found: only the seal can tell whether it is intact. */
  readonly sealed: Uint8Array
  readonly state: KeyState
  /** Of a key that is pending deletion, and of no other. */
  readonly deletion?: ScheduledDeletion | undefined
  /** 1 at creation, one more at each change. */
  readonly revision: number
  readonly changedAt: string
  readonly changedBy: string
  /** Number of the last journal entry about this key; 0 before there is one. */
  readonly journalEntry: number
  /** Which of the store's root keys seals the record and makes the MAC: 1 for the first. */
  readonly rootGeneration: number
  /** 32 bytes over everything above but `sealed` and the root key's number. Read back as found, of any length. */
  readonly mac: Uint8Array
}

/** A name whose key was erased and which stays reserved. */
export interface ErasedName {
  readonly name: KeyName
  /** 16 bytes: the erased key's. */
  readonly keyId: Uint8Array
  readonly erasedAt: string
  readonly erasedBy: string
  /** As {@link KeyRow.rootGeneration}. */
  readonly rootGeneration: number
  /** 32 bytes over everything above but the root key's number. Read back as found, of any length. */
  readonly mac: Uint8Array
}

/** How many keys there are in each state, and erased ones that nobody has been told yet to be off the disk. */
export type StoreCounts = Readonly<Record<KeyState | 'erasing', number>>

/** A row that can be named but not read. */
export interface DamagedRow {
  readonly damaged: KeyName
}

/** Someone else changed the key since it was read: read it again and decide anew. */
export class RevisionConflictError extends StoreError {}

/**
 * Every method is synchronous and may throw a {@link StoreError} (502), whose detail says what the store's disk or
 * database answered. A write outside {@link KeyStore.transaction} is a transaction of its own.
 */
export interface KeyStore extends JournalStore, BackupLog {
  /** Also for a damaged key. */
  has(name: KeyName): boolean
  /**
   * @throws {@link RecordDamagedError} (502) if a column has a type, a length or a value that no writer gives it.
   *   `sealed` and `mac` never cause it, so that a key with damaged sealed bytes can still be disabled.
   */
  read(name: KeyName): KeyRow | undefined
  /** The MAC of the row, by which a row is known that was read before; undefined if there is none. */
  readMac(name: KeyName): Uint8Array | undefined
  /** @throws {@link RecordDamagedError} (502) */
  readErased(name: KeyName): ErasedName | undefined

  /**
   * @throws {@link KeyExistsError} (400)
   * @throws {@link KeyNameReservedError} (400) while the name is an erased one: a name is never both.
   */
  insert(row: KeyRow): void
  /**
   * Replaces the whole row of `row.name` if its revision is still `expectedRevision`.
   *
   * @throws {@link KeyNotFoundError} (404)
   * @throws {@link RevisionConflictError} (502)
   */
  replace(row: KeyRow, expectedRevision: number): void
  /**
   * Removes the key, damaged or not, and reserves its name if there is a tombstone. Its bytes may still stand in the
   * store's files: call {@link KeyStore.finishErasure} after the commit.
   *
   * @throws {@link KeyNotFoundError} (404)
   */
  erase(name: KeyName, tombstone: ErasedName | undefined): void
  /** Whether a key of this name was erased and no call of {@link KeyStore.finishErasure} has ended well since. */
  isErasing(name: KeyName): boolean
  /** Whether something that was erased under this name may still stand in the store's files. */
  mayHoldErased(name: KeyName): boolean
  /**
   * What stands under a name that is no key's, in a store whose keys are files; undefined if nothing does, empty if it
   * is no file of a fit size. The file of a key that is being erased counts as nothing.
   */
  readStray(name: KeyName): Buffer | undefined
  /**
   * Ends once no file of the store holds what was erased under this name.
   *
   * @throws {@link ErasePendingError} (503) after 5 s, or if the disk fails. The store remembers what is left, over a
   *   restart too; see {@link KeyStore.purge}.
   */
  finishErasure(name: KeyName): Promise<void>
  /** Frees an erased name. @returns whether it was one. */
  dropErased(name: KeyName): boolean
  /** The number of the root key that new rows are sealed under. To be asked inside the transaction that writes them. */
  rootGeneration(): number

  /**
   * Tries again, once, to remove what erased keys left in the store's files.
   *
   * @returns false while something may be left, for instance because a backup is reading the store. The keys are
   *   gone for every reader that begins later all the same.
   * @throws what the disk answered.
   */
  purge(): Promise<boolean>

  /**
   * Names with this prefix that come after `after`, in the order of their bytes. As found: a name that was written by
   * hand may be none by the rules of names.
   */
  names(prefix: string, after: string | undefined, limit: number): KeyName[]
  /** As {@link KeyStore.names}. One damaged row doesn't hide the others. */
  rows(prefix: string, after: string | undefined, limit: number): (KeyRow | DamagedRow)[]
  count(): number
  /** Reads every row. */
  counts(): StoreCounts

  /** Whether a key is pending deletion. */
  hasPending(): boolean
  /** Names of keys whose deletion is due by what their rows say, which the caller has yet to trust. */
  dueNames(wallMs: number, runningMs: number, limit: number): KeyName[]
  /** Names of keys whose deletion was scheduled after so much running time by what their rows say, the latest first. */
  namesScheduledAfter(runningMs: number): KeyName[]
  /** @throws {@link RecordDamagedError} (502) */
  runningTime(): StoredRunningTime | undefined
  setRunningTime(time: StoredRunningTime): void

  /**
   * Runs `body` with the only right to write; all it wrote is kept, or nothing if it throws. A call inside a
   * transaction joins it: if that call throws, its own writes alone are undone.
   *
   * @param action - what a failure to commit is called; `change key` by default.
   */
  transaction<T>(body: () => T, action?: StoreAction): T
  /**
   * As {@link KeyStore.transaction}, for one that takes a key out of use: on a full disk it runs again with the space
   * that is kept for it.
   */
  lockingTransaction<T>(body: () => T, action?: StoreAction): T
  /**
   * Runs `body`, whose reads all see the store as it is at one moment, whatever another process commits meanwhile. Not
   * needed for a read of one row.
   */
  consistently<T>(body: () => T): T
  /**
   * Changes whenever another connection, usually in another process, has committed; this store's own commits leave
   * it as it is. Ask outside a transaction.
   */
  foreignChanges(): number

  /**
   * When a write would not be waited for inside of the call that makes it, where the whole process waits: asked first by
   * all that writes while a server serves.
   *
   * @param action - what a failure is called.
   * @returns undefined: now. Otherwise a promise that is fulfilled then.
   * @throws as its rejection, {@link StoreError} (502) if the disk has taken no write for some seconds, or another
   *   program has been writing for as long as it is waited for.
   */
  whenWritable(action: StoreAction): Promise<void> | undefined

  /**
   * Asks the disk beside the event loop, so one that hangs does not hold it up.
   *
   * @throws {@link StoreUnreachableError} (504) if the store is no longer where it was opened.
   * @throws {@link StoreUnavailableError} (502) if it is there and can't be read.
   */
  status(): Promise<void>
  close(): void
}
