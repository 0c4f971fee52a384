/**
 * The fields of a JSON object as Go reads them into a struct: names match in any case, unknown fields are
 * ignored, `null` is the zero value, bytes are base64 or an array of numbers.
 */
import { decodeBase64 } from './base64.ts'

export type JsonFields = ReadonlyMap<string, unknown> // By lower-case name.

/**
 * The value of a JSON text, in an object of its own to tell `null` from no JSON at all.
 *
 * @returns undefined if `text` is not JSON. The reason is not kept: it quotes the text, which may hold a key.
 */
export function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) }
  } catch {
    return undefined
  }
}

/** @returns undefined if `value` is neither an object nor null. */
export function fieldsOf(value: unknown): JsonFields | undefined {
  if (typeof value !== 'object' || Array.isArray(value)) return undefined
  const fields = new Map<string, unknown>()
  for (const name in value) fields.set(name.toLowerCase(), Reflect.get(value, name))
  return fields
}

/** @returns '' for a field that is absent or null; undefined if it is not a string. */
export function textField(fields: JsonFields, name: string): string | undefined {
  const value = fields.get(name) ?? ''
  return typeof value === 'string' ? value : undefined
}

/**
 * @returns no bytes for a field that is absent or null; undefined if it is neither base64 nor bytes in an
 *   array.
 */
export function bytesField(fields: JsonFields, name: string): Buffer | undefined {
  const value = fields.get(name) ?? ''
  if (typeof value === 'string') return decodeBase64(value)
  return Array.isArray(value) && value.every(isByte) ? Buffer.from(value.map(Number)) : undefined
}

/** Null is 0, as everywhere. */
function isByte(element: unknown): element is number | null {
  return element === null || (Number.isInteger(element) && Number(element) >= 0 && Number(element) <= 255)
}
