/** The journal's public key as a file beside the store, made at set-up: whoever verifies takes a copy of it elsewhere. */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import type { Journal } from './journal.ts'

const SUFFIX = '.journal.pub'

/**
 * Writes the key in PEM, unless there is a file; one that holds another key stays as it is.
 *
 * @returns sentences for the operator; none if the file is there and right.
 */
export function exportPublicKey({ publicKey }: Journal, storePath: string): string[] {
  const path = storePath + SUFFIX
  const pem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
  try {
    if (!existsSync(path)) writeWhole(path, pem)
    if (readFileSync(path, 'utf8') === pem) return []
  } catch (error) {
    return [`the public key of the journal can not be kept in '${path}': ${message(error)}`]
  }
  return [
    `'${path}' does not hold the public key of this store's journal: the file or the journal was replaced`,
  ]
}

/** A file that is cut off would look like another key. */
function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${randomUUID()}.tmp`
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600, flush: true })
    renameSync(temporary, path)
  } finally {
    rmSync(temporary, { force: true })
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
