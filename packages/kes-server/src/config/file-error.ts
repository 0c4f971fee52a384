/** Errors of files in the words of Go's standard library, as KES prints them. */

const REASONS: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such file or directory'],
  ['ENOTDIR', 'not a directory'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'operation not permitted'],
  ['EMFILE', 'too many open files'],
  ['ELOOP', 'too many levels of symbolic links'],
])

/** `open /nope: no such file or directory`. */
export function describeFileError(path: string, error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error'
  if (code === 'EISDIR') return `read ${path}: is a directory`
  return `open ${path}: ${REASONS.get(code) ?? code}`
}
