/** What the journal's entries say of a scheduled deletion: docs/journal.md lists the fields. */
import { formatMilliseconds, parseTimestamp } from '../encoding/timestamp.ts'
import type { Detail } from '../journal/entry.ts'
import type { KeyRow, ScheduledDeletion } from '../store/key-store.ts'

/** All that a row knows of its deletion, so that one whose row was edited can still be told. */
export function detailOfSchedule({ atMs, runningFromMs, waitingMs }: ScheduledDeletion): Detail {
  return { deletion_at: formatMilliseconds(atMs), running_from_ms: runningFromMs, waiting_ms: waitingMs }
}

/** @returns undefined if it is no detail of {@link detailOfSchedule}. */
export function deletionOfDetail(detail: Detail = {}): ScheduledDeletion | undefined {
  const { deletion_at, running_from_ms, waiting_ms } = detail
  const at = typeof deletion_at === 'string' ? parseTimestamp(deletion_at) : undefined
  if (at === undefined || typeof running_from_ms !== 'number' || typeof waiting_ms !== 'number')
    return undefined
  const atMs = Number(at.seconds) * 1000 + at.nanos / 1_000_000
  return { atMs, runningFromMs: running_from_ms, waitingMs: waiting_ms }
}

/** The entry of an erasure by the server itself: who wanted it, and where that is proven. */
export function detailOfDueErasure(row: KeyRow, { atMs }: ScheduledDeletion): Detail {
  return {
    deletion_at: formatMilliseconds(atMs),
    scheduled_by: row.changedBy,
    scheduled_entry: row.journalEntry,
  }
}
