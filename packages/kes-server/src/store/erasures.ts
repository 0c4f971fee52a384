/**
 * Removes what erased keys left in the store's files, and knows when that is done.
 *
 * A round empties the write-ahead log into the database, searches every file for the records that are due, rebuilds
 * the database if one is found, and searches again. docs/erasure.md has the argument that a clean search lasts.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type Database from 'better-sqlite3'
import { ErasePendingError } from '../errors.ts'
import type { KeyName } from '../names.ts'
import { Columns } from './columns.ts'
import { RecordSearch } from './record-search.ts'
import { isBusy, isDiskFull } from './sqlite-errors.ts'
import type { StoreFiles } from './store-files.ts'

/**
 * What outlives the process of a sealed record: version and nonce, and the tag (docs/sealed-record.md). Without the
 * ciphertext between them they don't determine the key, even for one who has the root key.
 */
const HEAD_BYTES = 13
const TAIL_BYTES = 16

const RETRY_MS = 20
/** Records that are searched for at once; more take the next round. */
const ROUND_RECORDS_MAX = 1000
const AUTOCHECKPOINT_PAGES = 1000

export interface ErasuresOptions {
  /** How long a write waits for another process's. */
  readonly busyTimeoutMs: number
  /** See {@link SqliteStoreOptions}. */
  readonly spendReserve: () => boolean
  /** See {@link KeyStore.whenWritable}. */
  readonly whenWritable: () => Promise<void> | undefined
}

/** An erased key whose record may still stand in a file. */
interface Erasure {
  readonly id: number
  readonly name: KeyName
  readonly parts: readonly Uint8Array[]
  /** False after a restart, or if it has copies: then its ends are searched for, in a database that is rebuilt first. */
  readonly isWhole: boolean
}

export class Erasures {
  readonly #db: Database.Database
  /** Undefined for a store in memory. */
  readonly #files: StoreFiles | undefined
  readonly #options: ErasuresOptions
  readonly #statements: ReturnType<typeof prepare>
  /** Sealed records that this process erased, by the id of their row. The rows decide what is due. */
  readonly #records = new Map<number, Uint8Array>()
  /** Those of an earlier process, since when the database was rebuilt. */
  readonly #rebuilt = new Set<number>()
  /** How many calls wait for a name. */
  readonly #waiting = new Map<KeyName, number>()
  #round: Promise<boolean> | undefined
  #isBlocked = false
  #isHungUp = false

  constructor(db: Database.Database, files: StoreFiles | undefined, options: ErasuresOptions) {
    this.#db = db
    this.#files = files
    this.#options = options
    this.#statements = prepare(db)
  }

  /**
   * Part of the transaction that deletes the key's row, or replaces a secret of the seal.
   *
   * @param hasCopies - whether the files may hold the secret under other bytes, too: then the database is rebuilt.
   */
  add(name: KeyName, sealed: Uint8Array, { hasCopies = false } = {}): void {
    if (this.#files === undefined) return
    const head = inverted(sealed.subarray(0, HEAD_BYTES))
    const tail = inverted(sealed.subarray(Math.max(HEAD_BYTES, sealed.length - TAIL_BYTES)))
    const { lastInsertRowid } = this.#statements.insert.run(name, head, tail)
    if (!hasCopies) this.#records.set(Number(lastInsertRowid), sealed)
  }

  /** Whether something that was erased under this name may still stand in a file. */
  isDue(name: KeyName): boolean {
    return this.#statements.isDue.get(name) !== undefined
  }

  /** Whether a key of this name was erased and nobody has been told yet that it is off the disk. */
  has(name: KeyName): boolean {
    return this.#statements.has.get(name) !== undefined
  }

  /** Every name of which {@link Erasures.has} is true. */
  names(): KeyName[] {
    return this.#statements.names.all().map((name) => String(name) as KeyName)
  }

  /**
   * Waits until no file holds what was erased under this name.
   *
   * @throws {@link ErasePendingError} (503) if that takes longer than `timeoutMs`, or fails. It is still due then.
   */
  async finish(name: KeyName, timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    this.#waiting.set(name, (this.#waiting.get(name) ?? 0) + 1)
    try {
      while (this.isDue(name)) {
        const isDone = await settledBy(deadlineMs, this.#joinRound())
        if (performance.now() >= deadlineMs) throw new ErasePendingError({ detail: this.#whyPending() })
        if (!isDone) await delay(RETRY_MS)
      }
      this.#statements.forgetClean.run(name)
    } catch (cause) {
      if (cause instanceof ErasePendingError) throw cause
      const what = name === '' ? 'a replaced secret of the seal' : `key '${name}'`
      throw new ErasePendingError({ detail: `${what} is still on the disk`, cause })
    } finally {
      const others = (this.#waiting.get(name) ?? 1) - 1
      if (others === 0) this.#waiting.delete(name)
      else this.#waiting.set(name, others)
    }
  }

  /**
   * Removes all that is due, in as many rounds as it takes, unless one of them is held up.
   *
   * @returns whether nothing is left.
   * @throws what the disk or SQLite answered.
   */
  async purge(): Promise<boolean> {
    while (await this.#joinRound()) {
      if (this.#statements.anyDue.get() === undefined) return true
    }
    return false
  }

  /** One round at a time; a call that comes while one runs waits for its end. */
  #joinRound(): Promise<boolean> {
    this.#round ??= this.#runRound()
      .catch((error) => {
        if (isDiskFull(error) && this.#options.spendReserve()) return false // There is room for the next one.
        throw error
      })
      .finally(() => {
        this.#round = undefined
      })
    return this.#round
  }

  /** @returns false if another program's reading keeps the log from being emptied. */
  async #runRound(): Promise<boolean> {
    const due = this.#readDue()
    if (due.length === 0 || this.#files === undefined) return true
    if (!(await this.#isWritable())) return false
    // While the database is searched nothing is written to it: all changes stay in the log, which is searched last.
    this.#db.pragma('wal_autocheckpoint = 0')
    try {
      this.#isBlocked = !this.#emptyLog()
      if (this.#isBlocked) return false
      const found = await this.#search(this.#files, due)
      const suspects = due.filter(({ id, isWhole }) => found.has(id) || !(isWhole || this.#rebuilt.has(id)))
      if (!(await this.#isWritable())) return false
      this.#settle(due.filter((erasure) => !suspects.includes(erasure)))
      return suspects.length === 0 || (await this.#rebuild(this.#files, suspects))
    } finally {
      if (this.#db.open) this.#db.pragma(`wal_autocheckpoint = ${AUTOCHECKPOINT_PAGES}`)
    }
  }

  /** @returns false if the disk takes no writes, or another program is writing: it is tried again. */
  async #isWritable(): Promise<boolean> {
    try {
      await this.#options.whenWritable()
      this.#isHungUp = false
    } catch {
      this.#isHungUp = true
    }
    return !this.#isHungUp
  }

  /** Copies live rows into a new database, which takes the old one's place: no page keeps what no row has. */
  async #rebuild(files: StoreFiles, suspects: readonly Erasure[]): Promise<boolean> {
    if (!this.#withoutWaiting(() => this.#db.exec('VACUUM'))) return false
    for (const { id } of suspects) this.#rebuilt.add(id)
    if (!this.#emptyLog()) return false
    const found = await this.#search(files, suspects)
    if (!(await this.#isWritable())) return false
    const left = suspects.filter(({ id }) => !this.#standsInRows([...(found.get(id)?.values() ?? [])]))
    this.#settle(suspects.filter((erasure) => !left.includes(erasure)))
    if (left.length > 0) throw new Error(`${left.length} erased records outlived a rebuild of the store`)
    return true
  }

  async #search(files: StoreFiles, due: readonly Erasure[]): Promise<RecordSearch['found']> {
    const search = new RecordSearch(new Map(due.map(({ id, parts }) => [id, parts])))
    await files.search(search)
    return search.found
  }

  /**
   * Whether live rows hold all these bytes. So it is if somebody copied a record into another row by hand: the bytes
   * are that row's, and go with it.
   */
  #standsInRows(words: readonly Buffer[]): boolean {
    let left = words
    while (left[0] !== undefined) {
      const row = this.#statements.rowWith.get(left[0])
      if (!(row instanceof Uint8Array)) return false
      const bytes = Buffer.from(row)
      left = left.filter((word) => !bytes.includes(word))
    }
    return true
  }

  #emptyLog(): boolean {
    return this.#withoutWaiting(() => this.#db.pragma('wal_checkpoint(TRUNCATE)', { simple: true }) === 0)
  }

  /** Waiting for another program inside of SQLite would stop the whole server. @returns false if one is in the way. */
  #withoutWaiting(body: () => unknown): boolean {
    this.#db.pragma('busy_timeout = 0')
    try {
      return body() !== false
    } catch (error) {
      if (isBusy(error)) return false
      throw error
    } finally {
      this.#db.pragma(`busy_timeout = ${this.#options.busyTimeoutMs}`)
    }
  }

  #readDue(): Erasure[] {
    return this.#statements.due.all(ROUND_RECORDS_MAX).map((row) => {
      const columns = new Columns(row)
      const id = columns.integer('id', 1)
      const record = this.#records.get(id)
      const ends = [columns.bytes('head'), columns.bytes('tail')].map(inverted)
      const name = columns.text('name') as KeyName
      return { id, name, parts: record === undefined ? ends : [record], isWhole: record !== undefined }
    })
  }

  #whyPending(): string {
    if (this.#isHungUp) return 'the store can not be written now'
    return this.#isBlocked
      ? 'a program that reads the store keeps its log from being emptied'
      : 'the search of the store has not ended'
  }

  /** A row that somebody waits for goes; another one stays until a call asks for it. */
  #settle(clean: readonly Erasure[]): void {
    if (clean.length === 0) return
    const settle = this.#db.transaction(() => {
      for (const { id, name } of clean) {
        this.#statements.clean.run(id)
        if (this.#waiting.has(name)) this.#statements.forgetClean.run(name)
      }
    })
    settle.immediate()
    for (const { id } of clean) {
      this.#records.delete(id)
      this.#rebuilt.delete(id)
    }
  }
}

/** @returns false if the time is over first. */
async function settledBy(deadlineMs: number, promise: Promise<boolean>): Promise<boolean> {
  const timer = new AbortController()
  try {
    const isLate = delay(Math.max(0, deadlineMs - performance.now()), false, { signal: timer.signal })
    isLate.catch(() => {}) // It ends so when the promise was first.
    return await Promise.race([promise, isLate])
  } finally {
    timer.abort()
  }
}

function inverted(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => byte ^ 0xff)
}

/** All of a row's bytes as one value. */
const ROW_BYTES = [
  'name',
  'key_id',
  'algorithm',
  'created_at',
  'created_by',
  'changed_at',
  'changed_by',
  'mac',
  'sealed',
]
  .map((column) => `CAST(${column} AS BLOB)`)
  .join(' || ')

function prepare(db: Database.Database) {
  return {
    insert: db.prepare('INSERT INTO erasures (name, is_clean, head, tail) VALUES (?, 0, ?, ?)'),
    has: db.prepare<[string]>('SELECT 1 FROM erasures WHERE name = ?'),
    names: db.prepare<[]>('SELECT DISTINCT name FROM erasures').pluck(),
    isDue: db.prepare<[string]>('SELECT 1 FROM erasures WHERE name = ? AND is_clean = 0'),
    anyDue: db.prepare<[]>('SELECT 1 FROM erasures WHERE is_clean = 0'),
    due: db.prepare<[number]>('SELECT * FROM erasures WHERE is_clean = 0 ORDER BY id LIMIT ?'),
    clean: db.prepare<[number]>("UPDATE erasures SET is_clean = 1, head = x'', tail = x'' WHERE id = ?"),
    forgetClean: db.prepare<[string]>('DELETE FROM erasures WHERE name = ? AND is_clean = 1'),
    rowWith: db
      .prepare<[Buffer]>(
        `SELECT CAST(${ROW_BYTES} AS BLOB) FROM keys WHERE instr(CAST(${ROW_BYTES} AS BLOB), ?) > 0`,
      )
      .pluck(),
  }
}
