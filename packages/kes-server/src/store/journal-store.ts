/** What the journal keeps in the store: its sealed key, and entries whose bytes mean nothing to the store. */
import type { KeyName } from '../names.ts'
import { Columns } from './columns.ts'

export interface StoredEntry {
  /** From 1, without gaps. */
  readonly number: number
  /**
   * The name of the entry's key, by which it is found; empty for entries about the store itself. Read back as found,
   * as are entry and signature: an entry shows by itself whether it is intact.
   */
  readonly name: string
  readonly entry: Uint8Array
  readonly signature: Uint8Array
}

export interface BackupRow {
  /** Of its journal entry. */
  readonly number: number
  readonly backupId: string
  /** RFC 3339, UTC. */
  readonly madeAt: string
}

/** Which backups the journal knows of. Every method may throw a {@link StoreError} (502). */
export interface BackupLog {
  /** Inside the transaction of the entry. */
  insertBackup(backup: BackupRow): void
  /** Of the backups whose entries come after this one the latest, and how many there are in all. */
  backupsAfter(number: number, limit: number): KnownBackups
}

export interface KnownBackups {
  readonly latest: readonly BackupRow[]
  readonly count: number
}

/** Every method may throw a {@link StoreError} (502). */
export interface JournalStore {
  /** Sealed; undefined for a store whose journal has not been set up. Read back as found. */
  journalKey(): Uint8Array | undefined
  /** Once in a store's life. */
  insertJournalKey(sealed: Uint8Array): void
  /** Called inside the transaction of the change that the entry records. */
  appendEntry(entry: StoredEntry): void
  lastEntry(): StoredEntry | undefined
  /** In the order of their numbers. */
  readEntries(after: number, limit: number): StoredEntry[]
  /** As {@link JournalStore.readEntries}, without what they say. */
  namesOfEntries(after: number, limit: number): Pick<StoredEntry, 'number' | 'name'>[]
  lastEntryOf(name: KeyName): StoredEntry | undefined
  /** As {@link JournalStore.readEntries}, of one name; erased keys of that name included. */
  readEntriesOf(name: KeyName, after: number, limit: number): StoredEntry[]
  /** Of one name, or of none at all (''), the last one first. */
  readEntriesBefore(name: KeyName | '', before: number, limit: number): StoredEntry[]
}

export function backupFromColumns(row: unknown): BackupRow {
  const columns = new Columns(row)
  return {
    number: columns.integer('number', Number.MIN_SAFE_INTEGER),
    backupId: columns.textAsFound('backup_id'),
    madeAt: columns.textAsFound('made_at'),
  }
}

export function storedEntryFromColumns(row: unknown): StoredEntry {
  const columns = new Columns(row)
  return {
    number: columns.integer('number', Number.MIN_SAFE_INTEGER),
    name: columns.textAsFound('name'),
    entry: columns.bytesAsFound('entry'),
    signature: columns.bytesAsFound('signature'),
  }
}
