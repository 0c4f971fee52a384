/** What the lines of an audit file say: an event of a request, with KES's fields, or a note of the file itself. */
import { type AuditEvent, formatDuration } from './audit-event.ts'

const FORMAT = 'latchkey audit v1'

/** What a note says beside its message. */
export type NoteFields = Readonly<Record<string, string | number>>

/** The first line of a file. */
export interface FileHeader {
  /** Hex. */
  readonly store: string
  /** The file's own name. */
  readonly file: string
  /** Hash of the line before it, which stands in another file; zeros if there is none. */
  readonly previous: string
  /** When the file was begun. */
  readonly openedMs: number
}

/** @returns the members of a line's JSON object, as all of these functions do. */
export function eventFields(event: AuditEvent): string {
  const { method, path, ip, identity = '<unknown>', proxy, status, durationMs, message } = event
  const req = { method, path, ip, identity, proxy } // Without a proxy there is no such member.
  const res = { code: status, time: formatDuration(durationMs) }
  return members({ time: new Date().toISOString(), level: 'INFO', req, res, msg: message })
}

export function noteFields(level: 'INFO' | 'WARN' | 'ERROR', message: string, audit: NoteFields): string {
  return members({ time: new Date().toISOString(), level, audit, msg: message })
}

export function headerFields({ store, file, previous }: Omit<FileHeader, 'openedMs'>): string {
  return noteFields('INFO', 'audit file opened', { format: FORMAT, store, file, previous })
}

/** @returns undefined if the line is not the first of an audit file. */
export function parseHeader(line: string): FileHeader | undefined {
  const { time, audit } = parseObject(line)
  if (typeof audit !== 'object' || audit === null) return undefined
  const { format, store, file, previous } = audit as Readonly<Record<string, unknown>>
  const openedMs = typeof time === 'string' ? Date.parse(time) : Number.NaN
  if (format !== FORMAT || typeof store !== 'string' || typeof file !== 'string') return undefined
  if (typeof previous !== 'string' || Number.isNaN(openedMs)) return undefined
  return { store, file, previous, openedMs }
}

const REMOVED = '"removed_up_to"'

/** Of a note that says that the lines up to this number were removed; undefined of any other line. */
export function removedUpTo(line: Buffer): number | undefined {
  if (!line.includes(REMOVED)) return undefined
  const { audit } = parseObject(line.toString())
  if (typeof audit !== 'object' || audit === null) return undefined
  const { removed_up_to: last } = audit as Readonly<Record<string, unknown>>
  return typeof last === 'number' ? last : undefined
}

function members(fields: object): string {
  return JSON.stringify(fields).slice(1, -1)
}

function parseObject(line: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === 'object' && value !== null ? { ...value } : {}
  } catch {
    return {} // Whoever asks for a field finds none.
  }
}
