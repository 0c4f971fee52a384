/** The journal's public key as a file beside the store, made at set-up: whoever verifies takes a copy of it elsewhere. */
import { existsSync, readFileSync } from 'node:fs'
import { messageOf } from '../message-of.ts'
import { writePrivateFile } from '../store/store-file.ts'
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
    if (!existsSync(path)) writePrivateFile(path, pem) // Cut off, it would look like another key.
    if (readFileSync(path, 'utf8') === pem) return []
  } catch (error) {
    return [`the public key of the journal can not be kept in '${path}': ${messageOf(error)}`]
  }
  return [
    `'${path}' does not hold the public key of this store's journal: the file or the journal was replaced`,
  ]
}
