/**
 * Contexts: what a data key is bound to. A server authenticates the context's bytes and stores nothing of them, so
 * each reader must arrive at the same bytes as the writer: one canonical text for a map of strings.
 *
 *     { invoices: 'invoices/2026/1.pdf' }  →  {"invoices":"invoices/2026/1.pdf"}
 *
 * Names are sorted by their UTF-8 bytes; there is no white space; strings are escaped as MinIO's (Go) encoder does:
 *
 *     " and \                     \" \\
 *     LF, CR, TAB                 \n \r \t
 *     below 0x20, and < > &       \u00xx, lower case
 *     U+2028, U+2029              \u2028 \u2029
 *     a byte that is not UTF-8    \ufffd
 *     everything else             as it is, in UTF-8
 */
import { isUtf8 } from 'node:buffer'
import { posix } from 'node:path'

/** By name. Bytes stand for a text that may not be UTF-8, such as the name of an object. */
export type KmsContext = Readonly<Record<string, string | Uint8Array>>

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '\\"',
  '\\': '\\\\',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
}
/** The latter are control characters, U+2028 and U+2029. */
const ESCAPED = /["\\<>&]|[^ -\u2027\u202a-\uffff]/g
const SEQUENCE_BYTES_MAX = 4

/**
 * @returns the canonical text in UTF-8; `{}` for no context.
 * @throws TypeError if a string has a lone surrogate, which is no text.
 */
export function encodeContext(context: KmsContext | null | undefined): Buffer {
  const entries = Object.entries(context ?? {})
    .map(([name, value]) => ({ name: checkText(name), bytes: Buffer.from(name), value }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ name, value }) => `"${escapeText(name)}":"${escapeValue(value)}"`)
  return Buffer.from(`{${entries.join(',')}}`)
}

/**
 * The context of an object: what the user gave for it, and the object's path under the name of its bucket. A user's
 * own entry of that name stays.
 */
export function objectContext(bucket: string, object: string, userContext: KmsContext = {}): KmsContext {
  if (Object.hasOwn(userContext, bucket)) return userContext
  return { ...userContext, [bucket]: objectPath(bucket, object) }
}

/** `bucket/object` without empty, `.` and `..` segments, and without a slash at its end. */
export function objectPath(bucket: string, object: string): string {
  const path = posix.join(bucket, object)
  return path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path
}

function escapeValue(value: string | Uint8Array): string {
  if (typeof value === 'string') return escapeText(checkText(value))
  return isUtf8(value) ? escapeText(Buffer.from(value).toString()) : escapeBytes(Buffer.from(value))
}

function escapeText(text: string): string {
  return text.replaceAll(
    ESCAPED,
    (character) => ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function escapeBytes(bytes: Buffer): string {
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const sequence = sequenceAt(bytes, at)
    text += sequence === undefined ? '\\ufffd' : escapeText(sequence.toString())
    at += sequence?.length ?? 1
  }
  return text
}

/** The bytes of the one character that begins there; `undefined` if none does. */
function sequenceAt(bytes: Buffer, at: number): Buffer | undefined {
  for (let length = 1; length <= SEQUENCE_BYTES_MAX && at + length <= bytes.length; length++) {
    const sequence = bytes.subarray(at, at + length)
    if (isUtf8(sequence)) return sequence
  }
  return undefined
}

function checkText(text: string): string {
  if (!text.isWellFormed()) throw new TypeError('a context can not hold half of a surrogate pair')
  return text
}
