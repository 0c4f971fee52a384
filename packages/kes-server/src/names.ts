/**
 * Names of keys and policies, identities, and the argument of a listing, as KES validates them.
 *
 * A name has 1 to 80 bytes of `0-9 A-Z a-z - _`; `-` stands neither first nor last, and `_` alone is no name.
 * Identities follow the same rule: a policy may name one that is not 64 hex digits.
 */
import { InvalidNameError, InvalidPatternError } from './errors.ts'

declare const brand: unique symbol
export type KeyName = string & { readonly [brand]: 'KeyName' }
export type PolicyName = string & { readonly [brand]: 'PolicyName' }
/** Usually 64 lower-case hex digits: SHA-256 of the client certificate's SubjectPublicKeyInfo. */
export type Identity = string & { readonly [brand]: 'Identity' }

const NAME_BYTES_MAX = 80
const NAME = /^[0-9A-Za-z_](?:[0-9A-Za-z_-]*[0-9A-Za-z_])?$/

/** As a hint tells it. */
export const NAME_RULE = "write 1 to 80 letters, digits, '-' and '_', with a '-' at neither end"

export function isName(text: string): boolean {
  return text.length <= NAME_BYTES_MAX && text !== '_' && NAME.test(text)
}

/** @throws {@link InvalidNameError} (400) */
export function parseKeyName(text: string): KeyName {
  if (!isName(text)) throw new InvalidNameError('key name', text)
  return text as KeyName
}

/** @throws {@link InvalidNameError} (400) */
export function parsePolicyName(text: string): PolicyName {
  if (!isName(text)) throw new InvalidNameError('policy name', text)
  return text as PolicyName
}

/** @throws {@link InvalidNameError} (400) */
export function parseIdentity(text: string): Identity {
  if (!isName(text)) throw new InvalidNameError('identity', text)
  return text as Identity
}

const HEX_IDENTITY = /^[0-9A-Fa-f]{64}$/

/** Whether a text can be the identity of a certificate. */
export function isHexIdentity(text: string): boolean {
  return HEX_IDENTITY.test(text)
}

/**
 * The spelling of an identity that the server computes, so that upper-case digits in a config match. (In KES they
 * match nothing.) Other texts stay as they are.
 */
export function normalizeIdentity(text: string): Identity {
  return (isHexIdentity(text) ? text.toLowerCase() : text) as Identity
}

const PREFIX = /^(?:[0-9A-Za-z_][0-9A-Za-z_-]*)?$/

/**
 * The prefix that a listing's argument asks for: the argument without one `*` at its end.
 *
 * @throws {@link InvalidPatternError} (400) if it has over 80 bytes, is `_` alone, ends in `-`, or holds
 *   what no name may hold.
 */
export function parseListPrefix(text: string): string {
  const prefix = text.endsWith('*') ? text.slice(0, -1) : text
  const isWhole = prefix.length === text.length
  if (text.length > NAME_BYTES_MAX || !PREFIX.test(prefix)) throw new InvalidPatternError(text)
  if (isWhole && (prefix === '_' || prefix.endsWith('-'))) throw new InvalidPatternError(text)
  return prefix
}
