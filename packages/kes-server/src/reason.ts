import { KesError } from './errors.ts'
import { messageOf } from './message-of.ts'

/** Why something failed, for a sentence of the log that says what did. */
export function reasonOf(error: unknown): string {
  if (error instanceof KesError && error.detail !== undefined) return error.detail
  return messageOf(error)
}
