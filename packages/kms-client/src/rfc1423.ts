/**
 * Private keys in PEM that are encrypted under a password as RFC 1423 has it, the form in which KES writes and
 * reads them:
 *
 *     -----BEGIN PRIVATE KEY-----
 *     Proc-Type: 4,ENCRYPTED
 *     DEK-Info: AES-256-CBC,<IV, 32 hex digits>
 *
 *     base64( AES-256-CBC( PKCS #8 ) )
 *     -----END PRIVATE KEY-----
 *
 * The AES key comes from OpenSSL's EVP_BytesToKey with MD5, one pass, and the first 8 bytes of the IV as salt. That
 * is weak against guessing: it keeps a key from being read by accident, and no more than the password's own strength
 * keeps it from being read on purpose.
 */
import { createCipheriv, createHash, createPrivateKey, type KeyObject, randomBytes } from 'node:crypto'
import { KesClientError } from './errors.ts'

const IV_BYTES = 16
const SALT_BYTES = 8
const KEY_BYTES = 32
const LINE_CHARACTERS = 64
const PRIVATE_KEY = /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----.*?-----END (?:[A-Z0-9]+ )*PRIVATE KEY-----/s
const ENCRYPTED = /^Proc-Type: *4, *ENCRYPTED|^-----BEGIN ENCRYPTED PRIVATE KEY-----/m

export class IncorrectPasswordError extends KesClientError {
  override readonly name = 'IncorrectPasswordError'
  constructor() {
    super('incorrect password')
  }
}

/** The first private key of a PEM text that may hold certificates too; `undefined` if it holds none. */
export function findPrivateKeyPem(text: string): string | undefined {
  return PRIVATE_KEY.exec(text)?.[0]
}

/** Whether a password is needed: the key is encrypted as above, or within PKCS #8. */
export function isEncryptedPrivateKey(pem: string): boolean {
  return ENCRYPTED.test(pem)
}

/** @param privateKey - of any type; it is written as PKCS #8. */
export function encryptPrivateKey(privateKey: KeyObject, password: string): string {
  const iv = randomBytes(IV_BYTES)
  const key = deriveKey(password, iv.subarray(0, SALT_BYTES))
  const encoded = privateKey.export({ type: 'pkcs8', format: 'der' })
  try {
    const cipher = createCipheriv('aes-256-cbc', key, iv)
    const body = Buffer.concat([cipher.update(encoded), cipher.final()]).toString('base64')
    return [
      '-----BEGIN PRIVATE KEY-----',
      'Proc-Type: 4,ENCRYPTED',
      `DEK-Info: AES-256-CBC,${iv.toString('hex')}`,
      '',
      ...(body.match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []),
      '-----END PRIVATE KEY-----',
      '',
    ].join('\n')
  } finally {
    key.fill(0)
    encoded.fill(0)
  }
}

/**
 * CBC has no check of its own: a wrong password shows in the padding, or else in what then is no private key. Damage
 * behind the first 16 bytes can give another key; its public half then does not fit the certificate.
 *
 * @param pem - an encrypted private key, whichever way it is encrypted.
 * @throws {@link IncorrectPasswordError}, also if the text is damaged: the two can't be told apart.
 */
export function decryptPrivateKey(pem: string, password: string): KeyObject {
  try {
    return createPrivateKey({ key: pem, passphrase: password })
  } catch {
    throw new IncorrectPasswordError()
  }
}

/** EVP_BytesToKey, openssl(3): each block is the MD5 of the one before, the password and the salt. */
function deriveKey(password: string, salt: Uint8Array): Buffer {
  const blocks: Buffer[] = []
  for (let bytes = 0; bytes < KEY_BYTES; bytes += 16) {
    const hash = createHash('md5').update(blocks.at(-1) ?? Buffer.alloc(0))
    blocks.push(hash.update(password, 'utf8').update(salt).digest())
  }
  return Buffer.concat(blocks)
}
