/** Reply bodies, byte for byte as Go's JSON encoder writes them: one document and a newline. */
import { writeBase64 } from '../encoding/base64.ts'
import type { KesError } from '../errors.ts'

const ESCAPES: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
}

/** JSON text in which `<`, `>`, `&`, U+2028 and U+2029 are escaped; they stand only inside strings. */
export function goJson(value: unknown): string {
  return JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, (found) => ESCAPES[found] ?? found)
}

export function jsonReply(value: unknown): Buffer {
  return Buffer.from(`${goJson(value)}\n`)
}

/** The body of an error. KES puts a newline before the closing brace and none after it; `code` is ours. */
export function errorReply(error: KesError): Buffer {
  return Buffer.from(`{"message":${goJson(error.message)},"code":"${error.code}"\n}`)
}

/** `{"name":"`, once encoded, by name: every reply of an API has the same. */
const openings = new Map<string, Buffer>()

function openingOf(name: string): Buffer {
  let opening = openings.get(name)
  if (opening === undefined) {
    opening = Buffer.from(`{"${name}":"`)
    openings.set(name, opening)
  }
  return opening
}

const [COMMA, QUOTE, CLOSING_BRACE, NEWLINE] = [0x2c, 0x22, 0x7d, 0x0a]

/**
 * A JSON object of byte fields, written into one buffer. No string of the bytes is made: a JavaScript string
 * can't be wiped, and a data key in plaintext is among these fields.
 *
 * @param fields - names (plain ASCII, few) and bytes, in the order of the reply.
 */
export function bytesReply(...fields: readonly (readonly [name: string, bytes: Uint8Array])[]): Buffer {
  let length = 2 // The closing brace and the newline; each field has its opening and a quote.
  for (const [name, bytes] of fields) length += name.length + 6 + 4 * Math.ceil(bytes.length / 3)
  const reply = Buffer.allocUnsafe(length)
  let at = 0
  for (const [name, bytes] of fields) {
    const opening = openingOf(name)
    reply.set(opening, at)
    if (at > 0) reply[at] = COMMA
    at = writeBase64(bytes, reply, at + opening.length)
    reply[at] = QUOTE
    at += 1
  }
  reply[at] = CLOSING_BRACE
  reply[at + 1] = NEWLINE
  return reply
}
