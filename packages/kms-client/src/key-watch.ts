/** The stream of the server's keys and their changes, line by line. A Go KES has none, and answers with 404. */
import { JsonReply } from './json-reply.ts'
import type { KeyState } from './replies.ts'

/** A key as the snapshot has it. `damaged` stands for a record that the server can't trust. */
export interface WatchedKey {
  readonly event: 'snapshot'
  readonly name: string
  readonly state: KeyState
  /** Number of the last entry of the journal about this key; absent if its record is damaged. */
  readonly epoch?: number
  readonly deletionAt?: string
}

/** All keys were named, as they are after this entry of the journal; what follows is news. */
export interface SnapshotEnd {
  readonly event: 'snapshot-end'
  readonly epoch: number
}

/** One change, one entry of the journal. */
export interface KeyChange {
  readonly event: 'change'
  readonly name: string
  /** Afterwards. `erased`: the key is gone. */
  readonly state: KeyState | 'erased'
  readonly epoch: number
  /** As in {@link JournalEntry}; absent if the entry can't be read. */
  readonly action?: string
  readonly time?: string
  readonly deletionAt?: string
}

export type KeyEvent = WatchedKey | SnapshotEnd | KeyChange

/** @returns undefined for a sign of life, and for events of a later server. */
export function decodeKeyEvent(call: string, line: string): KeyEvent | undefined {
  const reply = JsonReply.parse(call, line)
  const event = reply.text('event')
  if (event === 'snapshot-end') return { event, epoch: reply.number('epoch') }
  if (event !== 'snapshot' && event !== 'change') return undefined
  const deletionAt = reply.textIfAny('deletion_at')
  const key = {
    name: reply.text('name'),
    state: reply.text('state'),
    ...(deletionAt === undefined ? {} : { deletionAt }),
  }
  if (event === 'snapshot') {
    const epoch = reply.numberIfAny('epoch')
    return { event, ...key, ...(epoch === undefined ? {} : { epoch }) }
  }
  const [action, time] = [reply.textIfAny('action'), reply.textIfAny('time')]
  return {
    event,
    ...key,
    epoch: reply.number('epoch'),
    ...(action === undefined ? {} : { action }),
    ...(time === undefined ? {} : { time }),
  }
}
