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

/**
 * A JSON object of byte fields, written into one buffer. No string of the bytes is made: a JavaScript string
 * can't be wiped, and a data key in plaintext is among these fields.
 *
 * @param fields - names (plain ASCII) and bytes, in the order of the reply.
 */
export function bytesReply(...fields: readonly (readonly [name: string, bytes: Uint8Array])[]): Buffer {
  let length = 2 // The opening brace and the final newline; a comma or the closing brace ends each field.
  for (const [name, bytes] of fields) length += name.length + 6 + 4 * Math.ceil(bytes.length / 3)
  const reply = Buffer.allocUnsafe(length)
  let at = reply.write('{', 0, 'latin1')
  for (const [index, [name, bytes]] of fields.entries()) {
    at += reply.write(index === 0 ? `"${name}":"` : `,"${name}":"`, at, 'latin1')
    at = writeBase64(bytes, reply, at)
    at += reply.write('"', at, 'latin1')
  }
  reply.write('}\n', at, 'latin1')
  return reply
}
