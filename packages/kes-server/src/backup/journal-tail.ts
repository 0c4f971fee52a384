/** An export of the journal, as `kes journal export` prints it, → what has happened since a backup. */
import type { KeyObject } from 'node:crypto'
import { ProofError, parseEntryLine } from '../journal/document.ts'
import type { Entry } from '../journal/entry.ts'
import type { JournalHead } from '../journal/journal.ts'
import { JournalBrokenError, JournalVerifier } from '../journal/verify.ts'
import type { KeyName } from '../names.ts'
import type { SqliteStore } from '../store/sqlite-store.ts'
import { RestoreError } from './restore-error.ts'

/** What has to be made up for. */
export interface JournalTail {
  readonly head: JournalHead
  /** The last entry about each name that was changed. */
  readonly changed: ReadonlyMap<KeyName, Entry>
  /** Ids of slots that were removed, or got another passphrase. */
  readonly removedSlots: ReadonlySet<number>
  /** Whether the root key was replaced. */
  readonly hasNewRoot: boolean
}

const BATCH_ENTRIES = 1000

/**
 * Verifies the whole export, and appends to the store's journal the entries that come after the backup's.
 *
 * @param publicKey - that of the journal, kept at set-up.
 * @param backupHead - the last entry that the store has.
 * @throws {@link RestoreError} if the export is broken, of another journal, older than the backup, or went another way.
 */
export async function appendTail(
  lines: AsyncIterable<string>,
  publicKey: KeyObject,
  backupHead: JournalHead,
  store: SqliteStore,
): Promise<JournalTail> {
  const verifier = new JournalVerifier(publicKey, backupHead)
  const changed = new Map<KeyName, Entry>()
  const removedSlots = new Set<number>()
  let hasNewRoot = false
  const batch: { entry: Entry; bytes: Uint8Array; signature: Uint8Array }[] = []
  const flush = () => {
    store.transaction(() => {
      for (const { entry, bytes, signature } of batch) {
        store.appendEntry({ number: entry.number, name: entry.name, entry: bytes, signature })
        if (entry.action === 'backup')
          store.insertBackup({
            number: entry.number,
            backupId: String(entry.detail?.backup),
            madeAt: entry.time,
          })
      }
    })
    batch.length = 0
  }
  try {
    for await (const line of lines) {
      const filed = parseEntryLine(line)
      const entry = verifier.nextFiled(filed)
      if (entry.number <= backupHead.number) continue
      const { bytes, signature } = filed
      batch.push({ entry, bytes, signature })
      if (entry.name !== '') changed.set(entry.name as KeyName, entry)
      if (entry.action === 'remove slot') removedSlots.add(Number(entry.detail?.slot))
      if (entry.action === 'new root key') hasNewRoot = true
      if (batch.length === BATCH_ENTRIES) flush()
    }
    flush()
    return { head: verifier.end(), changed, removedSlots, hasNewRoot }
  } catch (error) {
    if (error instanceof JournalBrokenError || error instanceof ProofError) {
      throw new RestoreError(`the journal does not continue the backup: ${error.message}`)
    }
    throw error
  }
}
