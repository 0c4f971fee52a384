/** The header that carries a client's context: base64 of a JSON object of strings. */
import { EncryptionHeaderError } from './errors.ts'
import type { UserContext } from './metadata.ts'

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/

/** @throws {@link EncryptionHeaderError} with the texts of MinIO's decoders where they are simple to tell. */
export function parseContext(header: string | undefined): UserContext {
  if (header === undefined) return {}
  const json = decode(header)
  const value = parseJson(json)
  if (value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value)) {
    throw unexpected(json, json.search(/\S/), 'ReadMapCB: expect { or n')
  }
  const context: Record<string, string> = Object.create(null)
  for (const [name, entry] of Object.entries(value)) {
    if (typeof entry !== 'string' && entry !== null) {
      throw unexpected(json, offsetOfFirstWrongValue(json), 'ReadString: expects " or n')
    }
    context[name.toWellFormed()] = (entry ?? '').toWellFormed()
  }
  return context
}

function decode(header: string): string {
  const text = header.replaceAll(/[\r\n]/g, '')
  const wrongAt = text.search(/[^A-Za-z0-9+/=]/)
  if (!BASE64.test(text) || text.length % 4 !== 0) {
    throw new EncryptionHeaderError(`illegal base64 data at input byte ${Math.max(0, wrongAt)}`)
  }
  return Buffer.from(text, 'base64').toString()
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    const start = json.search(/\S/)
    if (start >= 0 && !/[{n]/.test(json.charAt(start))) {
      throw unexpected(json, start, 'ReadMapCB: expect { or n')
    }
    throw new EncryptionHeaderError('the encryption context is not a JSON object of strings')
  }
}

const ENTRY_START = /[\s{,]*"(?:[^"\\]|\\.)*"\s*:\s*/y
const STRING_OR_NULL = /"(?:[^"\\]|\\.)*"|null/y

/** Of JSON that is an object with at least one value that is neither a string nor null. */
function offsetOfFirstWrongValue(json: string): number {
  let at = 0
  for (;;) {
    ENTRY_START.lastIndex = at
    if (!ENTRY_START.test(json)) return at
    STRING_OR_NULL.lastIndex = ENTRY_START.lastIndex
    if (!STRING_OR_NULL.test(json)) return ENTRY_START.lastIndex
    at = STRING_OR_NULL.lastIndex
  }
}

/** MinIO's JSON decoder names the character, and shows 10 and 50 bytes on either side of it. */
function unexpected(json: string, at: number, expected: string): EncryptionHeaderError {
  const bytes = Buffer.from(json)
  const head = Buffer.byteLength(json.slice(0, at)) + 1
  const around = (width: number) => bytes.subarray(Math.max(0, head - width), head + width).toString()
  return new EncryptionHeaderError(
    `${expected}, but found ${json.charAt(at)}, error found in #${Math.min(head, 10)} byte of ` +
      `...|${around(10)}|..., bigger context ...|${around(50)}|...`,
  )
}
