/**
 * The store of the Go KES: a folder with a file for each key, in the clear. What KES has no place for (state, facts
 * under a MAC, reserved names, journal, seal) stands in a SQLite store beside the folder.
 *
 * A key's record is split: its mark stands in the row, its value in the file. The file has its place before the row is
 * committed, and loses it after the row's deletion is. So a crash leaves, at worst, a file without a row, which the
 * next start takes over or removes (`keyring/adopt-files.ts`); never a row without the key's only copy.
 */
import assert from 'node:assert/strict'
import { ErasePendingError, RecordDamagedError, type StoreAction } from '../errors.ts'
import type { KeyName } from '../names.ts'
import { KeyFolder } from './key-folder.ts'
import type { ErasedName, KeyRow } from './key-store.ts'
import { KEY_FILE_MARK_BYTES, type RecordForm } from './seal-store.ts'
import { SqliteStore, type SqliteStoreOptions, type StoreParts } from './sqlite-store.ts'

export class FsStore extends SqliteStore {
  override readonly recordForm: RecordForm = 'kes'
  readonly folder: KeyFolder
  /** Keys whose files were placed by the transaction under way, and names that it erased. */
  #placed: KeyRow[] = []
  readonly #erased = new Set<KeyName>()
  #depth = 0

  private constructor(folder: KeyFolder, path: string, parts: StoreParts, options: SqliteStoreOptions) {
    super(path, parts, options)
    this.folder = folder
  }

  /**
   * Opens the folder, and the database beside it, for this process alone; makes what is missing.
   *
   * @param folderPath - as {@link KeyFolder.resolve} has returned it.
   * @param databasePath - where the rest is kept.
   * @throws {@link StoreLockedError}, {@link StoreOpenError}
   */
  static openFolder(folderPath: string, databasePath: string, options: SqliteStoreOptions = {}): FsStore {
    return SqliteStore.openLocked(
      databasePath,
      options,
      (path, parts) => new FsStore(KeyFolder.open(folderPath), path, parts, options),
    )
  }

  /**
   * As {@link SqliteStore.openBeside}.
   *
   * @param folderPath - as {@link FsStore.folder} of the process that writes has it.
   */
  static openFolderBeside(folderPath: string, databasePath: string, holderPid: number): FsStore {
    return SqliteStore.openReading(
      databasePath,
      holderPid,
      {},
      (path, parts) => new FsStore(KeyFolder.view(folderPath), path, parts, {}),
    )
  }

  /** A file that has no row is no key: it appeared since the start, or the start has refused it ({@link readStray}). */
  override read(name: KeyName): KeyRow | undefined {
    const row = super.read(name)
    if (row === undefined) return undefined
    const value = this.#readValue(name)
    // Erased by another process between the two reads.
    if (value.length === 0 && !super.has(name)) return undefined
    const sealed = Buffer.concat([markOf(row.sealed), value])
    value.fill(0)
    return { ...row, sealed }
  }

  override readStray(name: KeyName): Buffer | undefined {
    if (super.has(name) || this.isErasing(name)) return undefined
    try {
      return this.folder.read(name)?.value
    } catch (error) {
      if (error instanceof RecordDamagedError) return Buffer.alloc(0)
      throw error
    }
  }

  /** A key without its file can still be disabled and erased; the seal says no to the rest. */
  #readValue(name: KeyName): Uint8Array {
    try {
      return this.folder.read(name)?.value ?? new Uint8Array()
    } catch (error) {
      if (error instanceof RecordDamagedError) return new Uint8Array()
      throw error
    }
  }

  override insert(row: KeyRow): void {
    assert(
      !this.#erased.has(row.name),
      'the file of an erased key goes after the commit, and until then has its name',
    )
    this.transaction(() => {
      if (!super.has(row.name)) this.#removeErased(row.name)
      super.insert({ ...row, sealed: markOf(row.sealed) })
      this.folder.place(row.name, row.sealed.subarray(KEY_FILE_MARK_BYTES))
      this.#placed.push(row)
    }, 'create key')
  }

  /** As {@link insert}, for a key whose file is in the folder already. */
  insertFound(row: KeyRow): void {
    super.insert({ ...row, sealed: markOf(row.sealed) })
  }

  /** Never writes to the key's file, which holds nothing that changes in a key's life. */
  override replace(row: KeyRow, expectedRevision: number): void {
    super.replace({ ...row, sealed: markOf(row.sealed) }, expectedRevision)
  }

  override erase(name: KeyName, tombstone: ErasedName | undefined): void {
    super.erase(name, tombstone)
    if (this.#depth > 0) this.#erased.add(name)
  }

  override async finishErasure(name: KeyName): Promise<void> {
    try {
      this.#removeErased(name)
    } catch (cause) {
      throw new ErasePendingError({ detail: `the file of key '${name}' can not be removed`, cause })
    }
    await super.finishErasure(name)
  }

  override mayHoldErased(name: KeyName): boolean {
    const isFileErased = !super.has(name) && this.isErasing(name) && this.folder.has(name)
    return isFileErased || super.mayHoldErased(name)
  }

  override async purge(): Promise<boolean> {
    for (const name of this.erasingNames()) this.#removeErased(name)
    return super.purge()
  }

  /** A file under the name of an erased key is that key's: files of others are taken over, with a row, at the start. */
  #removeErased(name: KeyName): void {
    if (!super.has(name) && this.isErasing(name)) this.folder.remove(name)
  }

  override transaction<T>(body: () => T, action?: StoreAction): T {
    const placedBefore = this.#placed.length
    this.#depth += 1
    try {
      return super.transaction(() => {
        const result = body()
        if (this.#depth === 1 && this.#placed.length > 0) this.folder.sync()
        return result
      }, action)
    } catch (error) {
      for (const row of this.#placed.slice(placedBefore)) this.#unplace(row)
      this.#placed.length = placedBefore
      throw error
    } finally {
      this.#depth -= 1
      if (this.#depth === 0) {
        this.#placed = []
        this.#erased.clear()
      }
    }
  }

  /** A commit that has failed may have happened all the same: then the file stays. */
  #unplace({ name, keyId }: KeyRow): void {
    let row: KeyRow | undefined
    try {
      row = super.read(name)
    } catch {
      return // Nobody knows: the next start finds the row, or takes the file over.
    }
    if (row === undefined || Buffer.compare(row.keyId, keyId) !== 0) this.folder.unplace(name)
  }

  override async status(): Promise<void> {
    await Promise.all([super.status(), this.folder.assertReachable()])
  }
}

/** A mark of another length is none: what follows it must not slip into the database. */
function markOf(record: Uint8Array): Uint8Array {
  return record.length >= KEY_FILE_MARK_BYTES
    ? record.subarray(0, KEY_FILE_MARK_BYTES)
    : new Uint8Array(KEY_FILE_MARK_BYTES)
}
