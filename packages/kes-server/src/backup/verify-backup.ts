/** Checks a backup without a server, and without the store that it is of. */
import type { KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openJournal } from '../keyring/open-journal.ts'
import type { KeyName } from '../names.ts'
import { Seal, type Secret } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { LoadError } from '../store/store-loader.ts'
import { examineJournal, examineStore, type OnStep } from './examine-store.ts'
import { BackupFormatError, type BackupHeader } from './format.ts'
import { loadBackup } from './load-backup.ts'

export interface Verdict {
  readonly header: BackupHeader
  readonly keys: number
  /** Whether each key was unsealed, for which a secret is needed. */
  readonly hasUnsealed: boolean
  /** Whether the journal's signatures were checked, for which its public key or a secret is needed. */
  readonly hasVerifiedJournal: boolean
  readonly damaged: readonly KeyName[]
  readonly journalProblem: string | undefined
}

/** What is there is no whole backup. */
export class BackupBrokenError extends Error {
  override readonly name = 'BackupBrokenError'
}

/**
 * @param secret - opens a slot of the backup; without it the sealed records are not looked at.
 * @param publicKey - the journal's, kept at set-up.
 * @throws {@link BackupBrokenError}, SealOpenError
 */
export async function verifyBackup(
  lines: AsyncIterable<string>,
  secret: (() => Secret) | undefined,
  publicKey: KeyObject | undefined,
  onStep: OnStep,
): Promise<Verdict> {
  const folder = mkdtempSync(join(tmpdir(), 'kes-backup-'))
  try {
    const path = join(folder, 'backup.db')
    const header = await load(lines, path, onStep)
    const store = SqliteStore.open(path)
    try {
      return { header, ...(await examine(header, store, secret, publicKey, onStep)) }
    } finally {
      store.close()
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function load(lines: AsyncIterable<string>, path: string, onStep: OnStep): Promise<BackupHeader> {
  try {
    return await loadBackup(lines, path, onStep)
  } catch (error) {
    if (error instanceof LoadError || error instanceof BackupFormatError)
      throw new BackupBrokenError(error.message, { cause: error })
    throw error
  }
}

async function examine(
  header: BackupHeader,
  store: SqliteStore,
  secret: (() => Secret) | undefined,
  publicKey: KeyObject | undefined,
  onStep: OnStep,
): Promise<Omit<Verdict, 'header'>> {
  if (secret !== undefined) {
    const seal = Seal.open(store, secret())
    try {
      const found = await examineStore(header, store, seal, openJournal(store, seal), publicKey, onStep)
      return { ...found, hasUnsealed: true, hasVerifiedJournal: true }
    } finally {
      seal.destroy()
    }
  }
  const journal = { read: (after: number, limit: number) => store.readEntries(after, limit) }
  const journalProblem = publicKey && (await examineJournal(header, journal, publicKey, onStep))
  return {
    keys: store.count(),
    hasUnsealed: false,
    hasVerifiedJournal: publicKey !== undefined,
    damaged: [],
    journalProblem,
  }
}
