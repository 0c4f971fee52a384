/**
 * Request bodies, read as tolerantly as KES reads them: the fields as in `encoding/json-fields.ts`, and whatever
 * follows the first JSON value is ignored.
 */
import { bytesField, fieldsOf, parseJson, textField } from '../encoding/json-fields.ts'

/** Thrown for every body that KES can't read; the route turns it into its own 400. Quotes nothing of the body. */
export class MalformedBodyError extends Error {
  override readonly name = 'MalformedBodyError'
}

export type FieldKind = 'bytes' | 'string'
export type Fields<Shape extends Record<string, FieldKind>> = {
  readonly [Name in keyof Shape]: Shape[Name] extends 'bytes' ? Buffer : string
}

/**
 * Reads the named fields out of a JSON object. A field that is absent or null is empty.
 *
 * @param shape - field names in lower case, each with its kind.
 * @throws {@link MalformedBodyError} if there is no complete JSON value, it is neither object nor null, or a
 *   named field, or `version`, has the wrong type.
 */
export function parseFields<Shape extends Record<string, FieldKind>>(
  body: Buffer,
  shape: Shape,
): Fields<Shape> {
  const json = parseFirstValue(body.toString('utf8'))
  if (json === undefined) throw new MalformedBodyError('the body does not begin with a JSON value')
  const found = fieldsOf(json.value)
  if (found === undefined) throw new MalformedBodyError('the body is not a JSON object')
  // KES has this field in every request; it means nothing, but it must be a string.
  if (textField(found, 'version') === undefined) throw new MalformedBodyError("field 'version' is no string")

  const fields: Record<string, Buffer | string> = {}
  for (const name in shape) {
    const value = shape[name] === 'bytes' ? bytesField(found, name) : textField(found, name)
    if (value === undefined) {
      const expected = shape[name] === 'bytes' ? 'standard base64 with padding' : 'a string'
      throw new MalformedBodyError(`field '${name}' is not ${expected}`)
    }
    fields[name] = value
  }
  return fields as Fields<Shape>
}

function parseFirstValue(text: string): ReturnType<typeof parseJson> {
  return parseJson(text) ?? parseJson(text.slice(0, endOfFirstValue(text)))
}

/** Where the first value ends, or the end of the text; only `JSON.parse` says whether it is valid. */
function endOfFirstValue(text: string): number {
  const start = text.search(/[^ \t\r\n]/)
  if (text.startsWith('null', start)) return start + 4
  const first = text[start]
  if (first !== '{' && first !== '[' && first !== '"') {
    const rest = text.slice(start).search(/[\s,\]}{["]/)
    return rest < 0 ? text.length : start + rest
  }
  let depth = 0
  let isInString = false
  for (let at = start; at < text.length; at += 1) {
    const char = text[at]
    if (isInString) {
      if (char === '\\') at += 1
      else if (char === '"') isInString = false
    } else if (char === '"') isInString = true
    else if (char === '{' || char === '[') depth += 1
    else if (char === '}' || char === ']') depth -= 1
    if (depth === 0 && !isInString) return at + 1
  }
  return text.length
}
