/** The row of a key that comes from elsewhere with facts of its own, and its entry in the journal. */
import { now } from '../encoding/timestamp.ts'
import type { Action, Detail } from '../journal/entry.ts'
import type { Actor, Journal } from '../journal/journal.ts'
import type { KeyFacts, Seal } from '../seal/seal.ts'
import type { KeyRow, KeyState, KeyStore } from '../store/key-store.ts'
import { fingerprintOf } from './fingerprint.ts'

/** The command line, which acts with the store open and no server. */
export const OPERATOR: Actor = { identity: '', ip: '' }
/** By this the journal tells the operator's doing from the server's own. */
export const BY_OPERATOR = { by: 'local operator' } as const

/** A store that is open, with what it takes to read and write its keys. */
export interface UnsealedStore {
  readonly store: KeyStore
  readonly seal: Seal
  readonly journal: Journal
}

export interface KeyOrigin {
  readonly action: Action
  readonly state: KeyState
  readonly revision: number
  readonly detail?: Detail | undefined
}

/**
 * Inside the transaction that stores the row.
 *
 * @param sealAs - makes the record under the root key of this generation.
 */
export function recordRow(
  { store, seal, journal }: UnsealedStore,
  facts: KeyFacts,
  secretKey: Uint8Array,
  sealAs: (rootGeneration: number) => Uint8Array,
  { action, state, revision, detail }: KeyOrigin,
): KeyRow {
  const time = now()
  const fingerprint = fingerprintOf(secretKey)
  const change = { action, state, revision, time, fingerprint, detail }
  const { entry } = journal.append({ ...facts, ...OPERATOR, ...change })
  const life = { state, revision, changedAt: time, changedBy: '', journalEntry: entry.number }
  const rootGeneration = store.rootGeneration()
  const row = { ...facts, ...life, sealed: sealAs(rootGeneration), rootGeneration }
  return { ...row, mac: seal.macOfRow(row) }
}
