/**
 * API keys, as `kes identity new` prints them.
 *
 *     'kes:v1:' base64( offset  bytes  field
 *                            0      1  key type, 0x00 = Ed25519
 *                            1     32  seed of the private key )
 */

const PREFIX = 'kes:v1:'
const TYPE_ED25519 = 0
const SEED_BYTES = 32

/** The text is no API key. The message repeats nothing of it. */
export class InvalidApiKeyError extends Error {
  override readonly name = 'InvalidApiKeyError'
}

/**
 * @param text - with or without `kes:v1:`; white space around it is ignored, as it comes along with a paste.
 * @returns 32 bytes, which the caller overwrites.
 * @throws {@link InvalidApiKeyError}
 */
export function parseApiKey(text: string): Uint8Array<ArrayBuffer> {
  const trimmed = text.trim()
  const encoded = trimmed.startsWith(PREFIX) ? trimmed.slice(PREFIX.length) : trimmed
  const bytes = decode(encoded)
  try {
    if (bytes.length !== 1 + SEED_BYTES) {
      throw new InvalidApiKeyError('This is not an API key: its length is not that of one.')
    }
    if (bytes[0] !== TYPE_ED25519)
      throw new InvalidApiKeyError('This API key is of a type that is not known.')
    return bytes.slice(1)
  } finally {
    bytes.fill(0)
  }
}

function decode(encoded: string): Uint8Array<ArrayBuffer> {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(encoded)) {
    throw new InvalidApiKeyError(`This is not an API key: those read ${PREFIX} and 44 characters.`)
  }
  try {
    return Uint8Array.from(atob(encoded), (character) => character.charCodeAt(0))
  } catch {
    throw new InvalidApiKeyError('This is not an API key: its end is missing.')
  }
}
