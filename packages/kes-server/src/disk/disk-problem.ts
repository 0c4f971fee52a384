import { getSystemErrorMessage } from 'node:util'
import { messageOf } from '../message-of.ts'

/** Where Go, and so KES, has other words than libuv. */
const WORDS: Readonly<Record<string, string>> = {
  EISDIR: 'is a directory',
  ELOOP: 'too many levels of symbolic links',
  ENAMETOOLONG: 'file name too long',
}

/** Why a call of `node:fs` failed, without the path and the code that Node's own message has. */
export function diskProblemOf(error: unknown): string {
  if (!(error instanceof Error) || !('errno' in error) || typeof error.errno !== 'number')
    return messageOf(error)
  const { code = '', errno } = error as NodeJS.ErrnoException & { errno: number }
  return WORDS[code] ?? getSystemErrorMessage(errno)
}
