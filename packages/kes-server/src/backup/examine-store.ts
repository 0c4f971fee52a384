/** Whether what a backup held is as its server wrote it: every entry of the journal, every row, every sealed record. */
import type { KeyObject } from 'node:crypto'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { decodeEntry } from '../journal/entry.ts'
import type { Journal } from '../journal/journal.ts'
import { JournalBrokenError, JournalVerifier } from '../journal/verify.ts'
import { unlessDamaged } from '../keyring/unless-damaged.ts'
import type { KeyName } from '../names.ts'
import type { Seal } from '../seal/seal.ts'
import type { SqliteStore } from '../store/sqlite-store.ts'
import type { BackupHeader } from './format.ts'

const PAGE_ROWS = 500

export interface Examination {
  readonly keys: number
  /** Names of keys whose row or record is not as it was written. */
  readonly damaged: readonly KeyName[]
  /** What is wrong with the journal; undefined if nothing is. */
  readonly journalProblem: string | undefined
}

export type OnStep = (done: number, total: number) => void

/**
 * Walks the journal from its first entry to the head that the backup names.
 *
 * @param entries - by their numbers, in pages.
 * @returns what is wrong; undefined if nothing is.
 */
export async function examineJournal(
  { head, id, storeId }: BackupHeader,
  journal: Pick<Journal, 'read'>,
  publicKey: KeyObject,
  onStep: OnStep,
): Promise<string | undefined> {
  const verifier = new JournalVerifier(publicKey, head)
  try {
    let last: Uint8Array | undefined
    for (;;) {
      const { number } = verifier.head()
      const page = journal.read(number, PAGE_ROWS)
      if (page.length === 0) break
      for (const { entry, ...stored } of page) {
        verifier.nextFiled({ bytes: entry, ...stored })
        last = entry
      }
      onStep(verifier.head().number, head.number)
      await nextTurn()
    }
    const { number } = verifier.end()
    const entry = last && decodeEntry(last)
    const isOfBackup = number === head.number && entry?.action === 'backup' && entry.detail?.backup === id
    if (!isOfBackup) return `entry ${number}: it does not record this backup`
    return Buffer.from(entry.storeId).toString('hex') === storeId ? undefined : 'it is of another store'
  } catch (error) {
    if (error instanceof JournalBrokenError) return error.message
    throw error
  }
}

/** @param publicKey - the one that was kept at set-up; without it the one that is sealed in the backup. */
export async function examineStore(
  header: BackupHeader,
  store: SqliteStore,
  seal: Seal,
  journal: Journal,
  publicKey: KeyObject | undefined,
  onStep: OnStep,
): Promise<Examination> {
  const keys = store.count()
  const damaged: KeyName[] = []
  let done = 0
  for (let after: string | undefined; ; ) {
    const rows = store.rows('', after, PAGE_ROWS)
    if (rows.length === 0) break
    for (const row of rows) {
      after = 'damaged' in row ? row.damaged : row.name
      if ('damaged' in row) damaged.push(row.damaged)
      else if (!isWhole(row)) damaged.push(row.name)
    }
    done += rows.length
    onStep(done, keys + header.head.number)
    await nextTurn()
  }
  const journalProblem =
    publicKey !== undefined && !isSameKey(publicKey, journal.publicKey)
      ? 'its signatures are by another key than the one given'
      : await examineJournal(header, journal, journal.publicKey, (entries) =>
          onStep(keys + entries, keys + header.head.number),
        )
  return { keys, damaged, journalProblem }

  function isWhole(row: Exclude<ReturnType<SqliteStore['rows']>[number], { damaged: KeyName }>): boolean {
    if (!seal.isAuthentic(row) || !journal.agreesWith(row)) return false
    const material = unlessDamaged(() => seal.unsealKey(row))
    material?.secretKey.fill(0)
    material?.hmacKey?.fill(0)
    return material !== undefined
  }
}

export function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return one.equals(other)
}
