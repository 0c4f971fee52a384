/**
 * Opens a store's journal; sets it up in a store that has none.
 *
 * A store of the first schema has keys but no journal. Its keys are adopted: one transaction writes an entry for each
 * that is intact. A damaged one stays as it is, and refused.
 */
import { generateKeyPairSync } from 'node:crypto'
import { now } from '../encoding/timestamp.ts'
import { type Actor, Journal, NO_KEY } from '../journal/journal.ts'
import type { Seal } from '../seal/seal.ts'
import { SealDamagedError } from '../seal/seal-errors.ts'
import type { KeyStore } from '../store/key-store.ts'
import { fingerprintOfRow } from './fingerprint.ts'

const SERVER: Actor = { identity: '', ip: '' }
const PAGE_ROWS = 500

/** @throws {@link SealDamagedError} if the journal has entries but lost its key, or the key can't be unsealed. */
export function openJournal(store: KeyStore, seal: Seal): Journal {
  const sealed = store.journalKey()
  if (sealed !== undefined)
    return new Journal(store, seal.storeId, seal.unsealJournalKey(store.rootGeneration(), sealed))
  return store.transaction(() => {
    if (store.lastEntry() !== undefined) {
      throw new SealDamagedError(
        'the store is damaged: its journal has lost its key; restore it from a backup',
      )
    }
    const { privateKey } = generateKeyPairSync('ed25519')
    store.insertJournalKey(seal.sealJournalKey(store.rootGeneration(), privateKey))
    const journal = new Journal(store, seal.storeId, privateKey)
    journal.append({ ...NO_KEY, ...SERVER, time: now(), action: 'set-up' })
    adoptKeys(store, seal, journal)
    return journal
  })
}

function adoptKeys(store: KeyStore, seal: Seal, journal: Journal): void {
  let after: string | undefined
  for (;;) {
    const rows = store.rows('', after, PAGE_ROWS)
    for (const row of rows) {
      after = 'damaged' in row ? row.damaged : row.name
      // Only a row from before the journal has no entry: any other has lost its journal.
      if ('damaged' in row || row.journalEntry !== 0 || !seal.isAuthentic(row)) continue
      const { keyId, name, algorithm, state, revision, createdAt, createdBy } = row
      const fingerprint = fingerprintOfRow(seal, row)
      const facts = { keyId, name, algorithm, state, revision, createdAt, createdBy, fingerprint }
      const { entry } = journal.append({ ...facts, ...SERVER, time: now(), action: 'adopt' })
      const adopted = { ...row, journalEntry: entry.number }
      store.replace({ ...adopted, mac: seal.macOfRow(adopted) }, revision)
    }
    if (rows.length === 0) return
  }
}
