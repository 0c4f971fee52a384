/**
 * Base64 as KES reads and writes it: RFC 4648 section 4, standard alphabet, padded. As in Go's
 * `base64.StdEncoding`, line breaks (CR, LF) may stand anywhere and unused bits at the end need not be zero;
 * anything else that is not canonical is refused.
 */

import { allocSecret } from './secret-bytes.ts'

/** Node decodes these as well: the URL-safe alphabet, and wide characters by their low byte. */
const DECODED_BY_NODE_ALONE = /[-_\u0100-\uffff]/
const LINE_BREAKS = /[\r\n]+/g
const PADDING = 0x3d // '='

/** The bytes that `text` encodes, or undefined if it is not base64. */
export function decodeBase64(text: string): Buffer | undefined {
  const bytes = decodeUnbroken(text)
  if (bytes !== undefined) return bytes
  const unbroken = text.replace(LINE_BREAKS, '')
  return unbroken.length === text.length ? undefined : decodeUnbroken(unbroken)
}

/** Node skips what it can't decode, so only text without such characters fills its whole length. */
function decodeUnbroken(text: string): Buffer | undefined {
  const { length } = text
  if (length === 0) return Buffer.alloc(0)
  if (length % 4 !== 0 || DECODED_BY_NODE_ALONE.test(text)) return undefined
  const paddingLength =
    text.charCodeAt(length - 1) !== PADDING ? 0 : text.charCodeAt(length - 2) !== PADDING ? 1 : 2
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === (length / 4) * 3 - paddingLength ? bytes : undefined
}

const BASE64_CHARACTER = /[A-Za-z0-9+/]/

/**
 * Where Go says `text` stops being base64: N of its "illegal base64 data at input byte N", or -1 if it is
 * base64. For log lines about text that {@link decodeBase64} refused.
 *
 * An illegal character is reported where it stands; text that ends too early where its last, incomplete group
 * of four began (line breaks not counted), or at its end if only the second `=` is missing.
 */
export function findIllegalBase64Offset(text: string): number {
  let groupLength = 0
  for (let at = 0; at < text.length; at += 1) {
    const character = text.charAt(at)
    if (isLineBreak(character)) continue
    if (character === '=') return findIllegalAfterPadding(text, at, groupLength)
    if (!BASE64_CHARACTER.test(character)) return at
    groupLength = (groupLength + 1) % 4
  }
  return groupLength === 0 ? -1 : text.length - groupLength
}

function findIllegalAfterPadding(text: string, first: number, groupLength: number): number {
  if (groupLength < 2) return first
  let at = skipLineBreaks(text, first + 1)
  if (groupLength === 2) {
    if (at === text.length) return text.length
    if (text.charAt(at) !== '=') return at - 1
    at = skipLineBreaks(text, at + 1)
  }
  return at === text.length ? -1 : at
}

function skipLineBreaks(text: string, from: number): number {
  let at = from
  while (isLineBreak(text.charAt(at))) at += 1
  return at
}

function isLineBreak(character: string): boolean {
  return character === '\n' || character === '\r'
}

/**
 * Writes `source` as base64 into `target` and returns the offset behind it.
 *
 * No JavaScript string is made: strings can't be wiped, and what is written may be a data key. For the same
 * reason the characters are computed rather than looked up in a table, whose cache lines would tell.
 *
 * @param target - at least `offset + 4 * ceil(source.length / 3)` bytes long.
 * @throws RangeError if it is shorter.
 */
export function writeBase64(source: Uint8Array, target: Buffer, offset: number): number {
  const end = offset + 4 * Math.ceil(source.length / 3)
  if (end > target.length) throw new RangeError('base64 does not fit into the target')
  let to = offset
  for (let from = 0; from < source.length; from += 3) {
    const group = (byteAt(source, from) << 16) | (byteAt(source, from + 1) << 8) | byteAt(source, from + 2)
    target[to] = characterOf(group >> 18)
    target[to + 1] = characterOf((group >> 12) & 63)
    target[to + 2] = characterOf((group >> 6) & 63)
    target[to + 3] = characterOf(group & 63)
    to += 4
  }
  const missing = (3 - (source.length % 3)) % 3
  target.fill(PADDING, end - missing, end)
  return end
}

function byteAt(source: Uint8Array, at: number): number {
  return at < source.length ? (source[at] ?? 0) : 0
}

/** 0–25 → A–Z, 26–51 → a–z, 52–61 → 0–9, 62 → +, 63 → /: each step at a range's end is a masked addition. */
function characterOf(sextet: number): number {
  return (
    sextet +
    65 +
    (((25 - sextet) >> 8) & 6) -
    (((51 - sextet) >> 8) & 75) -
    (((61 - sextet) >> 8) & 15) +
    (((62 - sextet) >> 8) & 3)
  )
}

const BACKSLASH = 0x5c
const SLASH = 0x2f

/**
 * Decodes base64 that stands in a JSON string, where a `/` may be written as `\/`. For bytes of keys: no JavaScript
 * string is made on the way, and the characters are not looked up in a table.
 *
 * @returns what {@link decodeBase64} gives for the same text, but undefined where there are line breaks.
 */
export function readBase64(source: Uint8Array): Buffer | undefined {
  const target = allocSecret(Math.ceil((source.length / 4) * 3))
  let group = 0
  let sextets = 0
  let bytes = 0
  let from = 0
  for (; from < source.length && source[from] !== PADDING; from += 1) {
    if (source[from] === BACKSLASH && source[from + 1] === SLASH) from += 1
    const sextet = sextetOf(source[from] ?? 0)
    if (sextet < 0) break
    group = (group << 6) | sextet
    sextets += 1
    if (sextets % 4 !== 0) continue
    target.writeUIntBE(group, bytes, 3)
    bytes += 3
    group = 0
  }
  const left = sextets % 4
  const padding = left === 0 ? 0 : 4 - left
  const isWhole = left !== 1 && from + padding === source.length && isPadding(source, from)
  if (!isWhole) {
    target.fill(0)
    return undefined
  }
  if (left > 1) target[bytes] = (group >> (left === 2 ? 4 : 10)) & 0xff
  if (left === 3) target[bytes + 1] = (group >> 2) & 0xff
  return target.subarray(0, bytes + Math.max(0, left - 1))
}

function isPadding(source: Uint8Array, from: number): boolean {
  return source.subarray(from).every((byte) => byte === PADDING)
}

/** The inverse of {@link characterOf}: each range's test is a mask. @returns -1 for what is no character of base64. */
function sextetOf(character: number): number {
  const inRange = (first: number, last: number) => ((first - 1 - character) & (character - last - 1)) >> 8
  return (
    -1 +
    (inRange(65, 90) & (character - 64)) +
    (inRange(97, 122) & (character - 70)) +
    (inRange(48, 57) & (character + 5)) +
    (inRange(43, 43) & 63) +
    (inRange(47, 47) & 64)
  )
}
