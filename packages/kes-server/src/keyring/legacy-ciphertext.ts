/**
 * The two forms in which KES wrote ciphertexts before the present, raw one (see `ciphertext.ts`).
 *
 * JSON, first byte 0x7b, with base64 values; an `id` is allowed and ignored:
 *
 *     {"aead":"AES-256-GCM-HMAC-SHA-256"|"ChaCha20Poly1305","iv":16 bytes,"nonce":12 bytes,"bytes":C ‖ tag}
 *
 * MessagePack, first byte 0x95, an array of five:
 *
 *     str algorithm · str id · bin iv (16 bytes) · bin nonce (12 bytes) · bin C ‖ tag
 *
 * The algorithm must be one that the form knows, but the stored key alone decides which one is used.
 */
import { bytesField, fieldsOf, parseJson, textField } from '../encoding/json-fields.ts'
import { parseAlgorithm } from '../store/algorithm.ts'

const JSON_FIRST_BYTE = 0x7b // '{'
const JSON_ALGORITHMS: ReadonlySet<string | undefined> = new Set([
  'AES-256-GCM-HMAC-SHA-256',
  'ChaCha20Poly1305',
])
const MESSAGE_PACK_FIRST_BYTE = 0x95 // Array of five elements.
const IV_BYTES = 16
const NONCE_BYTES = 12

/**
 * `ciphertext` in the raw form, `C ‖ tag ‖ iv ‖ nonce`. What is of neither old form is returned as it is: it
 * may be a raw ciphertext that begins like one of them by chance.
 */
export function toRawCiphertext(ciphertext: Buffer): Buffer {
  const first = ciphertext[0]
  if (first === JSON_FIRST_BYTE) return readJson(ciphertext) ?? ciphertext
  if (first === MESSAGE_PACK_FIRST_BYTE) return readMessagePack(ciphertext) ?? ciphertext
  return ciphertext
}

function toRaw(
  iv: Buffer | undefined,
  nonce: Buffer | undefined,
  sealed: Buffer | undefined,
): Buffer | undefined {
  if (iv?.length !== IV_BYTES || nonce?.length !== NONCE_BYTES || sealed === undefined) return undefined
  return Buffer.concat([sealed, iv, nonce])
}

function readJson(ciphertext: Buffer): Buffer | undefined {
  const fields = fieldsOf(parseJson(ciphertext.toString('utf8'))?.value)
  if (fields === undefined || !JSON_ALGORITHMS.has(textField(fields, 'aead'))) return undefined
  if (textField(fields, 'id') === undefined) return undefined
  return toRaw(bytesField(fields, 'iv'), bytesField(fields, 'nonce'), bytesField(fields, 'bytes'))
}

function readMessagePack(ciphertext: Buffer): Buffer | undefined {
  let at = 1

  function take(length: number): Buffer | undefined {
    if (at + length > ciphertext.length) return undefined
    const bytes = ciphertext.subarray(at, at + length)
    at += length
    return bytes
  }

  function takeCounted(lengthBytes: number): Buffer | undefined {
    const length = take(lengthBytes)
    return length && take(length.readUIntBE(0, lengthBytes))
  }

  function str(): Buffer | undefined {
    const header = take(1)?.[0]
    if (header === undefined) return undefined
    if (header >= 0xa0 && header <= 0xbf) return take(header - 0xa0) // fixstr
    return header >= 0xd9 && header <= 0xdb ? takeCounted(2 ** (header - 0xd9)) : undefined // str 8, 16, 32
  }

  function bin(): Buffer | undefined {
    const header = take(1)?.[0]
    return header !== undefined && header >= 0xc4 && header <= 0xc6
      ? takeCounted(2 ** (header - 0xc4)) // bin 8, 16, 32
      : undefined
  }

  const algorithm = str()
  const id = str()
  const raw = toRaw(bin(), bin(), bin())
  const isWhole = at === ciphertext.length
  const isKnown = algorithm !== undefined && parseAlgorithm(algorithm.toString('latin1')) !== undefined
  return isKnown && id !== undefined && isWhole ? raw : undefined
}
