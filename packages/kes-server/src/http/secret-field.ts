/**
 * Takes the bytes of a key out of a JSON body without making a JavaScript string of them: a string can't be wiped, and
 * stays in memory until the collector happens to need its place.
 */
import { readBase64 } from '../encoding/base64.ts'

const [QUOTE, BACKSLASH, COMMA, COLON] = [0x22, 0x5c, 0x2c, 0x3a]
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d]
const SPACE = 0x20
const WHITE_SPACE: readonly number[] = [SPACE, 0x09, 0x0a, 0x0d]

/** Of a string's content: from, and before. */
interface Span {
  readonly start: number
  readonly end: number
}

/**
 * Reads a field of base64, and overwrites it in the body with spaces. Of a field that stands there twice the last one
 * counts.
 *
 * @param name - in lower case; the body may have it in any.
 * @returns undefined if the body is not written as almost everybody writes it: the field is not there or no string, there
 *   are escapes other than `\/`, or it is no base64, or no JSON. The body is unchanged then, and for others to judge.
 */
export function takeSecretField(body: Buffer, name: string): Buffer | undefined {
  const spans = findStrings(body, name)
  const last = spans?.at(-1)
  if (spans === undefined || last === undefined) return undefined
  const secret = readBase64(body.subarray(last.start, last.end))
  if (secret !== undefined) for (const { start, end } of spans) body.fill(SPACE, start, end)
  return secret
}

/** @returns undefined if the body, or a field of this name, is something else. */
function findStrings(body: Buffer, name: string): Span[] | undefined {
  const spans: Span[] = []
  let at = skipWhiteSpace(body, 0)
  if (body[at] !== OPEN_BRACE) return undefined
  at = skipWhiteSpace(body, at + 1)
  while (body[at] === QUOTE) {
    const nameEnd = endOfString(body, at)
    const found = body.toString('utf8', at + 1, nameEnd)
    at = skipWhiteSpace(body, nameEnd + 1)
    if (found.includes('\\') || body[at] !== COLON) return undefined
    at = skipWhiteSpace(body, at + 1)
    const valueEnd = endOfValue(body, at)
    if (found.toLowerCase() === name) {
      if (body[at] !== QUOTE) return undefined
      spans.push({ start: at + 1, end: valueEnd - 1 })
    }
    at = skipWhiteSpace(body, valueEnd)
    if (body[at] === CLOSE_BRACE) return spans
    if (body[at] !== COMMA) return undefined
    at = skipWhiteSpace(body, at + 1)
  }
  return undefined
}

function skipWhiteSpace(body: Buffer, from: number): number {
  let at = from
  while (WHITE_SPACE.includes(body[at] ?? 0)) at += 1
  return at
}

/** @returns where the quote at the end stands; the length of the body if there is none. */
function endOfString(body: Buffer, start: number): number {
  let at = start + 1
  while (at < body.length && body[at] !== QUOTE) at += body[at] === BACKSLASH ? 2 : 1
  return Math.min(at, body.length)
}

/** @returns the place behind the value, by its brackets and quotes alone. */
function endOfValue(body: Buffer, start: number): number {
  let depth = 0
  for (let at = start; at < body.length; at += 1) {
    const byte = body[at]
    if (byte === QUOTE) at = endOfString(body, at)
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) depth -= 1
    if (depth < 0 || (depth === 0 && byte === COMMA)) return at
    if (depth === 0 && (byte === QUOTE || byte === CLOSE_BRACE || byte === CLOSE_BRACKET)) return at + 1
  }
  return body.length
}
