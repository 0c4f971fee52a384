/** `/v1/backup/…`: a backup of the store. */

import type { BackupDesk } from '../backup/backup-desk.ts'
import { formatHead } from '../journal/verify.ts'
import type { Caller } from './caller.ts'

export interface BackupDocument {
  readonly id: string
  readonly made_at: string
  /** The journal's last entry that is in it. */
  readonly head: string
  readonly keys: number
  /** Of the text that `read` gives. */
  readonly bytes: number
}

/** @throws BackupConflictError (409), BackupNoSpaceError (507), StoreError (502) */
export async function createBackup(desk: BackupDesk, caller: Caller): Promise<BackupDocument> {
  const { header, bytes } = await desk.make(caller)
  const keys = header.tables.find(({ name }) => name === 'keys')?.rows ?? 0
  return { id: header.id, made_at: header.madeAt, head: formatHead(header.head), keys, bytes }
}

/** @throws BackupNotFoundError (404) */
export function readBackup(desk: BackupDesk, id: string, offset: number): Buffer {
  return desk.read(id, offset)
}

/** Frees the disk's space. */
export function dropBackup(desk: BackupDesk, id: string): void {
  desk.drop(id)
}
