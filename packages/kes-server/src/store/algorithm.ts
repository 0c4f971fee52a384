/** What a key encrypts with, and every name that KES has had for it. */
import type { Algorithm } from './key-store.ts'

export type { Algorithm }

const ALGORITHMS: ReadonlyMap<string, Algorithm> = new Map([
  ['AES256', 'AES256'],
  ['AES256-GCM_SHA256', 'AES256'],
  ['ChaCha20', 'ChaCha20'],
  ['XCHACHA20-POLY1305', 'ChaCha20'],
])

/**
 * The algorithm that `name` stands for, in upper and lower case as KES wrote it; undefined if there is none.
 */
export function parseAlgorithm(name: string): Algorithm | undefined {
  return ALGORITHMS.get(name)
}
