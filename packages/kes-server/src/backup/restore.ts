/**
 * A backup → a store in its place.
 *
 * The store is made under another name, brought to where its journal says it should be, and then takes its place in one
 * rename. A backup is old: keys that it has may have been locked or erased since. With an export of the journal all
 * that has happened since is done again; without one every key is disabled. No key that was erased comes back
 * unless it is named.
 */
import type { KeyObject } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { now } from '../encoding/timestamp.ts'
import type { Journal, JournalHead } from '../journal/journal.ts'
import { exportPublicKey } from '../journal/public-key-file.ts'
import { openJournal } from '../keyring/open-journal.ts'
import type { KeyName } from '../names.ts'
import { Seal, type Secret } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { LoadError } from '../store/store-loader.ts'
import { removeStoreFiles, StorePlace } from '../store/store-place.ts'
import { CatchUp, type CatchUpTally, type RestoredStore } from './catch-up.ts'
import { examineStore, isSameKey } from './examine-store.ts'
import { BackupFormatError, type BackupHeader } from './format.ts'
import { appendTail } from './journal-tail.ts'
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

export interface RestoreReport extends Readonly<CatchUpTally> {
  readonly header: BackupHeader
  /** Up to where the journal said what has happened since; undefined without one. */
  readonly journalHead: JournalHead | undefined
  readonly keys: number
  /** Keys that were damaged when the backup was made. */
  readonly damaged: readonly KeyName[]
  /** Sentences for the operator. */
  readonly warnings: readonly string[]
  /** Where the store is kept that was there before. */
  readonly kept: string | undefined
}

type DraftReport = Omit<RestoreReport, 'kept'> & { readonly journal: Journal }

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
    const { journal, ...report } = await finishDraft(options, header, place.draft)
    const kept = place.take(`replaced-${now().replace(/[^0-9TZ]/g, '')}`)
    return { ...report, warnings: [...report.warnings, ...exportPublicKey(journal, place.path)], kept }
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

/** Opens the store as a server would, verifies it, catches up, and leaves it closed. */
async function finishDraft(
  options: RestoreOptions,
  header: BackupHeader,
  path: string,
): Promise<DraftReport> {
  const { publicKey, onProgress, erasedNames, revive } = options
  const store = SqliteStore.open(path)
  try {
    const seal = Seal.open(store, options.secret())
    const journal = openJournal(store, seal)
    if (publicKey !== undefined && !isSameKey(publicKey, journal.publicKey))
      throw new RestoreError("the public key is not that of the backup's journal")
    const onStep = (done: number, total: number) => onProgress('verify', done, total)
    const found = await examineStore(header, store, seal, journal, publicKey, onStep)
    const damaged = new Set(found.damaged)
    const catchUp = new CatchUp({ store, seal, journal }, { header, erasedNames, revive, damaged })
    if (found.journalProblem !== undefined)
      catchUp.warnings.push(`the journal in the backup is broken: ${found.journalProblem}`)
    const journalHead = await bringUpToDate({ store, seal, journal }, catchUp, header, options)
    while (!(await store.purge())) await delay(PURGE_RETRY_MS)
    seal.destroy()
    return {
      header,
      journalHead,
      keys: store.count(),
      ...catchUp.tally,
      damaged: found.damaged.filter((name) => store.has(name)),
      warnings: [...store.warnings, ...catchUp.warnings],
      journal,
    }
  } finally {
    store.close()
  }
}

const PURGE_RETRY_MS = 20

/** @returns the last entry of the journal that was followed; undefined without one. */
async function bringUpToDate(
  { store }: RestoredStore,
  catchUp: CatchUp,
  { head }: BackupHeader,
  { journal, publicKey, onProgress }: RestoreOptions,
): Promise<JournalHead | undefined> {
  if (journal === undefined || publicKey === undefined) {
    catchUp.disableAll((done, total) => onProgress('apply', done, total))
    catchUp.recordRestore(undefined)
    return undefined
  }
  const tail = await appendTail(journal, publicKey, head, store)
  catchUp.follow(tail)
  catchUp.recordRestore(tail.head)
  return tail.head
}
