/** The default store: one SQLite file beside one lock, for one server; or the same tables in memory. */
import assert from 'node:assert/strict'
import type Database from 'better-sqlite3'
import {
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
  RecordDamagedError,
  type StoreAction,
  StoreError,
  StoreUnavailableError,
} from '../errors.ts'
import type { KeyName } from '../names.ts'
import { ColumnError, Columns } from './columns.ts'
import {
  type Connection,
  IN_MEMORY,
  openConnection,
  openConnectionToLook,
  openReadingConnection,
} from './connection.ts'
import { Erasures } from './erasures.ts'
import {
  type BackupRow,
  backupFromColumns,
  type KnownBackups,
  type StoredEntry,
  storedEntryFromColumns,
} from './journal-store.ts'
import {
  countsFromColumns,
  erasedNameFromColumns,
  erasedNameToColumns,
  keyRowFromColumns,
  keyRowToColumns,
  runningTimeFromColumns,
} from './key-columns.ts'
import {
  type DamagedRow,
  type ErasedName,
  type KeyRow,
  type KeyStore,
  RevisionConflictError,
  type StoreCounts,
  type StoredRunningTime,
} from './key-store.ts'
import { StoreOpenError } from './open-errors.ts'
import type {
  NewRoot,
  NewSlot,
  RecordForm,
  ReplacedSecret,
  RowPlace,
  SealChanges,
  SlotRow,
  StoredSeal,
  StoreFacts,
} from './seal-store.ts'
import {
  dropOldRoot,
  insertSeal,
  insertSlot,
  readSeal,
  removeSlot,
  replaceRoot,
  replaceSlot,
} from './seal-table.ts'
import { asOpenError, asStoreError, isDiskFull, isUniqueViolation } from './sqlite-errors.ts'
import type { Statements } from './statements.ts'
import { createPrivateFile, permissionWarnings, resolveStorePath } from './store-file.ts'
import { StoreFiles } from './store-files.ts'
import { StoreLock } from './store-lock.ts'
import { StoreProbe } from './store-probe.ts'
import { WriteGate } from './write-gate.ts'
import { WriteLock } from './write-lock.ts'

const BUSY_TIMEOUT_MS = 1000
const ERASE_TIMEOUT_MS = 5000
/** Under which the seal's own secrets are erased; no key has it. */
const NO_NAME = '' as KeyName

export interface SqliteStoreOptions {
  /** How long a write waits for another process's. */
  readonly busyTimeoutMs?: number
  /** How long {@link SqliteStore.finishErasure} tries. */
  readonly eraseTimeoutMs?: number
  /** Gives disk space back where a transaction that may have it finds none left. @returns false if there is none. */
  readonly spendReserve?: () => boolean
}

/** What a store is made of. */
export interface StoreParts {
  readonly lock: StoreLock | undefined
  readonly connection: Pick<Connection, 'db' | 'statements'>
  readonly files: StoreFiles | undefined
  readonly warnings: readonly string[]
}

/** Follows every name that begins with the same prefix. */
const LAST = '\u{10ffff}'

export class SqliteStore implements KeyStore, SealChanges {
  readonly recordForm: RecordForm = 'sealed'
  /** Without symbolic links; `:memory:` for a store in memory. */
  readonly path: string
  /** Sentences for the operator: open permissions, damaged rows. */
  readonly warnings: readonly string[]
  readonly #db: Database.Database
  readonly #lock: StoreLock | undefined
  readonly #probe: StoreProbe | undefined
  readonly #gate: WriteGate | undefined
  readonly #writeLock: WriteLock | undefined
  readonly #statements: Statements
  readonly #files: StoreFiles | undefined
  readonly #erasures: Erasures
  readonly #eraseTimeoutMs: number
  readonly #spendReserve: () => boolean
  readonly #isWriter: boolean
  #depth = 0

  protected constructor(path: string, parts: StoreParts, options: SqliteStoreOptions) {
    const { lock, connection, files, warnings } = parts
    this.#spendReserve = options.spendReserve ?? (() => false)
    this.#isWriter = !connection.db.readonly
    this.path = path
    this.#lock = lock
    this.#probe = lock && new StoreProbe(path)
    this.#db = connection.db
    this.#statements = connection.statements
    this.#files = files
    const busyTimeoutMs = options.busyTimeoutMs ?? BUSY_TIMEOUT_MS
    if (lock !== undefined && this.#isWriter) {
      const writeLock = new WriteLock(path)
      this.#writeLock = writeLock
      this.#gate = new WriteGate(path, { isLocked: () => writeLock.isTaken(), lockTimeoutMs: busyTimeoutMs })
    }
    this.#erasures = new Erasures(this.#db, files, {
      busyTimeoutMs,
      spendReserve: this.#spendReserve,
      whenWritable: () => this.whenWritable('delete key'),
    })
    this.#eraseTimeoutMs = options.eraseTimeoutMs ?? ERASE_TIMEOUT_MS
    this.warnings = warnings
  }

  /**
   * Opens the store for this process alone; makes it, readable by its owner only, if there is none.
   *
   * @throws {@link StoreLockedError} if a server, this one or another, has it open.
   * @throws {@link StoreOpenError} with one line for the operator; an existing store is unchanged then.
   */
  static open(path: string, options: SqliteStoreOptions = {}): SqliteStore {
    return SqliteStore.openLocked(path, options, (real, parts) => new SqliteStore(real, parts, options))
  }

  /** @param make - its path has no symbolic links, and is that of an existing file. */
  protected static openLocked<Store>(
    path: string,
    options: SqliteStoreOptions,
    make: (path: string, parts: StoreParts) => Store,
  ): Store {
    const real = resolveStorePath(path)
    const lock = StoreLock.acquire(real)
    try {
      createPrivateFile(real)
      const permissions = permissionWarnings(real)
      const connection = openConnection(real, options.busyTimeoutMs ?? BUSY_TIMEOUT_MS)
      const files = openFiles(real, connection)
      try {
        return make(real, { lock, connection, files, warnings: [...permissions, ...connection.warnings] })
      } catch (error) {
        connection.db.close()
        files.close()
        throw error
      }
    } catch (error) {
      lock.release()
      throw error
    }
  }

  /**
   * Opens the store for reading, beside the process that writes to it; every write fails.
   *
   * @param path - as {@link SqliteStore.path} of that process has it.
   * @param holderPid - that process.
   * @throws {@link StoreOpenError}, also if that process has the store no more.
   */
  static openBeside(path: string, holderPid: number, options: SqliteStoreOptions = {}): SqliteStore {
    const make = (real: string, parts: StoreParts) => new SqliteStore(real, parts, options)
    return SqliteStore.openReading(path, holderPid, options, make)
  }

  protected static openReading<Store>(
    path: string,
    holderPid: number,
    options: SqliteStoreOptions,
    make: (path: string, parts: StoreParts) => Store,
  ): Store {
    const lock = StoreLock.join(path, holderPid)
    try {
      const connection = openReadingConnection(path, options.busyTimeoutMs ?? BUSY_TIMEOUT_MS)
      return make(path, { lock, connection, files: undefined, warnings: [] })
    } catch (error) {
      lock.release()
      throw error
    }
  }

  /**
   * Opens an existing store for a look: no lock is taken or waited for, and every write fails.
   *
   * @returns undefined if an older server has made it, whose tables this one does not read.
   * @throws {@link StoreOpenError} if it is damaged, of another program or of a newer server.
   */
  static openToLook(path: string): SqliteStore | undefined {
    const connection = openConnectionToLook(path, BUSY_TIMEOUT_MS)
    if (connection === undefined) return undefined
    const warnings = [...permissionWarnings(path), ...connection.warnings]
    return new SqliteStore(path, { lock: undefined, connection, files: undefined, warnings }, {})
  }

  /** A store that ends with the process. */
  static inMemory(): SqliteStore {
    const connection = openConnection(IN_MEMORY, BUSY_TIMEOUT_MS)
    const { warnings } = connection
    return new SqliteStore(IN_MEMORY, { lock: undefined, connection, files: undefined, warnings }, {})
  }

  get isInMemory(): boolean {
    return this.path === IN_MEMORY
  }

  has(name: KeyName): boolean {
    return this.#attempt('read key', () => this.#statements.has.get(name) !== undefined)
  }

  read(name: KeyName): KeyRow | undefined {
    return this.#attempt('read key', () => {
      const row = this.#statements.read.get(name)
      return row === undefined ? undefined : keyRowFromColumns(name, row)
    })
  }

  readMac(name: KeyName): Uint8Array | undefined {
    return this.#attempt('read key', () => {
      const mac = this.#statements.mac.get(name)
      return mac instanceof Uint8Array ? mac : undefined
    })
  }

  readErased(name: KeyName): ErasedName | undefined {
    return this.#attempt('read key', () => {
      const row = this.#statements.readErased.get(name)
      return row === undefined ? undefined : erasedNameFromColumns(name, row)
    })
  }

  insert(row: KeyRow): void {
    this.#write('create key', () => {
      if (this.#statements.readErased.get(row.name) !== undefined) throw new KeyNameReservedError()
      try {
        this.#statements.insert.run(keyRowToColumns(row))
      } catch (error) {
        throw isUniqueViolation(error) ? new KeyExistsError() : error
      }
    })
  }

  replace(row: KeyRow, expectedRevision: number): void {
    this.#write('change key', () => {
      const values = { ...keyRowToColumns(row), expected_revision: expectedRevision }
      if (this.#statements.replace.run(values).changes === 1) return
      if (!this.has(row.name)) throw new KeyNotFoundError()
      const detail = `key '${row.name}' is not at revision ${expectedRevision} any more`
      throw new RevisionConflictError('change key', { detail })
    })
  }

  erase(name: KeyName, tombstone: ErasedName | undefined): void {
    this.#write('delete key', () => {
      const erased = this.#statements.erase.get(name)
      if (erased === undefined) throw new KeyNotFoundError()
      if (tombstone !== undefined) this.#statements.insertErased.run(erasedNameToColumns(tombstone))
      // While the root key changes, files may hold the record as it was sealed under the one before.
      const hasCopies = this.#statements.hasOldRoot.get() !== undefined || this.#erasures.isDue(NO_NAME)
      this.#erasures.add(name, new Columns(erased).bytesAsFound('sealed'), { hasCopies })
    })
  }

  /** Names that are reserved and come after `after`, in the order of their bytes. As found, as {@link names}. */
  erasedNames(after: string, limit: number): KeyName[] {
    return this.#attempt('list keys', () =>
      this.#statements.erasedNamesAfter.all(after, limit).map((name) => String(name) as KeyName),
    )
  }

  dropErased(name: KeyName): boolean {
    return this.#write('create key', () => this.#statements.dropErased.run(name).changes > 0)
  }

  isErasing(name: KeyName): boolean {
    return this.#attempt('delete key', () => this.#erasures.has(name))
  }

  mayHoldErased(name: KeyName): boolean {
    return this.#attempt('read key', () => this.#erasures.isDue(name))
  }

  /** Keys are rows, and a name without one is free or reserved. */
  readStray(_name: KeyName): Buffer | undefined {
    return undefined
  }

  /** Every name of which {@link SqliteStore.isErasing} is true. */
  protected erasingNames(): KeyName[] {
    return this.#attempt('delete key', () => this.#erasures.names().filter((name) => name !== NO_NAME))
  }

  finishErasure(name: KeyName): Promise<void> {
    assert.equal(this.#depth, 0)
    return this.#erasures.finish(name, this.#eraseTimeoutMs)
  }

  purge(): Promise<boolean> {
    assert.equal(this.#depth, 0)
    return this.#erasures.purge()
  }

  journalKey(): Uint8Array | undefined {
    return this.#attempt('read key', () => {
      const row = this.#statements.journalKey.get()
      return row === undefined ? undefined : new Columns(row).bytesAsFound('sealed')
    })
  }

  insertJournalKey(sealed: Uint8Array): void {
    this.#write('create key', () => this.#statements.insertJournalKey.run(sealed))
  }

  appendEntry({ number, name, entry, signature }: StoredEntry): void {
    this.#write('change key', () => this.#statements.appendEntry.run(number, name, entry, signature))
  }

  lastEntry(): StoredEntry | undefined {
    return this.#attempt('read key', () => this.#statements.lastEntry.all().map(storedEntryFromColumns)[0])
  }

  readEntries(after: number, limit: number): StoredEntry[] {
    return this.#attempt('read key', () =>
      this.#statements.entries.all(after, limit).map(storedEntryFromColumns),
    )
  }

  insertBackup({ number, backupId, madeAt }: BackupRow): void {
    this.#write('make backup', () => this.#statements.insertBackup.run(number, backupId, madeAt))
  }

  backupsAfter(number: number, limit: number): KnownBackups {
    return this.#attempt('read key', () => ({
      latest: this.#statements.backupsAfter.all(number, limit).map(backupFromColumns),
      count: Number(this.#statements.countBackupsAfter.get(number)),
    }))
  }

  namesOfEntries(after: number, limit: number): Pick<StoredEntry, 'number' | 'name'>[] {
    return this.#attempt('read key', () =>
      this.#statements.namesOfEntries.all(after, limit).map((row) => {
        const columns = new Columns(row)
        return { number: columns.integer('number', 1), name: columns.textAsFound('name') }
      }),
    )
  }

  lastEntryOf(name: KeyName): StoredEntry | undefined {
    return this.#attempt(
      'read key',
      () => this.#statements.lastEntryOf.all(name).map(storedEntryFromColumns)[0],
    )
  }

  readEntriesOf(name: KeyName, after: number, limit: number): StoredEntry[] {
    return this.#attempt('read key', () =>
      this.#statements.entriesOf.all(name, after, limit).map(storedEntryFromColumns),
    )
  }

  readEntriesBefore(name: KeyName | '', before: number, limit: number): StoredEntry[] {
    return this.#attempt('read key', () =>
      this.#statements.entriesBefore.all(name, before, limit).map(storedEntryFromColumns),
    )
  }

  names(prefix: string, after: string | undefined, limit: number): KeyName[] {
    return this.#attempt('list keys', () => {
      const isAfterPrefix =
        after !== undefined && Buffer.compare(Buffer.from(after), Buffer.from(prefix)) >= 0
      const { namesAfter, namesFrom } = this.#statements
      return asNames(
        isAfterPrefix
          ? namesAfter.all(after, prefix + LAST, limit)
          : namesFrom.all(prefix, prefix + LAST, limit),
      )
    })
  }

  /** Reads row by row from the list of names, so a damaged page hides only the rows on it. */
  rows(prefix: string, after: string | undefined, limit: number): (KeyRow | DamagedRow)[] {
    return this.names(prefix, after, limit).flatMap((name) => {
      try {
        return this.read(name) ?? []
      } catch (error) {
        if (error instanceof RecordDamagedError) return { damaged: name }
        throw error
      }
    })
  }

  count(): number {
    return this.#attempt('list keys', () => Number(this.#statements.count.get()))
  }

  counts(): StoreCounts {
    return this.#attempt('list keys', () => ({
      ...countsFromColumns(this.#statements.countsByState.all()),
      erasing: this.#erasures.names().length,
    }))
  }

  hasPending(): boolean {
    return this.#attempt('list keys', () => this.#statements.hasPending.get() !== 0)
  }

  dueNames(wallMs: number, runningMs: number, limit: number): KeyName[] {
    return this.#attempt('list keys', () => asNames(this.#statements.dueNames.all(wallMs, runningMs, limit)))
  }

  namesScheduledAfter(runningMs: number): KeyName[] {
    return this.#attempt('list keys', () => asNames(this.#statements.namesScheduledAfter.all(runningMs)))
  }

  runningTime(): StoredRunningTime | undefined {
    return this.#attempt('change key', () => {
      const row = this.#statements.runningTime.get()
      return row === undefined ? undefined : runningTimeFromColumns(row)
    })
  }

  setRunningTime({ runningMs, monotonicMs, mac }: StoredRunningTime): void {
    this.#write('change key', () => this.#statements.setRunningTime.run(runningMs, monotonicMs, mac))
  }

  transaction<T>(body: () => T, action: StoreAction = 'change key'): T {
    return this.#write(action, body)
  }

  lockingTransaction<T>(body: () => T, action: StoreAction = 'change key'): T {
    try {
      return this.transaction(body, action)
    } catch (error) {
      if (this.#depth > 0 || !isDiskFull(error) || !this.#spendReserve()) throw error
      return this.transaction(body, action)
    }
  }

  /** In the process that writes, nothing is committed in the midst of a synchronous call. */
  consistently<T>(body: () => T): T {
    if (this.#isWriter || this.#depth > 0) return body()
    return this.#attempt('read key', () => {
      const { begin, end } = this.#statements.SNAPSHOT
      begin.run()
      this.#depth++
      try {
        return body()
      } finally {
        this.#depth--
        end.run()
      }
    })
  }

  /** `data_version` moves for other connections' commits alone. */
  foreignChanges(): number {
    return this.#attempt('read key', () => Number(this.#statements.dataVersion.get()))
  }

  readSeal(): StoredSeal | undefined {
    try {
      return readSeal(this.#db, this.path)
    } catch (error) {
      throw asOpenError(this.path, error)
    }
  }

  createSeal(facts: Omit<StoreFacts, 'rootGeneration'>, slots: readonly NewSlot[]): void {
    if (slots.length === 0 && this.path !== IN_MEMORY) {
      throw new StoreOpenError(
        this.path,
        `the store '${this.path}' would have no slot, so no one could open it again`,
      )
    }
    this.#write('create key', () => insertSeal(this.#db, this.path, facts, slots))
  }

  rootGeneration(): number {
    return this.#attempt('read key', () => Number(this.#statements.rootGeneration.get()))
  }

  insertSlot(slot: NewSlot): number {
    return this.#write('change seal', () => insertSlot(this.#db, slot))
  }

  replaceSlot(slot: SlotRow, replaced: ReplacedSecret): void {
    this.#write('change seal', () => {
      replaceSlot(this.#db, slot)
      this.#erasures.add(NO_NAME, replaced)
    })
  }

  removeSlot(slotId: number, replaced: ReplacedSecret): void {
    this.#write('change seal', () => {
      removeSlot(this.#db, slotId)
      this.#erasures.add(NO_NAME, replaced)
    })
  }

  replaceRoot(root: NewRoot): void {
    this.#write('change seal', () => replaceRoot(this.#db, root))
  }

  keysOfOldRoot(after: number, limit: number): RowPlace[] {
    return this.#placesOf('keysOfOldRoot', after, limit)
  }

  erasedOfOldRoot(after: number, limit: number): RowPlace[] {
    return this.#placesOf('erasedOfOldRoot', after, limit)
  }

  #placesOf(rows: 'keysOfOldRoot' | 'erasedOfOldRoot', after: number, limit: number): RowPlace[] {
    return this.#attempt('change seal', () =>
      this.#statements[rows].all(after, this.rootGeneration(), limit).map((row) => {
        const columns = new Columns(row)
        return { id: columns.integer('id', 0), name: columns.textAsFound('name') as KeyName }
      }),
    )
  }

  countOfOldRoot(): number {
    const generation = this.rootGeneration()
    return this.#attempt('change seal', () =>
      Number(this.#statements.countOfOldRoot.get(generation, generation)),
    )
  }

  replaceErased(erased: ErasedName): void {
    this.#write('change seal', () => this.#statements.insertErased.run(erasedNameToColumns(erased)))
  }

  dropOldRoot(replaced: ReplacedSecret): void {
    this.#write('change seal', () => {
      dropOldRoot(this.#db)
      this.#erasures.add(NO_NAME, replaced, { hasCopies: true })
    })
  }

  finishReplacement(): Promise<void> {
    assert.equal(this.#depth, 0)
    return this.#erasures.finish(NO_NAME, this.#eraseTimeoutMs)
  }

  whenWritable(action: StoreAction): Promise<void> | undefined {
    return this.#gate?.pass()?.catch((cause: Error) => {
      throw new StoreError(action, { detail: cause.message, cause })
    })
  }

  async status(): Promise<void> {
    await this.#probe?.look()
    try {
      this.#statements.probe.get()
    } catch (cause) {
      throw new StoreUnavailableError({ detail: `the store '${this.path}' can not be read`, cause })
    }
  }

  close(): void {
    if (!this.#db.open) return
    try {
      this.#writeLock?.close()
      this.#db.close()
    } finally {
      this.#lock?.release()
      this.#files?.close()
      this.#probe?.close()
      this.#gate?.close()
    }
  }

  /** Runs `body` as a transaction, or as a part of the one under way that fails alone. */
  #write<T>(action: StoreAction, body: () => T): T {
    if (this.#depth > 0) return this.#attempt(action, () => this.#within('SAVEPOINT', action, body))
    return this.#attempt(action, () => {
      const before = this.#statements.totalChanges.get()
      const result = this.#within('TRANSACTION', action, body)
      // One that has changed nothing has asked the disk for nothing.
      if (this.#statements.totalChanges.get() !== before) this.#gate?.noteWritten()
      return result
    })
  }

  #within<T>(kind: 'TRANSACTION' | 'SAVEPOINT', action: StoreAction, body: () => T): T {
    const { begin, commit, rollback } = this.#statements[kind]
    if (kind === 'SAVEPOINT') this.#assertInTransaction(action)
    begin.run()
    this.#depth++
    try {
      const result = body()
      assert(!(result instanceof Promise), 'a transaction ends before a promise does')
      this.#assertInTransaction(action)
      commit.run()
      return result
    } catch (error) {
      if (this.#db.inTransaction) for (const statement of rollback) statement.run()
      throw error
    } finally {
      this.#depth--
    }
  }

  /** SQLite may end a transaction by itself, on a full disk for one; the writes after that would stand alone. */
  #assertInTransaction(action: StoreAction): void {
    if (!this.#db.inTransaction) throw new StoreError(action, { detail: 'SQLite has undone the transaction' })
  }

  #attempt<T>(action: StoreAction, body: () => T): T {
    try {
      if (!this.#db.open) throw new StoreError(action, { detail: 'the store is closed' })
      return body()
    } catch (error) {
      if (error instanceof ColumnError) {
        throw new RecordDamagedError(action, { detail: `damaged row: ${error.message}`, cause: error })
      }
      throw asStoreError(action, error)
    }
  }
}

function asNames(names: readonly unknown[]): KeyName[] {
  return names.map((name) => String(name) as KeyName)
}

function openFiles(path: string, { db }: Connection): StoreFiles {
  try {
    return new StoreFiles(path)
  } catch (error) {
    db.close()
    throw error
  }
}
