/**
 * Brings a restored store from where its backup was to where it may be used again: what the journal says has happened
 * since is done again, or every key is disabled. What is decided here, and not by the journal, is an entry `restore`.
 */
import assert from 'node:assert/strict'
import { now } from '../encoding/timestamp.ts'
import type { Detail, Entry } from '../journal/entry.ts'
import { type EntryFacts, type Journal, type JournalHead, NO_KEY } from '../journal/journal.ts'
import { formatHead } from '../journal/verify.ts'
import { deletionOfDetail } from '../keyring/deletion-detail.ts'
import { unlessDamaged } from '../keyring/unless-damaged.ts'
import type { KeyName } from '../names.ts'
import type { Seal } from '../seal/seal.ts'
import { boxOf } from '../seal/slots.ts'
import type { KeyRow } from '../store/key-store.ts'
import type { SqliteStore } from '../store/sqlite-store.ts'
import type { BackupHeader } from './format.ts'
import type { JournalTail } from './journal-tail.ts'
import { RestoreError } from './restore-error.ts'

export interface RestoredStore {
  readonly store: SqliteStore
  readonly seal: Seal
  readonly journal: Journal
}

/** What became of the backup's keys. */
export interface CatchUpTally {
  /** How many keys were disabled because nobody knows what has happened since. */
  disabled: number
  /** How many of the backup's keys were erased since, and are gone. */
  erased: number
  /** Erased since, and back because they were named. */
  readonly revived: KeyName[]
  /** Made after the backup: nobody has their bytes. Their names stay reserved. */
  readonly lost: KeyName[]
}

export interface CatchUpOptions {
  readonly header: BackupHeader
  readonly erasedNames: 'reserved' | 'free'
  readonly revive: readonly KeyName[]
  /** Keys that were damaged in the backup: they stay as they are, and refused. */
  readonly damaged: ReadonlySet<KeyName>
}

const LOCAL = { identity: '', ip: '' }
const PAGE_ROWS = 500

export class CatchUp {
  readonly tally: CatchUpTally = { disabled: 0, erased: 0, revived: [], lost: [] }
  /** Sentences for the operator. */
  readonly warnings: string[] = []
  readonly #store: SqliteStore
  readonly #seal: Seal
  readonly #journal: Journal
  readonly #options: CatchUpOptions
  readonly #time = now()

  constructor({ store, seal, journal }: RestoredStore, options: CatchUpOptions) {
    this.#store = store
    this.#seal = seal
    this.#journal = journal
    this.#options = options
  }

  /**
   * Does again what the journal says has happened.
   *
   * @param tail - whose entries are in the store's journal already.
   * @throws {@link RestoreError} if a key is to be revived that was not erased.
   */
  follow(tail: JournalTail): void {
    for (const name of this.#options.revive) this.#assertErased(name, tail.changed.get(name))
    this.#store.transaction(() => {
      for (const [name, last] of tail.changed) this.#applyChange(name, last)
    })
    this.#removeSlots(tail.removedSlots)
    if (tail.hasNewRoot) {
      const text = 'the root key was replaced since: the restored store has the one before; rotate it again'
      this.warnings.push(text)
    }
  }

  /** For want of a journal. */
  disableAll(onProgress: (done: number, total: number) => void): void {
    const total = this.#store.count()
    let done = 0
    for (let after: string | undefined; ; ) {
      const rows = this.#store.rows('', after, PAGE_ROWS)
      if (rows.length === 0) return
      this.#store.transaction(() => {
        for (const row of rows) {
          after = 'damaged' in row ? row.damaged : row.name
          if ('damaged' in row || row.state === 'disabled' || this.#options.damaged.has(row.name)) continue
          this.#setDisabled(row, row.revision + 1, 'disabled')
          this.tally.disabled += 1
        }
      })
      done += rows.length
      onProgress(done, total)
    }
  }

  /** The entry about the store, as the last one. */
  recordRestore(journalHead: JournalHead | undefined): void {
    const { disabled, erased, revived, lost } = this.tally
    this.#store.transaction(() =>
      this.#record(NO_KEY, {
        head: formatHead(this.#options.header.head),
        ...(journalHead && { journal_head: formatHead(journalHead) }),
        disabled,
        erased,
        revived: revived.length,
        lost: lost.length,
      }),
    )
  }

  #assertErased(name: KeyName, last: Entry | undefined): void {
    const row = this.#readRow(name)
    if (this.#options.damaged.has(name)) throw new RestoreError(`key '${name}' is damaged in the backup`)
    if (row !== undefined && last !== undefined && !isAlive(row, last)) return
    throw new RestoreError(`key '${name}' is none that the backup has and the journal says was erased`)
  }

  #applyChange(name: KeyName, last: Entry): void {
    const row = this.#readRow(name)
    if (row !== undefined && isAlive(row, last)) {
      // A row that is not as it was written stays so, and refused: its last entry says something else now.
      if (!this.#options.damaged.has(name)) this.#adjust(row, last)
    } else if (row !== undefined && this.#options.revive.includes(name)) {
      this.#setDisabled(row, Math.max(row.revision, last.revision) + 1, 'revived')
      this.tally.revived.push(name)
    } else {
      this.#remove(name, last)
      if (last.state !== 'erased') this.#recordLoss(name, last)
    }
  }

  #readRow(name: KeyName): KeyRow | undefined {
    return unlessDamaged(() => this.#store.read(name))
  }

  #adjust(row: KeyRow, { state, revision, time, identity, number, detail }: Entry): void {
    assert(state !== 'none' && state !== 'erased')
    const deletion = state === 'pending' ? deletionOfDetail(detail) : undefined
    const life = { state, revision, changedAt: time, changedBy: identity, journalEntry: number, deletion }
    this.#replace({ ...row, ...life }, row.revision)
  }

  #setDisabled(row: KeyRow, revision: number, outcome: 'disabled' | 'revived'): void {
    const { name, keyId, algorithm, createdAt, createdBy } = row
    const key = { name, keyId, algorithm, createdAt, createdBy, fingerprint: undefined }
    const journalEntry = this.#record({ ...key, state: 'disabled', revision }, { outcome })
    const life = { state: 'disabled', revision, changedAt: this.#time, changedBy: '', journalEntry } as const
    this.#replace({ ...row, ...life, deletion: undefined }, row.revision)
  }

  #replace(row: KeyRow, expectedRevision: number): void {
    this.#store.replace({ ...row, mac: this.#seal.macOfRow(row) }, expectedRevision)
  }

  /** Takes the key away, if there is one, and keeps its name from being taken again. */
  #remove(name: KeyName, { keyId, time, identity }: Entry): void {
    const rootGeneration = this.#store.rootGeneration()
    const facts = { name, keyId, erasedAt: time, erasedBy: identity, rootGeneration }
    const tombstone = { ...facts, mac: this.#seal.macOfErased(facts) }
    const isReserved = this.#options.erasedNames === 'reserved'
    if (this.#store.has(name)) {
      this.#store.erase(name, isReserved ? tombstone : undefined)
      this.tally.erased += 1
    } else if (isReserved) this.#store.replaceErased(tombstone)
    else this.#store.dropErased(name)
  }

  #recordLoss(name: KeyName, last: Entry): void {
    const { keyId, algorithm, createdAt, createdBy, fingerprint } = last
    const key = { name, keyId, algorithm, createdAt, createdBy, fingerprint }
    this.#record({ ...key, state: 'erased', revision: last.revision + 1 }, { outcome: 'lost' })
    this.tally.lost.push(name)
  }

  /** What was taken away since would open the restored store again. */
  #removeSlots(removed: ReadonlySet<number>): void {
    for (const { slotId, record, label } of this.#store.readSeal()?.slots ?? []) {
      if (!removed.has(slotId)) continue
      const slot = `slot ${slotId} '${label}' was removed or changed since`
      if (slotId === this.#seal.ownSlot) this.warnings.push(`${slot}, and is back: it opens the backup`)
      else {
        this.#store.transaction(() => {
          this.#store.removeSlot(slotId, boxOf(record))
          this.#record(NO_KEY, { outcome: 'slot removed', slot: slotId })
        })
        this.warnings.push(`${slot}: it is removed`)
      }
    }
  }

  #record(key: Omit<EntryFacts, 'time' | 'action' | 'identity' | 'ip' | 'detail'>, facts: Detail): number {
    const detail = { backup: this.#options.header.id, by: 'local operator', ...facts }
    return this.#journal.append({ ...key, ...LOCAL, time: this.#time, action: 'restore', detail }).entry
      .number
  }
}

/** Whether the last entry of a name is about the key that the backup has, and that key lives. */
function isAlive(row: KeyRow, last: Entry): boolean {
  return last.state !== 'erased' && Buffer.compare(row.keyId, last.keyId) === 0
}
