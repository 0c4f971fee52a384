/**
 * The two facts about an X.509 certificate that make an identity, read from its DER: the bytes of its public
 * key, and whether it is a CA's.
 *
 *     Certificate ::= SEQUENCE {
 *       tbsCertificate SEQUENCE {
 *         version [0] OPTIONAL, serialNumber INTEGER, signature SEQUENCE, issuer SEQUENCE, validity SEQUENCE,
 *         subject SEQUENCE, subjectPublicKeyInfo SEQUENCE,
 *         issuerUniqueID [1] OPTIONAL, subjectUniqueID [2] OPTIONAL, extensions [3] OPTIONAL },
 *       signatureAlgorithm SEQUENCE, signatureValue BIT STRING }
 *
 * @see RFC 5280, section 4.1; X.690 for DER.
 */

/** Not the DER of a certificate. Says what is wrong. */
export class CertificateSyntaxError extends Error {
  override readonly name = 'CertificateSyntaxError'
}

export interface CertificateFacts {
  readonly spki: Uint8Array // SubjectPublicKeyInfo, header and content, as it stands in the certificate.
  readonly isCa: boolean // basicConstraints with cA TRUE; never in a certificate of version 1.
}

const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  sequence: 0x30,
  version: 0xa0,
  issuerUniqueId: 0x81,
  subjectUniqueId: 0x82,
  extensions: 0xa3,
} as const

const BASIC_CONSTRAINTS = Buffer.from('551d13', 'hex') // 2.5.29.19
const DER_TRUE = 0xff
const DER_FALSE = 0x00

/** @throws {@link CertificateSyntaxError} */
export function readCertificate(der: Uint8Array): CertificateFacts {
  const outer = new DerReader(der)
  const certificate = outer.enter(TAG.sequence)
  outer.end()
  const tbs = certificate.enter(TAG.sequence)
  certificate.read(TAG.sequence)
  certificate.read(TAG.bitString)
  certificate.end()

  tbs.readOptional(TAG.version)
  tbs.read(TAG.integer)
  for (let skipped = 0; skipped < 4; skipped += 1) tbs.read(TAG.sequence) // From signature to subject.
  const spki = tbs.read(TAG.sequence).whole
  tbs.readOptional(TAG.issuerUniqueId)
  tbs.readOptional(TAG.subjectUniqueId)
  const extensions = tbs.readOptional(TAG.extensions)
  tbs.end()
  return { spki, isCa: extensions !== undefined && namesCa(extensions.content) }
}

/**
 * Extensions ::= SEQUENCE OF SEQUENCE { extnID OBJECT IDENTIFIER, critical BOOLEAN OPTIONAL, extnValue OCTET
 * STRING }
 */
function namesCa(content: Uint8Array): boolean {
  const wrapper = new DerReader(content)
  const extensions = wrapper.enter(TAG.sequence)
  wrapper.end()
  let isCa = false
  while (!extensions.isAtEnd) {
    const extension = extensions.enter(TAG.sequence)
    const id = extension.read(TAG.objectIdentifier).content
    extension.readOptional(TAG.boolean)
    const value = extension.read(TAG.octetString).content
    extension.end()
    if (BASIC_CONSTRAINTS.equals(id) && readBasicConstraints(value)) isCa = true
  }
  return isCa
}

/** BasicConstraints ::= SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLenConstraint INTEGER OPTIONAL } */
function readBasicConstraints(der: Uint8Array): boolean {
  const outer = new DerReader(der)
  const constraints = outer.enter(TAG.sequence)
  outer.end()
  const ca = constraints.readOptional(TAG.boolean)?.content
  constraints.readOptional(TAG.integer)
  constraints.end()
  if (ca === undefined) return false
  const [value] = ca
  if (ca.length !== 1 || (value !== DER_TRUE && value !== DER_FALSE)) {
    throw new CertificateSyntaxError('basicConstraints hold no DER boolean')
  }
  return value === DER_TRUE
}

interface DerElement {
  readonly whole: Uint8Array // Tag, length and content.
  readonly content: Uint8Array
}

/**
 * Walks over elements that stand side by side. Reads short tags and definite lengths: certificates have no
 * others.
 */
class DerReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  end(): void {
    if (!this.isAtEnd) throw new CertificateSyntaxError(`unexpected bytes at ${this.#at} of an element`)
  }

  enter(tag: number): DerReader {
    return new DerReader(this.read(tag).content)
  }

  readOptional(tag: number): DerElement | undefined {
    return this.#bytes[this.#at] === tag ? this.read(tag) : undefined
  }

  read(tag: number): DerElement {
    const start = this.#at
    const found = this.#byte()
    if (found !== tag)
      throw new CertificateSyntaxError(`tag 0x${found.toString(16)} instead of 0x${tag.toString(16)}`)
    const length = this.#length()
    const contentStart = this.#at
    if (length > this.#bytes.length - contentStart) throw new CertificateSyntaxError('element is cut short')
    this.#at = contentStart + length
    return {
      whole: this.#bytes.subarray(start, this.#at),
      content: this.#bytes.subarray(contentStart, this.#at),
    }
  }

  /** One byte below 0x80, or 0x80 plus the number of bytes that follow: as few as can be. */
  #length(): number {
    const first = this.#byte()
    if (first < 0x80) return first
    const count = first - 0x80
    if (count < 1 || count > 4)
      throw new CertificateSyntaxError('length of an element is indefinite or too large')
    let length = 0
    for (let index = 0; index < count; index += 1) length = length * 0x100 + this.#byte()
    if (length < 0x80 || length < 0x100 ** (count - 1))
      throw new CertificateSyntaxError('length has leading zeros')
    return length
  }

  #byte(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw new CertificateSyntaxError('element is cut short')
    this.#at += 1
    return byte
  }
}
