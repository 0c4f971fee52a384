/**
 * Makes backups of an open store, and hands them out piece by piece.
 *
 * A backup is as of one moment: its rows are read in one read transaction, in slices between other requests, onto the
 * disk. Nobody who fetches it slowly holds up the erasing of keys. Its entry in the journal is written first and is
 * in the backup, as the last one.
 */
import { randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { freeBytesOf, isDiskFull } from '../disk/disk-full.ts'
import { now } from '../encoding/timestamp.ts'
import { BackupConflictError, BackupNoSpaceError, BackupNotFoundError, StoreError } from '../errors.ts'
import type { Detail } from '../journal/entry.ts'
import { hashOf } from '../journal/entry.ts'
import { type Actor, type Journal, NO_KEY } from '../journal/journal.ts'
import type { SqliteStore } from '../store/sqlite-store.ts'
import { StoreSnapshot } from '../store/store-snapshot.ts'
import { type BackupHeader, encodeEnd, encodeHeader, encodeRow } from './format.ts'
import { Spool } from './spool.ts'

/** How much of a backup is handed out at once. */
export const PIECE_BYTES = 2 ** 19
/** A backup that nobody fetches is dropped. */
const IDLE_MS = 60_000
const BACKUPS_MAX = 2
/** What is written at once. */
const CHUNK_LENGTH = 2 ** 18
/** Reading rows holds up other requests for so long at most. */
const TURN_MS = 4
/** Not for backups: a server whose disk is full can neither make keys nor write its audit file. */
const SPARE_BYTES = 16 * 2 ** 20

export interface MadeBackup {
  readonly header: BackupHeader
  /** Of the text, before it is encrypted. */
  readonly bytes: number
}

interface Waiting {
  readonly spool: Spool
  readonly timer: NodeJS.Timeout
}

export class BackupDesk {
  readonly #store: SqliteStore
  readonly #journal: Journal
  readonly #detail: Detail
  readonly #waiting = new Map<string, Waiting>()
  #making = 0
  #isClosed = false

  /** @param detail - what the journal's entry says beside the backup's id. */
  constructor(store: SqliteStore, journal: Journal, detail: Detail = {}) {
    this.#store = store
    this.#journal = journal
    this.#detail = detail
  }

  /**
   * A backup as of now. It is there when the promise is fulfilled, and is dropped a minute after the last read.
   *
   * @throws {@link BackupConflictError} (409) for a store that has none, or if there are two already.
   * @throws {@link BackupNoSpaceError} (507) before the disk is full.
   * @throws StoreError (502) if the store or its disk fails.
   */
  async make(by: Actor): Promise<MadeBackup> {
    this.#assertPossible()
    this.#making += 1
    let spool: Spool | undefined
    let snapshot: StoreSnapshot | undefined
    try {
      const id = randomBytes(16).toString('hex')
      spool = this.#openSpool(id)
      const header = this.#record(id, by)
      // In the same turn, in the process that writes: the entry is the last one that the snapshot has.
      snapshot = new StoreSnapshot(this.#store.path)
      const whole = { ...header, schemaVersion: snapshot.schemaVersion, tables: snapshot.tables }
      await this.#write(spool, whole, snapshot)
      this.#keep(id, spool)
      return { header: whole, bytes: spool.length }
    } catch (error) {
      spool?.close()
      throw error
    } finally {
      snapshot?.close()
      this.#making -= 1
    }
  }

  /**
   * @returns no bytes at the end.
   * @throws {@link BackupNotFoundError} (404)
   */
  read(id: string, offset: number): Buffer {
    const waiting = this.#waiting.get(id)
    if (waiting === undefined || offset > waiting.spool.length) throw new BackupNotFoundError()
    waiting.timer.refresh()
    return waiting.spool.read(offset, PIECE_BYTES)
  }

  /** Drops a backup that was fetched. */
  drop(id: string): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    clearTimeout(waiting?.timer)
    waiting?.spool.close()
  }

  close(): void {
    this.#isClosed = true
    for (const id of [...this.#waiting.keys()]) this.drop(id)
  }

  #assertPossible(): void {
    if (this.#store.recordForm !== 'sealed') {
      throw new BackupConflictError(
        "an 'fs' store has no backup: copy its folder, and the database beside it",
      )
    }
    if (this.#store.isInMemory) throw new BackupConflictError('a store in memory has no backup')
    if (this.#making + this.#waiting.size >= BACKUPS_MAX) {
      throw new BackupConflictError(`${BACKUPS_MAX} backups are being made already`)
    }
    this.#assertSpace(statSync(this.#store.path).size) // It will be larger than that.
  }

  #assertSpace(bytes: number): void {
    const freeBytes = freeBytesOf(dirname(this.#store.path))
    if (freeBytes - bytes >= SPARE_BYTES) return
    throw new BackupNoSpaceError({
      detail: `${mebibytes(freeBytes)} MiB are free, and ${mebibytes(SPARE_BYTES)} MiB are kept free`,
    })
  }

  #openSpool(id: string): Spool {
    try {
      return new Spool(`${this.#store.path}.backup-${id}`)
    } catch (cause) {
      throw new StoreError('make backup', { detail: 'there is no place for it beside the store', cause })
    }
  }

  #record(id: string, { identity, ip }: Actor): Omit<BackupHeader, 'schemaVersion' | 'tables'> {
    const madeAt = now()
    const { entry, bytes } = this.#store.transaction(() => {
      const recorded = this.#journal.append({
        ...NO_KEY,
        time: madeAt,
        action: 'backup',
        identity,
        ip,
        detail: { backup: id, ...this.#detail },
      })
      this.#store.insertBackup({ number: recorded.entry.number, backupId: id, madeAt })
      return recorded
    }, 'make backup')
    return {
      id,
      madeAt,
      storeId: Buffer.from(this.#journal.storeId).toString('hex'),
      head: { number: entry.number, hash: hashOf(bytes) },
      publicKey: this.#journal.publicKey.export({ format: 'pem', type: 'spki' }).toString(),
    }
  }

  async #write(spool: Spool, header: BackupHeader, snapshot: StoreSnapshot): Promise<void> {
    let rows = 0
    let text = encodeHeader(header)
    let turnMs = performance.now()
    for (const row of snapshot.rows()) {
      text += encodeRow(row)
      rows += 1
      if (text.length < CHUNK_LENGTH && performance.now() - turnMs < TURN_MS) continue
      this.#append(spool, text)
      text = ''
      await nextTurn()
      if (this.#isClosed) throw new StoreError('make backup', { detail: 'the server is stopping' })
      turnMs = performance.now()
    }
    this.#append(spool, text + encodeEnd(rows))
  }

  #append(spool: Spool, text: string): void {
    this.#assertSpace(text.length)
    try {
      spool.write(text)
    } catch (cause) {
      if (isDiskFull(cause)) throw new BackupNoSpaceError({ cause })
      throw new StoreError('make backup', { detail: 'it can not be written to the disk of the store', cause })
    }
  }

  #keep(id: string, spool: Spool): void {
    const timer = setTimeout(() => this.drop(id), IDLE_MS).unref()
    this.#waiting.set(id, { spool, timer })
  }
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 2 ** 20)
}
