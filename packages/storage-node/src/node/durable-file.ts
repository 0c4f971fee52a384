/** A small file that is replaced as a whole: after a crash it is the old one or the new one. */
import { closeSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

export function replaceFile(path: string, content: Uint8Array): void {
  const next = `${path}.new`
  writeAndSync(next, content)
  renameSync(next, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function writeAndSync(path: string, content: Uint8Array): void {
  const file = openSync(path, 'w', 0o600)
  try {
    writeSync(file, content)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
