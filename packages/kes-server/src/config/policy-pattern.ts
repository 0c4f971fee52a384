/**
 * Policy patterns that match no API path, and what was meant.
 *
 * Only a `*` at the end of a pattern is special; anywhere else it is a letter, as are `?`, `[` and `{`. Such a
 * pattern is no error, in KES neither, but an `allow` that grants nothing or a `deny` that stops nothing.
 */
import { isName, parseListPrefix } from '../names.ts'
import { API_PATHS, type ApiPath } from './api-paths.ts'
import { referencedVariable } from './env.ts'
import { nearest } from './nearest.ts'

const POLICIES_ARE_HERE = 'policies live in the config file, no API changes them'

/** Paths of earlier KES releases, and what stands in for them. */
const GONE: readonly (readonly [prefix: string, hint: string])[] = [
  ['/v1/policy/show/', "write '/v1/policy/describe/' or '/v1/policy/read/'"],
  ['/v1/policy/write/', POLICIES_ARE_HERE],
  ['/v1/policy/delete/', POLICIES_ARE_HERE],
  ['/v1/policy/assign/', POLICIES_ARE_HERE],
  ['/v1/identity/assign/', POLICIES_ARE_HERE],
  ['/v1/identity/forget/', POLICIES_ARE_HERE],
  ['/v1/identity/delete/', POLICIES_ARE_HERE],
  ['/v1/key/bulk/', "no bulk API is left: write '/v1/key/decrypt/'"],
  ['/v1/secret/', 'there are no secrets APIs'],
  ['/v1/enclave/', 'there are no enclaves'],
  ['/v1/log/audit/trace', "write '/v1/log/audit'"],
  ['/v1/log/error/trace', "write '/v1/log/error'"],
]

/** What to write instead of a pattern that matches nothing; `undefined` if it matches some API path. */
export function correctPattern(pattern: string): string | undefined {
  if (matchesSomeApi(pattern)) return undefined
  if (referencedVariable(pattern) !== undefined) return 'environment variables are not replaced in patterns'

  const gone = GONE.find(([prefix]) => pattern.startsWith(prefix))
  if (gone !== undefined) return gone[1]
  const meant = repair(pattern)
  if (meant !== undefined) return `write '${meant}'`
  if (/\*./.test(pattern)) return "only a '*' at the end matches anything: write one pattern for each API"
  if (/[?[\]{}\\]/.test(pattern)) return "only '*' at the end is special: write one pattern for each name"
  if (API_PATHS.some((path) => path.endsWith('/') && pattern.startsWith(path))) {
    return "names have 1 to 80 letters, digits, '-' and '_'"
  }
  const path = nearest(pattern.replace(/\*$/, ''), API_PATHS)
  if (path === undefined) return "patterns are API paths such as '/v1/key/create/my-app*'"
  return `write '${path.endsWith('/') ? `${path}*` : path}'`
}

/** Whether some request to an API of this server has a path that the pattern matches. */
export function matchesSomeApi(pattern: string): boolean {
  if (!pattern.endsWith('*')) return API_PATHS.some((path) => isRequest(path, pattern))
  const prefix = pattern.slice(0, -1)
  return API_PATHS.some((path) => path.startsWith(prefix) || isStartOfRequest(path, prefix))
}

function isRequest(path: ApiPath, text: string): boolean {
  if (!path.endsWith('/')) return text === path
  if (!text.startsWith(path)) return false
  const argument = text.slice(path.length)
  return takesPrefix(path) ? isListArgument(argument) : isName(argument)
}

/** Whether a request to `path` can start with `prefix`, which is longer than the path. */
function isStartOfRequest(path: ApiPath, prefix: string): boolean {
  if (!path.endsWith('/') || !prefix.startsWith(path)) return false
  const argument = prefix.slice(path.length)
  if (takesPrefix(path) && isListArgument(argument)) return true
  return isName(argument) || isName(`${argument}x`)
}

function takesPrefix(path: ApiPath): boolean {
  return path.endsWith('/list/')
}

function isListArgument(text: string): boolean {
  try {
    parseListPrefix(text)
    return true
  } catch {
    return false
  }
}

/** Common slips, mended one after the other until the pattern matches something. */
const REPAIRS: readonly ((pattern: string) => string)[] = [
  (pattern) => pattern.trim(),
  (pattern) => (pattern.startsWith('/') ? pattern : `/${pattern}`),
  (pattern) => pattern.replace(/\*+$/, '*'),
  (pattern) => {
    const path = API_PATHS.find((known) => pattern.toLowerCase().startsWith(known))
    return path === undefined ? pattern.toLowerCase() : path + pattern.slice(path.length)
  },
  (pattern) => (pattern.endsWith('/') ? `${pattern}*` : pattern),
  (pattern) => (pattern.endsWith('*') ? pattern : `${pattern}/*`),
]

function repair(pattern: string): string | undefined {
  let mended = pattern
  for (const mend of REPAIRS) {
    mended = mend(mended)
    if (mended !== '/*' && matchesSomeApi(mended)) return mended // `/*` is too much to propose.
  }
  return undefined
}
