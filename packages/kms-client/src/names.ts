/**
 * Checks what becomes part of a request's path. Nothing that passes needs escaping there, and nothing can turn one
 * call into another: `disableKey('*')` or `deleteKey('../x')` never reach a server. The finer rules are its own.
 */
import { InvalidNameError, InvalidPatternError } from './api-error.ts'

const NAME = /^[0-9A-Za-z_-]+$/
const PATTERN = /^[0-9A-Za-z_-]*\*$/
const PREFIX = /^[0-9A-Za-z_-]*\*?$/

/** @throws {@link InvalidNameError}, as the server would. */
export function checkName(kind: 'key name' | 'policy name' | 'identity', name: string): string {
  if (NAME.test(name)) return name
  const message = `${kind} '${name}' is empty, too long or contains invalid characters`
  throw new InvalidNameError(400, message, 'InvalidName')
}

/** @throws {@link InvalidPatternError} if the pattern does not end in its only `*`. */
export function checkPattern(pattern: string): string {
  if (PATTERN.test(pattern)) return pattern
  throw invalidPattern(pattern)
}

/**
 * The argument with which to list all names that start with the prefix. A `*` at its end is left out, because a Go
 * KES takes it literally, except where the rest is no valid argument: `app-` can only be asked for as `app-*`.
 *
 * @throws {@link InvalidPatternError}
 */
export function listArgument(prefix: string): string {
  if (!PREFIX.test(prefix)) throw invalidPattern(prefix)
  const plain = prefix.endsWith('*') ? prefix.slice(0, -1) : prefix
  return plain === '_' || plain.endsWith('-') ? `${plain}*` : plain
}

function invalidPattern(pattern: string): InvalidPatternError {
  const message = `listing pattern '${pattern}' is empty, too long or is invalid`
  return new InvalidPatternError(400, message, 'InvalidPattern')
}
