/** The disk that a store, or an audit file, grows on. */
import { statfsSync } from 'node:fs'
import { formatBytes } from '../format.ts'
import { shellWord } from '../shell-word.ts'
import type { Findings } from './findings.ts'

/** As `statfs` has it. */
export interface Space {
  readonly freeBytes: number
  /** Of how many; 0 where a file system has no such limit. */
  readonly files: number
  readonly freeFiles: number
}

/** A server sets 8 MiB aside, for the lock of a key on a full disk, while there is room for twice as much. */
const FREE_BYTES_MIN = 16 * 2 ** 20
const FREE_BYTES_LOW = 256 * 2 ** 20
/** SQLite's files, their journals, a new key file. */
const FREE_FILES_MIN = 16
const FREE_FILES_LOW = 1_000

export function spaceOf(folder: string): Space {
  const { bavail, bsize, files, ffree } = statfsSync(folder)
  return { freeBytes: bavail * bsize, files, freeFiles: ffree }
}

/** @param what - such as `the store`. */
export function checkSpace(findings: Findings, what: string, folder: string, space: Space): void {
  const { freeBytes, files, freeFiles } = space
  const free = `the disk of ${what}, '${folder}', has ${formatBytes(freeBytes)} left`
  const look = { advice: 'make room, or move it to a larger disk', commands: [`df -h ${shellWord(folder)}`] }
  if (freeBytes < FREE_BYTES_MIN) {
    findings.problem('disk', `${free}: too little for a server to set something aside for locks`, look)
  } else if (freeBytes < FREE_BYTES_LOW) findings.warn('disk', free, look)
  else findings.ok('disk', free)
  if (files === 0) return
  const inodes = `the disk of ${what}, '${folder}', has room for ${freeFiles} more files`
  const remedy = { advice: 'remove files that nobody needs', commands: [`df -i ${shellWord(folder)}`] }
  if (freeFiles < FREE_FILES_MIN) findings.problem('disk', inodes, remedy)
  else if (freeFiles < FREE_FILES_LOW) findings.warn('disk', inodes, remedy)
}
