import { getSystemErrorMessage } from 'node:util'

/** Where Go, and so KES, has other words than libuv. */
const WORDS: Readonly<Record<string, string>> = {
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
  ENAMETOOLONG: 'file name too long',
}

/** What whatever was thrown says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Why a call of `node:fs` failed, without the path and the code that Node's own message has. */
export function diskProblemOf(error: unknown): string {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number')
    return messageOf(error)
  const { code = '', errno } = error as NodeJS.ErrnoException & { errno: number }
  return WORDS[code] ?? getSystemErrorMessage(errno)
}
