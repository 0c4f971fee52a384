/**
 * Data keys under a key that the process itself holds. The bytes are those of a KES key of type AES256:
 *
 *     offset  bytes  field
 *          0      n  AES-256-GCM ciphertext of the data key
 *          n     16  tag
 *     n + 16     16  iv: the cipher's key is HMAC-SHA-256(secret key, iv)
 *     n + 32     12  nonce
 *
 * The associated data is the canonical context. An older form is read too, JSON with base64 values:
 *
 *     {"aead":"AES-256-GCM-HMAC-SHA-256"|"ChaCha20Poly1305","id":…,"iv":16 bytes,"nonce":12 bytes,"bytes":C ‖ tag}
 */
import {
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  createHmac,
  type DecipherChaCha20Poly1305,
  type DecipherGCM,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { decodeBase64, InvalidBase64Error } from '../base64.ts'

const TAG_BYTES = 16
const IV_BYTES = 16
const NONCE_BYTES = 12
const TAG_LENGTH = { authTagLength: TAG_BYTES }

type Aead = 'AES-256-GCM-HMAC-SHA-256' | 'ChaCha20Poly1305'

interface Parts {
  readonly aead: Aead
  readonly iv: Buffer
  readonly nonce: Buffer
  /** Ciphertext and tag. */
  readonly sealed: Buffer
}

export function encryptDataKey(secretKey: KeyObject, dataKey: Uint8Array, context: Uint8Array): Buffer {
  const iv = randomBytes(IV_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  const cipher: CipherGCM = createCipheriv('aes-256-gcm', sealingKey(secretKey, iv), nonce)
  cipher.setAAD(context)
  return Buffer.concat([cipher.update(dataKey), cipher.final(), cipher.getAuthTag(), iv, nonce])
}

/** @returns `undefined` if the ciphertext was not made under this key and context, or was changed since. */
export function decryptDataKey(
  secretKey: KeyObject,
  ciphertext: Uint8Array,
  context: Uint8Array,
): Buffer | undefined {
  const { aead, iv, nonce, sealed } = parseJsonForm(ciphertext) ?? parseRawForm(ciphertext)
  if (iv.length !== IV_BYTES || nonce.length !== NONCE_BYTES || sealed.length < TAG_BYTES) return undefined
  const decipher: DecipherGCM | DecipherChaCha20Poly1305 =
    aead === 'ChaCha20Poly1305'
      ? createDecipheriv('chacha20-poly1305', hChaCha20(secretKey, iv), nonce, TAG_LENGTH)
      : createDecipheriv('aes-256-gcm', sealingKey(secretKey, iv), nonce, TAG_LENGTH)
  decipher.setAAD(context, { plaintextLength: sealed.length - TAG_BYTES })
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES))
  const plaintext = decipher.update(sealed.subarray(0, -TAG_BYTES))
  try {
    decipher.final()
    return plaintext
  } catch {
    plaintext.fill(0)
    return undefined
  }
}

function sealingKey(secretKey: KeyObject, iv: Uint8Array): Buffer {
  return createHmac('sha256', secretKey).update(iv).digest()
}

function parseRawForm(ciphertext: Uint8Array): Parts {
  const bytes = Buffer.from(ciphertext)
  const end = Math.max(0, bytes.length - IV_BYTES - NONCE_BYTES)
  return {
    aead: 'AES-256-GCM-HMAC-SHA-256',
    sealed: bytes.subarray(0, end),
    iv: bytes.subarray(end, end + IV_BYTES),
    nonce: bytes.subarray(end + IV_BYTES),
  }
}

/** `undefined` if it is of the raw form, which may begin like JSON by chance. */
function parseJsonForm(ciphertext: Uint8Array): Parts | undefined {
  if (ciphertext.at(0) !== 0x7b || ciphertext.at(-1) !== 0x7d) return undefined
  try {
    const { aead, iv, nonce, bytes } = JSON.parse(Buffer.from(ciphertext).toString('utf8'))
    if (aead !== 'AES-256-GCM-HMAC-SHA-256' && aead !== 'ChaCha20Poly1305') return undefined
    return { aead, iv: decodeBase64(iv), nonce: decodeBase64(nonce), sealed: decodeBase64(bytes) }
  } catch (error) {
    const isOther =
      error instanceof SyntaxError || error instanceof InvalidBase64Error || error instanceof TypeError
    if (!isOther) throw error
    return undefined
  }
}

const CHACHA20_CONSTANTS = Buffer.from('expand 32-byte k')

/**
 * HChaCha20 (draft-irtf-cfrg-xchacha-03, section 2.2), which OpenSSL does not have: words 0–3 and 12–15 of ChaCha20's
 * state after its rounds. A block of keystream is that state plus the one before the rounds, which in those words is
 * the constants and the iv.
 */
function hChaCha20(secretKey: KeyObject, iv: Buffer): Buffer {
  const before = Buffer.concat([CHACHA20_CONSTANTS, iv])
  const keystream = createCipheriv('chacha20', secretKey, iv).update(Buffer.alloc(64))
  const after = Buffer.concat([keystream.subarray(0, 16), keystream.subarray(48)])
  for (let at = 0; at < after.length; at += 4) {
    after.writeUInt32LE((after.readUInt32LE(at) - before.readUInt32LE(at)) >>> 0, at)
  }
  return after
}
