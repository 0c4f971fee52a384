/** Percent-encoding as AWS defines it for signatures, and reading it back. */

/** `A-Z a-z 0-9 - . _ ~`; the slash stays in paths. */
const UNRESERVED = new Set(
  Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~', 'latin1'),
)
const SLASH = 0x2f
const HEX = '0123456789ABCDEF'

/**
 * Each byte of the text's UTF-8 but the unreserved ones as `%XX`.
 *
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
 */
export function encodeUri(text: string, { keepSlash }: { readonly keepSlash: boolean }): string {
  if (/^[A-Za-z0-9._~-]*$/.test(text)) return text
  let encoded = ''
  for (const byte of Buffer.from(text)) {
    encoded +=
      UNRESERVED.has(byte) || (keepSlash && byte === SLASH)
        ? String.fromCharCode(byte)
        : `%${HEX[byte >> 4]}${HEX[byte & 15]}`
  }
  return encoded
}

/** @returns undefined if an escape is malformed or the bytes are not UTF-8. */
export function decodeUri(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/**
 * Names and values in the order in which they came, decoded; `+` is a space, as in every query.
 *
 * @returns undefined if an escape is malformed.
 */
export function decodeQuery(query: string): [name: string, value: string][] | undefined {
  const pairs: [string, string][] = []
  for (const part of query.split('&')) {
    if (part === '') continue
    const at = part.indexOf('=')
    const name = decodeUri((at < 0 ? part : part.slice(0, at)).replaceAll('+', ' '))
    const value = decodeUri(at < 0 ? '' : part.slice(at + 1).replaceAll('+', ' '))
    if (name === undefined || value === undefined) return undefined
    pairs.push([name, value])
  }
  return pairs
}
