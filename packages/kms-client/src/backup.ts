/** Backups of a Latchkey server's store. A Go KES has none, and answers these calls with 404. */
import { JsonReply } from './json-reply.ts'
import type { TransportReply } from './transport/transport.ts'

export interface BackupInfo {
  readonly id: string
  readonly madeAt: string
  /** The journal's head when it was made, as `kes journal head` prints it. */
  readonly head: string
  readonly keys: number
  /** Of what {@link KesClient.readBackup} gives. */
  readonly bytes: number
}

export function decodeBackupInfo(call: string, { body }: TransportReply): BackupInfo {
  const reply = JsonReply.parse(call, body.toString())
  return {
    id: reply.text('id'),
    madeAt: reply.text('made_at'),
    head: reply.text('head'),
    keys: reply.number('keys'),
    bytes: reply.number('bytes'),
  }
}
