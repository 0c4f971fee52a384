/**
 * Identities: what a key server knows its callers by.
 *
 * An identity is the lower-case hex SHA-256 of the DER encoding of a SubjectPublicKeyInfo, 64 characters. Subject,
 * serial number and validity of a certificate don't matter, so a renewed one with the same key keeps its identity.
 */
import { createPublicKey, hash, type KeyObject, X509Certificate } from 'node:crypto'

const SEQUENCE = 0x30
const VERSION = 0xa0 // [0] EXPLICIT, absent in X.509 v1
/** Serial number, signature algorithm, issuer, validity and subject stand before the public key. */
const FIELDS_BEFORE_PUBLIC_KEY = 5

/** @param key - a public key, or a private one, whose public half counts. */
export function identityOfPublicKey(key: KeyObject): string {
  const publicKey = key.type === 'private' ? createPublicKey(key) : key
  return hash('sha256', publicKey.export({ type: 'spki', format: 'der' }), 'hex')
}

/**
 * @param certificate - one certificate, as PEM or DER. Of several in a PEM text the first one counts.
 * @throws the error of `node:crypto` if it is not a certificate.
 */
export function identityOfCertificate(certificate: string | Uint8Array | X509Certificate): string {
  const { raw } = certificate instanceof X509Certificate ? certificate : new X509Certificate(certificate)
  return hash('sha256', publicKeyInfoOf(raw), 'hex')
}

/**
 * The bytes of the SubjectPublicKeyInfo as the certificate has them (RFC 5280, section 4.1). Exporting the parsed
 * public key would encode it anew, and a key with unusual parameters would get another identity.
 *
 * @param certificate - DER, parsed by OpenSSL before, so lengths are known to be sound.
 */
function publicKeyInfoOf(certificate: Buffer): Buffer {
  const signed = contentOf(certificate, contentOf(certificate, 0, SEQUENCE).start, SEQUENCE)
  let offset = signed.start
  if (certificate[offset] === VERSION) offset = contentOf(certificate, offset, VERSION).end
  for (let field = 0; field < FIELDS_BEFORE_PUBLIC_KEY; field++) offset = contentOf(certificate, offset).end
  return certificate.subarray(offset, contentOf(certificate, offset, SEQUENCE).end)
}

/** Where the content of the DER element at `offset` starts and ends. */
function contentOf(der: Buffer, offset: number, tag?: number): { start: number; end: number } {
  const first = der.readUInt8(offset + 1)
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f
  const start = offset + 2 + lengthBytes
  const end = start + (lengthBytes === 0 ? first : der.readUIntBE(offset + 2, lengthBytes))
  if (end > der.length || (tag !== undefined && der[offset] !== tag)) {
    throw new RangeError(`malformed certificate: unexpected element at byte ${offset}`)
  }
  return { start, end }
}
