/** The signed heads of the audit files: entries of the journal that say which line was the last at their time. */
import { now } from '../encoding/timestamp.ts'
import type { Entry } from '../journal/entry.ts'
import { type EntryFacts, type Journal, NO_KEY } from '../journal/journal.ts'
import type { KeyStore } from '../store/key-store.ts'
import type { Link } from './chain.ts'

/** Why a head was signed. */
export type HeadEvent = 'open' | 'rotate' | 'time' | 'close'

export interface AuditHead extends Link {
  readonly event: HeadEvent
  /** Name of the file that the line stands in. */
  readonly file: string
  /** Bytes that a crash left at the end of the file and that were set aside; 0 as a rule. */
  readonly torn: number
}

const ACTION = 'audit head'

export function recordHead(store: KeyStore, journal: Journal, head: AuditHead): void {
  store.transaction(() => journal.append(factsOf(head)))
}

export function lastHead(journal: Journal): AuditHead | undefined {
  const entry = journal.lastOfAction(ACTION)
  return entry && headOf(entry)
}

/** @returns undefined if the entry is of something else. */
export function headOf({ action, detail }: Pick<Entry, 'action' | 'detail'>): AuditHead | undefined {
  if (action !== ACTION || detail === undefined) return undefined
  const { event, file, seq, hash, torn = 0 } = detail
  if (!isHeadEvent(event) || typeof file !== 'string' || typeof seq !== 'number') return undefined
  if (typeof hash !== 'string' || typeof torn !== 'number') return undefined
  return { event, file, seq, hash, torn }
}

function isHeadEvent(value: unknown): value is HeadEvent {
  return value === 'open' || value === 'rotate' || value === 'time' || value === 'close'
}

function factsOf({ event, file, seq, hash, torn }: AuditHead): EntryFacts {
  return {
    ...NO_KEY,
    time: now(),
    action: ACTION,
    identity: '',
    ip: '',
    detail: { event, file, seq, hash, ...(torn === 0 ? {} : { torn }) },
  }
}
