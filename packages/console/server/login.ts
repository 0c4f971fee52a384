/**
 * Who logs in: whoever signs the console's nonce and its origin with the Ed25519 key of an API key. The key itself
 * stays in the page.
 *
 * The origin is signed so that a page of another site, which may have a nonce of this console, gets no signature that
 * is good here.
 */
import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'

const RAW_KEY_BYTES = 32
const SIGNATURE_BYTES = 64
/** SubjectPublicKeyInfo of an Ed25519 key, before the key's own 32 bytes (RFC 8410, section 4). */
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex')

/** What the page signs. */
export function loginMessage(origin: string, nonce: string): string {
  return `latchkey console login v1\n${origin}\n${nonce}\n`
}

/**
 * @param publicKey - base64, of the raw key or of its SubjectPublicKeyInfo.
 * @param signature - base64.
 * @returns the identity: the SHA-256 of the SubjectPublicKeyInfo, as the certificate of an API key has it. Undefined if
 *   the key has not signed this.
 */
export function identityOfSigner(message: string, publicKey: string, signature: string): string | undefined {
  const bytes = Buffer.from(publicKey, 'base64')
  const isRaw = bytes.length === RAW_KEY_BYTES
  const spki = isRaw ? Buffer.concat([SPKI_PREFIX, bytes]) : bytes
  if (spki.length !== SPKI_PREFIX.length + RAW_KEY_BYTES || !spki.subarray(0, 12).equals(SPKI_PREFIX))
    return undefined
  const signed = Buffer.from(signature, 'base64')
  const key = importKey(spki)
  if (key === undefined || signed.length !== SIGNATURE_BYTES) return undefined
  if (!verify(null, Buffer.from(message), key, signed)) return undefined
  return createHash('sha256').update(spki).digest('hex')
}

function importKey(spki: Buffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch {
    return undefined // No point of the curve.
  }
}
