/** Small files that are replaced as a whole: after a crash each is the old one or the new one. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Where the new content is until it is complete. */
export function nextOf(path: string): string {
  return `${path}.new`
}

export function replaceFile(path: string, content: string | Uint8Array): void {
  const next = nextOf(path)
  const file = openSync(next, 'w', 0o600)
  try {
    writeFileSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(next, path)
  syncDirectory(dirname(path))
}

/** Brings the entries of a directory to the disk. */
export function syncDirectory(path: string): void {
  const directory = openSync(path, 'r')
  try {
    fsyncSync(directory)
  } finally {
    closeSync(directory)
  }
}
