/**
 * Makes X.509 v3 certificates (RFC 5280): the one that a client presents for its API key, and those of development
 * and test set-ups. Keys are Ed25519 (RFC 8410) or ECDSA P-256 (RFC 5758); `node:crypto` signs.
 */
import { createPublicKey, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { isIPv4 } from 'node:net'
import type { ApiKey } from './api-key.ts'
import {
  bitString,
  type Element,
  element,
  objectIdentifier,
  readElements,
  sequence,
  TAG,
  time,
} from './der.ts'

const DAY_MS = 86_400_000
const CLIENT_CERTIFICATE_DAYS = 90
const KEY_IDENTIFIER_BYTES = 20
const IPV6_CHARACTERS = /^[0-9A-Fa-f:.]+$/
const DNS_NAME = /^(?:\*\.)?[0-9A-Za-z_](?:[0-9A-Za-z_.-]{0,251}[0-9A-Za-z_])?$/

const COMMON_NAME = objectIdentifier('2.5.4.3')
const SUBJECT_KEY_IDENTIFIER = objectIdentifier('2.5.29.14')
const KEY_USAGE = objectIdentifier('2.5.29.15')
const SUBJECT_ALT_NAME = objectIdentifier('2.5.29.17')
const BASIC_CONSTRAINTS = objectIdentifier('2.5.29.19')
const AUTHORITY_KEY_IDENTIFIER = objectIdentifier('2.5.29.35')
const EXTENDED_KEY_USAGE = objectIdentifier('2.5.29.37')
const PURPOSES = {
  serverAuth: objectIdentifier('1.3.6.1.5.5.7.3.1'),
  clientAuth: objectIdentifier('1.3.6.1.5.5.7.3.2'),
}
const ED25519 = objectIdentifier('1.3.101.112')
const ECDSA_WITH_SHA256 = objectIdentifier('1.2.840.10045.4.3.2')

const DIGITAL_SIGNATURE = bitString(Buffer.of(0b1000_0000), 7)
const KEY_CERT_SIGN_AND_CRL_SIGN = bitString(Buffer.of(0b0000_0110), 1)
const TRUE = element(TAG.boolean, Buffer.of(0xff))
const VERSION_3 = element(0xa0, element(TAG.integer, Buffer.of(2)))

export interface CertificateOptions {
  readonly subjectCommonName: string
  /** Whose certificate it is; a private key stands for its public half. */
  readonly publicKey: KeyObject
  /** Who signs. Without a certificate, the subject itself: `privateKey` must then belong to `publicKey`. */
  readonly issuer: { readonly privateKey: KeyObject; readonly certificate?: X509Certificate }
  /** Whether it may sign other certificates. Default: no. */
  readonly isCa?: boolean
  readonly dnsNames?: readonly string[]
  readonly ipAddresses?: readonly string[]
  /** Default: none, which allows any use. */
  readonly extendedKeyUsage?: readonly ('serverAuth' | 'clientAuth')[]
  /** Cut to whole seconds. */
  readonly validity: { readonly notBefore: Date; readonly notAfter: Date }
}

/**
 * A certificate with a random serial number of 128 bits. Its `toString()` is the PEM text, its `raw` the DER.
 *
 * @throws TypeError if the keys and the issuer don't belong together, or a name or address is malformed.
 */
export function makeCertificate(options: CertificateOptions): X509Certificate {
  const { issuer, validity } = options
  const publicKey =
    options.publicKey.type === 'private' ? createPublicKey(options.publicKey) : options.publicKey
  checkIssuer(issuer, publicKey)

  const subject = commonName(options.subjectCommonName)
  const issuerFields = issuer.certificate && readIssuer(issuer.certificate)
  const subjectPublicKeyInfo = publicKey.export({ type: 'spki', format: 'der' })
  const { algorithm, digest } = signatureAlgorithm(issuer.privateKey)
  const signatureFields = sequence(algorithm)

  const tbsCertificate = sequence(
    VERSION_3,
    element(TAG.integer, randomSerialNumber()),
    signatureFields,
    issuerFields?.subject ?? subject,
    sequence(time(validity.notBefore), time(validity.notAfter)),
    subject,
    subjectPublicKeyInfo,
    element(
      0xa3,
      sequence(
        ...useExtensions(options),
        ...nameExtensions(options),
        ...keyExtensions(subjectPublicKeyInfo, options.isCa, issuerFields?.keyIdentifier),
      ),
    ),
  )
  const signature = bitString(sign(digest, tbsCertificate, issuer.privateKey))
  return new X509Certificate(sequence(tbsCertificate, signatureFields, signature))
}

/**
 * What a client presents in place of its API key: self-signed, valid for 90 days from now, with the identity as
 * its common name. It is made anew at each start and stored nowhere.
 */
export function makeClientCertificate(apiKey: ApiKey): X509Certificate {
  const notBefore = new Date()
  return makeCertificate({
    subjectCommonName: apiKey.identity,
    publicKey: apiKey.privateKey,
    issuer: { privateKey: apiKey.privateKey },
    extendedKeyUsage: ['clientAuth'],
    validity: { notBefore, notAfter: new Date(notBefore.getTime() + CLIENT_CERTIFICATE_DAYS * DAY_MS) },
  })
}

function commonName(text: string): Buffer {
  const name = element(TAG.utf8String, Buffer.from(text))
  return sequence(element(TAG.set, sequence(COMMON_NAME, name)))
}

function extension(id: Buffer, value: Buffer, isCritical = false): Buffer {
  return sequence(id, ...(isCritical ? [TRUE] : []), element(TAG.octetString, value))
}

/** What the key may be used for. */
function useExtensions({ isCa = false, extendedKeyUsage = [] }: CertificateOptions): Buffer[] {
  const usage = isCa ? KEY_CERT_SIGN_AND_CRL_SIGN : DIGITAL_SIGNATURE
  const extensions = [
    extension(BASIC_CONSTRAINTS, sequence(...(isCa ? [TRUE] : [])), true),
    extension(KEY_USAGE, usage, true),
  ]
  if (extendedKeyUsage.length > 0) {
    const purposes = extendedKeyUsage.map((purpose) => PURPOSES[purpose])
    extensions.push(extension(EXTENDED_KEY_USAGE, sequence(...purposes)))
  }
  return extensions
}

/** Where the subject may be reached. */
function nameExtensions({ dnsNames = [], ipAddresses = [] }: CertificateOptions): Buffer[] {
  const names = [
    ...dnsNames.map((name) => element(0x82, Buffer.from(checkDnsName(name)))),
    ...ipAddresses.map((address) => element(0x87, addressBytes(address))),
  ]
  return names.length === 0 ? [] : [extension(SUBJECT_ALT_NAME, sequence(...names))]
}

/** Which key of which issuer: strict verifiers ask a CA for the one, and what it issued for the other. */
function keyExtensions(
  subjectPublicKeyInfo: Buffer,
  isCa: boolean | undefined,
  issuerKeyIdentifier: Buffer | undefined,
): Buffer[] {
  const extensions: Buffer[] = []
  if (isCa) {
    const identifier = element(TAG.octetString, keyIdentifier(subjectPublicKeyInfo))
    extensions.push(extension(SUBJECT_KEY_IDENTIFIER, identifier))
  }
  if (issuerKeyIdentifier !== undefined) {
    extensions.push(extension(AUTHORITY_KEY_IDENTIFIER, sequence(element(0x80, issuerKeyIdentifier))))
  }
  return extensions
}

/** What of an issuer stands in the certificates that it issues. OpenSSL has read `raw` before. */
function readIssuer({ raw }: X509Certificate): { subject: Buffer; keyIdentifier: Buffer | undefined } {
  const [tbsCertificate] = inside(readElements(raw)[0])
  const fields = inside(tbsCertificate).filter(({ tag }) => tag !== 0xa0) // All have a version but those of v1.
  const extensions = inside(inside(fields.find(({ tag }) => tag === 0xa3))[0])
  const parts = extensions.map(inside).find(([id]) => id?.whole.equals(SUBJECT_KEY_IDENTIFIER))
  const [identifier] = inside(parts?.at(-1))
  const subject = fields[4]?.whole // Behind serialNumber, signature, issuer and validity.
  if (subject === undefined) throw new TypeError('the issuing certificate has no subject')
  return { subject, keyIdentifier: identifier?.content }
}

function inside(outer: Element | undefined): Element[] {
  return outer === undefined ? [] : readElements(outer.content)
}

function checkIssuer(issuer: CertificateOptions['issuer'], publicKey: KeyObject): void {
  if (issuer.certificate === undefined) {
    if (createPublicKey(issuer.privateKey).equals(publicKey)) return
    throw new TypeError('a self-signed certificate must be signed with the private key of its own public key')
  }
  if (!issuer.certificate.ca) throw new TypeError('the issuing certificate is not that of a CA')
  if (!issuer.certificate.checkPrivateKey(issuer.privateKey)) {
    throw new TypeError("the private key is not that of the issuer's certificate")
  }
}

function checkDnsName(name: string): string {
  if (!DNS_NAME.test(name)) throw new TypeError(`'${name}' is not a DNS name`)
  return name
}

/**
 * 4 or 16 bytes. The URL parser writes every form of an IPv6 address, such as `::ffff:127.0.0.1`, in plain groups, and
 * refuses what no certificate can hold, such as one with a zone.
 */
function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number))
  const url = IPV6_CHARACTERS.test(address) ? URL.parse(`http://[${address}]`) : null
  if (url === null) throw new TypeError(`'${address}' is not an IP address`)
  const [before = '', after = ''] = url.hostname.slice(1, -1).split('::')
  const [head, tail] = [readGroups(before), readGroups(after)]
  return Buffer.concat([head, Buffer.alloc(16 - head.length - tail.length), tail])
}

function readGroups(text: string): Buffer {
  const groups = text === '' ? [] : text.split(':')
  return Buffer.from(groups.map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** RFC 5758, section 3.2, and RFC 8410, section 3. */
function signatureAlgorithm(key: KeyObject): { algorithm: Buffer; digest: 'sha256' | null } {
  if (key.asymmetricKeyType === 'ed25519') return { algorithm: ED25519, digest: null }
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return { algorithm: ECDSA_WITH_SHA256, digest: 'sha256' }
  }
  throw new TypeError('certificates are signed with Ed25519 or ECDSA P-256 keys only')
}

/** RFC 7093, section 2, method 1: the first 160 bits of the SHA-256 of the key. */
function keyIdentifier(subjectPublicKeyInfo: Buffer): Buffer {
  const subjectPublicKey = inside(readElements(subjectPublicKeyInfo)[0])[1]?.content.subarray(1) // No unused bits.
  return hash('sha256', subjectPublicKey ?? '', 'buffer').subarray(0, KEY_IDENTIFIER_BYTES)
}

/** The highest bit is 0 because the number is positive, the next one 1 so that DER always has 16 bytes for it. */
function randomSerialNumber(): Buffer {
  const serialNumber = randomBytes(16)
  serialNumber.writeUInt8((serialNumber.readUInt8(0) & 0x7f) | 0x40, 0)
  return serialNumber
}
