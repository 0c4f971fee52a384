/**
 * A backup → a store in its place.
 *
 * The store is made under another name, brought to where its journal says it should be, and then takes its place in one
 * rename. A backup is old: keys that it has may have been locked or erased since. With an export of the journal all
 * that has happened since is done again; without one every key is disabled. No key that was erased comes back
 * unless it is named.
 */
import type { KeyObject } from 'node:crypto'
import { now } from '../encoding/timestamp.ts'
import type { Detail, Entry } from '../journal/entry.ts'
import type { EntryFacts, Journal, JournalHead } from '../journal/journal.ts'
import { exportPublicKey } from '../journal/public-key-file.ts'
import { formatHead } from '../journal/verify.ts'
import { deletionOfDetail } from '../keyring/deletion-detail.ts'
import { openJournal } from '../keyring/open-journal.ts'
import { unlessDamaged } from '../keyring/unless-damaged.ts'
import type { KeyName } from '../names.ts'
import { Seal, type Secret } from '../seal/seal.ts'
import { boxOf } from '../seal/slots.ts'
import type { KeyRow } from '../store/key-store.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { LoadError, removeStoreFiles, StorePlace } from '../store/store-loader.ts'
import { examineStore, isSameKey } from './examine-store.ts'
import { BackupFormatError, type BackupHeader } from './format.ts'
import { appendTail, type JournalTail } from './journal-tail.ts'
import { loadBackup } from './load-backup.ts'
import { RestoreError } from './restore-error.ts'

export interface RestoreOptions {
  readonly lines: AsyncIterable<string>
  /** Where the store's file is to be. */
  readonly path: string
  /** Whether a store that is there is set aside. */
  readonly replace: boolean
  /** Opens a slot of the backup. Wiped. */
  readonly secret: () => Secret
  readonly erasedNames: 'reserved' | 'free'
  /** The journal's, kept at set-up; needed with `journal`. */
  readonly publicKey: KeyObject | undefined
  /** Lines of an export. */
  readonly journal: AsyncIterable<string> | undefined
  /** Names of erased keys that come back, disabled. */
  readonly revive: readonly KeyName[]
  readonly onProgress: (step: 'load' | 'verify' | 'apply', done: number, total: number) => void
}

export interface RestoreReport {
  readonly header: BackupHeader
  /** Up to where the journal said what has happened since; undefined without one. */
  readonly journalHead: JournalHead | undefined
  readonly keys: number
  /** How many keys the restore itself has disabled. */
  readonly disabled: number
  /** How many of the backup's keys were erased since, and are gone. */
  readonly erased: number
  readonly revived: readonly KeyName[]
  /** Keys that were made after the backup: nobody has their bytes. Their names stay reserved. */
  readonly lost: readonly KeyName[]
  /** Keys that were damaged when the backup was made. */
  readonly damaged: readonly KeyName[]
  /** Sentences for the operator. */
  readonly warnings: readonly string[]
  /** Where the store is kept that was there before. */
  readonly kept: string | undefined
}

const NO_KEY = {
  name: '',
  keyId: new Uint8Array(16),
  algorithm: undefined,
  state: 'none',
  revision: 0,
  createdAt: '',
  createdBy: '',
  fingerprint: undefined,
} as const
const LOCAL = { identity: '', ip: '' }
const PAGE_ROWS = 500

/**
 * @throws {@link RestoreError}, StoreOpenError, SealOpenError: one line for the operator, and what was there is there as
 *   before.
 */
export async function restore(options: RestoreOptions): Promise<RestoreReport> {
  if (options.journal !== undefined && options.publicKey === undefined)
    throw new RestoreError(
      'a journal is verified with the public key that was kept at set-up: name its file, too',
    )
  if (options.journal === undefined && options.revive.length > 0)
    throw new RestoreError('only a journal says which keys were erased: none is named')
  const place = new StorePlace(options.path)
  try {
    if (place.isTaken && !options.replace)
      throw new RestoreError(`there is a store at '${place.path}' already`)
    const header = await load(options, place.draft)
    const report = await new Restoration(options, header, place.draft).run()
    const kept = place.take(`replaced-${now().replace(/[^0-9TZ]/g, '')}`)
    const warnings = [...report.warnings, ...exportPublicKey(report.journal, place.path)]
    return { ...report, warnings, kept }
  } catch (error) {
    removeStoreFiles(place.draft)
    throw error
  } finally {
    place.release()
  }
}

async function load({ lines, onProgress }: RestoreOptions, path: string): Promise<BackupHeader> {
  try {
    return await loadBackup(lines, path, (done, total) => onProgress('load', done, total))
  } catch (error) {
    if (error instanceof LoadError || error instanceof BackupFormatError) {
      throw new RestoreError(`the backup can not be restored: ${error.message}`, { cause: error })
    }
    throw error
  }
}

class Restoration {
  readonly #options: RestoreOptions
  readonly #header: BackupHeader
  readonly #path: string
  readonly #time = now()
  readonly #warnings: string[] = []
  readonly #lost: KeyName[] = []
  readonly #revived: KeyName[] = []
  #disabled = 0
  #erased = 0

  constructor(options: RestoreOptions, header: BackupHeader, path: string) {
    this.#options = options
    this.#header = header
    this.#path = path
  }

  async run(): Promise<Omit<RestoreReport, 'kept'> & { readonly journal: Journal }> {
    const store = SqliteStore.open(this.#path)
    try {
      const seal = Seal.open(store, this.#options.secret())
      const journal = openJournal(store, seal)
      const { publicKey, onProgress } = this.#options
      if (publicKey !== undefined && !isSameKey(publicKey, journal.publicKey))
        throw new RestoreError("the public key is not that of the backup's journal")
      const found = await examineStore(this.#header, store, seal, journal, publicKey, (done, total) =>
        onProgress('verify', done, total),
      )
      if (found.journalProblem !== undefined)
        this.#warnings.push(`the journal in the backup is broken: ${found.journalProblem}`)
      const damaged = new Set(found.damaged)
      const tail = await this.#bringUpToDate(store, seal, journal, damaged)
      while (!(await store.purge())) await new Promise((resolve) => setTimeout(resolve, 20))
      seal.destroy()
      return {
        header: this.#header,
        journalHead: tail?.head,
        keys: store.count(),
        disabled: this.#disabled,
        erased: this.#erased,
        revived: this.#revived,
        lost: this.#lost,
        damaged: found.damaged.filter((name) => store.has(name)),
        warnings: [...store.warnings, ...this.#warnings],
        journal,
      }
    } finally {
      store.close()
    }
  }

  async #bringUpToDate(
    store: SqliteStore,
    seal: Seal,
    journal: Journal,
    damaged: ReadonlySet<KeyName>,
  ): Promise<JournalTail | undefined> {
    const { publicKey, journal: lines } = this.#options
    let tail: JournalTail | undefined
    if (lines !== undefined && publicKey !== undefined) {
      tail = await appendTail(lines, publicKey, this.#header.head, store)
      this.#assertErased(tail, store)
      const { changed } = tail
      store.transaction(() => {
        for (const [name, last] of changed) this.#applyChange(store, seal, journal, name, last, damaged)
      })
      this.#applySlots(store, seal, journal, tail)
    } else this.#disableAll(store, seal, journal, damaged)
    store.transaction(() => this.#recordRestore(journal, tail?.head))
    return tail
  }

  #assertErased({ changed }: JournalTail, store: SqliteStore): void {
    for (const name of this.#options.revive) {
      if (
        changed.get(name) === undefined ||
        !store.has(name) ||
        this.#isUnchanged(store, name, changed.get(name))
      )
        throw new RestoreError(`key '${name}' is none that the backup has and the journal says was erased`)
    }
  }

  /** Whether the last entry of a name is about the key that the store has, alive. */
  #isUnchanged(store: SqliteStore, name: KeyName, last: Entry | undefined): boolean {
    const row = unlessDamaged(() => store.read(name))
    return last !== undefined && last.state !== 'erased' && row !== undefined && isSame(row.keyId, last.keyId)
  }

  #applyChange(
    store: SqliteStore,
    seal: Seal,
    journal: Journal,
    name: KeyName,
    last: Entry,
    damaged: ReadonlySet<KeyName>,
  ): void {
    const row = unlessDamaged(() => store.read(name))
    if (row !== undefined && last.state !== 'erased' && isSame(row.keyId, last.keyId)) {
      // A row that is not as it was written stays so, and refused: its last entry says something else now.
      if (!damaged.has(name)) this.#follow(store, seal, row, last)
    } else if (row !== undefined && this.#options.revive.includes(name)) {
      this.#revive(store, seal, journal, row, last)
    } else {
      this.#reserve(store, seal, name, last)
      if (last.state !== 'erased') this.#recordLoss(journal, name, last)
    }
  }

  #follow(store: SqliteStore, seal: Seal, row: KeyRow, last: Entry): void {
    const { state, revision, time, identity, number, detail } = last
    if (state === 'none' || state === 'erased') throw new TypeError('the key is alive')
    const deletion = state === 'pending' ? deletionOfDetail(detail) : undefined
    const life = { state, revision, changedAt: time, changedBy: identity, journalEntry: number, deletion }
    const next = { ...row, ...life }
    store.replace({ ...next, mac: seal.macOfRow(next) }, row.revision)
  }

  #revive(store: SqliteStore, seal: Seal, journal: Journal, row: KeyRow, last: Entry): void {
    this.#setDisabled(store, seal, journal, row, Math.max(row.revision, last.revision) + 1, 'revived')
    this.#revived.push(row.name)
  }

  #reserve(store: SqliteStore, seal: Seal, name: KeyName, last: Entry): void {
    const rootGeneration = store.rootGeneration()
    const facts = { name, keyId: last.keyId, erasedAt: last.time, erasedBy: last.identity, rootGeneration }
    const tombstone = { ...facts, mac: seal.macOfErased(facts) }
    const isReserved = this.#options.erasedNames === 'reserved'
    if (store.has(name)) {
      store.erase(name, isReserved ? tombstone : undefined)
      this.#erased += 1
    } else if (isReserved) store.replaceErased(tombstone)
    else store.dropErased(name)
  }

  #recordLoss(journal: Journal, name: KeyName, last: Entry): void {
    const { keyId, algorithm, createdAt, createdBy, fingerprint } = last
    const key = { name, keyId, algorithm, createdAt, createdBy, fingerprint }
    this.#record(journal, { ...key, state: 'erased', revision: last.revision + 1 }, { outcome: 'lost' })
    this.#lost.push(name)
  }

  #disableAll(store: SqliteStore, seal: Seal, journal: Journal, damaged: ReadonlySet<KeyName>): void {
    const total = store.count()
    let done = 0
    for (let after: string | undefined; ; ) {
      const rows = store.rows('', after, PAGE_ROWS)
      if (rows.length === 0) return
      store.transaction(() => {
        for (const row of rows) {
          after = 'damaged' in row ? row.damaged : row.name
          if ('damaged' in row || row.state === 'disabled' || damaged.has(row.name)) continue
          this.#setDisabled(store, seal, journal, row, row.revision + 1, 'disabled')
          this.#disabled += 1
        }
      })
      done += rows.length
      this.#options.onProgress('apply', done, total)
    }
  }

  #setDisabled(
    store: SqliteStore,
    seal: Seal,
    journal: Journal,
    row: KeyRow,
    revision: number,
    outcome: string,
  ): void {
    const { name, keyId, algorithm, createdAt, createdBy } = row
    const key = { name, keyId, algorithm, createdAt, createdBy, fingerprint: undefined }
    const number = this.#record(journal, { ...key, state: 'disabled', revision }, { outcome })
    const life = {
      state: 'disabled',
      revision,
      changedAt: this.#time,
      changedBy: '',
      journalEntry: number,
    } as const
    const next = { ...row, ...life, deletion: undefined }
    store.replace({ ...next, mac: seal.macOfRow(next) }, row.revision)
  }

  /** What was taken away since would open the restored store again. */
  #applySlots(
    store: SqliteStore,
    seal: Seal,
    journal: Journal,
    { removedSlots, hasNewRoot }: JournalTail,
  ): void {
    const slots = store.readSeal()?.slots ?? []
    for (const { slotId, record, label } of slots) {
      if (!removedSlots.has(slotId)) continue
      if (slotId === seal.ownSlot) {
        this.#warnings.push(
          `slot ${slotId} '${label}' was removed or changed since, and is back: it opens the backup`,
        )
        continue
      }
      store.transaction(() => {
        store.removeSlot(slotId, boxOf(record))
        this.#record(journal, NO_KEY, { outcome: 'slot removed', slot: slotId })
      })
      this.#warnings.push(`slot ${slotId} '${label}' was removed or changed since: it is removed`)
    }
    if (hasNewRoot)
      this.#warnings.push(
        'the root key was replaced since: the restored store has the one before; rotate it again',
      )
  }

  #recordRestore(journal: Journal, journalHead: JournalHead | undefined): void {
    this.#record(journal, NO_KEY, {
      head: formatHead(this.#header.head),
      ...(journalHead && { journal_head: formatHead(journalHead) }),
      disabled: this.#disabled,
      erased: this.#erased,
      revived: this.#revived.length,
      lost: this.#lost.length,
    })
  }

  #record(
    journal: Journal,
    key: Omit<EntryFacts, 'time' | 'action' | 'identity' | 'ip' | 'detail'>,
    detail: Detail,
  ): number {
    const about = { backup: this.#header.id, by: 'local operator', ...detail }
    return journal.append({ ...key, ...LOCAL, time: this.#time, action: 'restore', detail: about }).entry
      .number
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0
}
