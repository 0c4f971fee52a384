/**
 * `GET /v1/key/list/<prefix>`: names, or with `?details=true` descriptions, in the order of their bytes.
 *
 * KES gives 1024 names a page and the next name as `continue_at`, which its clients send back as the new
 * prefix, so that all further names are lost. Here a page holds what KES's clients can take in one reply, and
 * `continue_at` is `<prefix>*<last name>`: no valid pattern of KES, so it can't be mistaken for a prefix.
 */
import { InvalidPatternError } from '../errors.ts'
import type { KeyRing } from '../keyring/key-ring.ts'
import { isName, parseListPrefix } from '../names.ts'
import { keyDocument } from './describe-key.ts'

/** KES's clients read at most 1 MiB of a reply; a name takes up to 83 bytes of it, a description up to 600. */
const NAMES_MAX = 12_000
const DETAILS_MAX = 1_000

export interface ListArgument {
  readonly prefix: string
  /** The last name of the page before; undefined for the first page. */
  readonly after: string | undefined
}

/** @throws {@link InvalidPatternError} (400) */
export function parseListArgument(text: string): ListArgument {
  const star = text.indexOf('*')
  if (star < 0 || star === text.length - 1) return { prefix: parseListPrefix(text), after: undefined }
  const prefix = text.slice(0, star)
  const after = text.slice(star + 1)
  if (!isName(after)) throw new InvalidPatternError(text)
  try {
    return { prefix: parseListPrefix(`${prefix}*`), after }
  } catch {
    throw new InvalidPatternError(text)
  }
}

function continueAt(prefix: string, last: string | undefined, isWhole: boolean) {
  return isWhole ? {} : { continue_at: `${prefix}*${last}` }
}

export function listKeys(ring: KeyRing, { prefix, after }: ListArgument) {
  const found = ring.names(prefix, after, NAMES_MAX + 1)
  const names = found.slice(0, NAMES_MAX)
  return { names, ...continueAt(prefix, names.at(-1), found.length <= NAMES_MAX) }
}

export function listKeyDetails(ring: KeyRing, { prefix, after }: ListArgument) {
  const found = ring.descriptions(prefix, after, DETAILS_MAX + 1)
  const keys = found.slice(0, DETAILS_MAX)
  return {
    keys: keys.map(keyDocument),
    ...continueAt(prefix, keys.at(-1)?.name, found.length <= DETAILS_MAX),
  }
}
