import { statfsSync } from 'node:fs'

/** Whether a call of `node:fs` failed because there is no space left. */
export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOSPC' || error.code === 'EDQUOT')
}

/** Of the disk of this folder, to a process without privileges. @throws what `node:fs` does. */
export function freeBytesOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
