/** Errors of files in the words of Go's standard library, as KES prints them. */
import { diskProblemOf } from '../message-of.ts'

/** `open /nope: no such file or directory`. */
export function describeFileError(path: string, error: unknown): string {
  const isFolder = error instanceof Error && 'code' in error && error.code === 'EISDIR'
  return `${isFolder ? 'read' : 'open'} ${path}: ${diskProblemOf(error)}`
}
