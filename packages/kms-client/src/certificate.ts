/**
 * Makes X.509 v3 certificates (RFC 5280): the one that a client presents for its API key, and those of development
 * and test set-ups. Keys are Ed25519 (RFC 8410) or ECDSA P-256 (RFC 5758); `node:crypto` signs.
 */
import { createPublicKey, hash, type KeyObject, randomBytes, sign, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Extension, Name } from '@peculiar/asn1-x509'
import type { ApiKey } from './api-key.ts'

const DAY_MS = 86_400_000
const CLIENT_CERTIFICATE_DAYS = 90
const COMMON_NAME = '2.5.4.3'
const KEY_IDENTIFIER_BYTES = 20
const DNS_NAME = /^(?:\*\.)?[0-9A-Za-z_](?:[0-9A-Za-z_.-]{0,251}[0-9A-Za-z_])?$/

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
export async function makeCertificate(options: CertificateOptions): Promise<X509Certificate> {
  const asn1 = await loadAsn1()
  const { issuer, validity } = options
  const publicKey =
    options.publicKey.type === 'private' ? createPublicKey(options.publicKey) : options.publicKey
  checkIssuer(issuer, publicKey)

  const issuerFields =
    issuer.certificate && asn1.parse(issuer.certificate.raw, asn1.Certificate).tbsCertificate
  const subject = commonName(asn1, options.subjectCommonName)
  const subjectPublicKeyInfo = asn1.parse(
    publicKey.export({ type: 'spki', format: 'der' }),
    asn1.SubjectPublicKeyInfo,
  )
  const { algorithm, digest } = signatureAlgorithm(issuer.privateKey)
  const signature = new asn1.AlgorithmIdentifier({ algorithm })

  const tbsCertificate = new asn1.TBSCertificate({
    version: asn1.Version.v3,
    serialNumber: arrayBufferOf(randomSerialNumber()),
    signature,
    issuer: issuerFields?.subject ?? subject,
    validity: new asn1.Validity({ notBefore: validity.notBefore, notAfter: validity.notAfter }),
    subject,
    subjectPublicKeyInfo,
    extensions: new asn1.Extensions([
      ...useExtensions(asn1, options),
      ...nameExtensions(asn1, options),
      ...keyExtensions(asn1, subjectPublicKeyInfo.subjectPublicKey, options.isCa, issuerFields?.extensions),
    ]),
  })
  const certificate = new asn1.Certificate({
    tbsCertificate,
    signatureAlgorithm: signature,
    signatureValue: arrayBufferOf(sign(digest, asn1.serialize(tbsCertificate), issuer.privateKey)),
  })
  return new X509Certificate(asn1.serialize(certificate))
}

/**
 * What a client presents in place of its API key: self-signed, valid for 90 days from now, with the identity as
 * its common name. It is made anew at each start and stored nowhere.
 */
export function makeClientCertificate(apiKey: ApiKey): Promise<X509Certificate> {
  const notBefore = new Date()
  return makeCertificate({
    subjectCommonName: apiKey.identity,
    publicKey: apiKey.privateKey,
    issuer: { privateKey: apiKey.privateKey },
    extendedKeyUsage: ['clientAuth'],
    validity: { notBefore, notAfter: new Date(notBefore.getTime() + CLIENT_CERTIFICATE_DAYS * DAY_MS) },
  })
}

type Asn1 = Awaited<ReturnType<typeof loadAsn1>>

/** Loaded when the first certificate is made: the ASN.1 library takes longer to load than all the rest together. */
async function loadAsn1() {
  const [{ AsnConvert, OctetString }, x509] = await Promise.all([
    import('@peculiar/asn1-schema'),
    import('@peculiar/asn1-x509'),
  ])
  return {
    ...x509,
    serialize: (value: object): Buffer => Buffer.from(AsnConvert.serialize(value)),
    parse: <T>(der: Uint8Array, type: new () => T): T => AsnConvert.parse(arrayBufferOf(der), type),
    extension: (extnID: string, critical: boolean, value: object): Extension =>
      new x509.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) }),
  }
}

function commonName(asn1: Asn1, utf8String: string): Name {
  const value = new asn1.AttributeValue({ utf8String })
  const attribute = new asn1.AttributeTypeAndValue({ type: COMMON_NAME, value })
  return new asn1.Name([new asn1.RelativeDistinguishedName([attribute])])
}

/** What the key may be used for. */
function useExtensions(asn1: Asn1, { isCa = false, extendedKeyUsage = [] }: CertificateOptions): Extension[] {
  const { keyCertSign, cRLSign, digitalSignature } = asn1.KeyUsageFlags
  const usage = new asn1.KeyUsage(isCa ? keyCertSign | cRLSign : digitalSignature)
  const extensions = [
    asn1.extension(asn1.id_ce_basicConstraints, true, new asn1.BasicConstraints({ cA: isCa })),
    asn1.extension(asn1.id_ce_keyUsage, true, usage),
  ]
  if (extendedKeyUsage.length > 0) {
    const oids = { serverAuth: asn1.id_kp_serverAuth, clientAuth: asn1.id_kp_clientAuth }
    const purposes = new asn1.ExtendedKeyUsage(extendedKeyUsage.map((purpose) => oids[purpose]))
    extensions.push(asn1.extension(asn1.id_ce_extKeyUsage, false, purposes))
  }
  return extensions
}

/** Where the subject may be reached. */
function nameExtensions(asn1: Asn1, { dnsNames = [], ipAddresses = [] }: CertificateOptions): Extension[] {
  const names = [
    ...dnsNames.map((name) => new asn1.GeneralName({ dNSName: checkDnsName(name) })),
    ...ipAddresses.map((address) => new asn1.GeneralName({ iPAddress: normalizeAddress(address) })),
  ]
  if (names.length === 0) return []
  return [asn1.extension(asn1.id_ce_subjectAltName, false, new asn1.SubjectAlternativeName(names))]
}

/** Which key of which issuer: strict verifiers ask a CA for the one, and what it issued for the other. */
function keyExtensions(
  asn1: Asn1,
  subjectPublicKey: ArrayBuffer,
  isCa: boolean | undefined,
  issuerExtensions: readonly Extension[] | undefined,
): Extension[] {
  const extensions: Extension[] = []
  if (isCa) {
    const subjectKey = new asn1.SubjectKeyIdentifier(keyIdentifier(subjectPublicKey))
    extensions.push(asn1.extension(asn1.id_ce_subjectKeyIdentifier, false, subjectKey))
  }
  const issuerKey = issuerExtensions?.find((each) => each.extnID === asn1.id_ce_subjectKeyIdentifier)
  if (issuerKey !== undefined) {
    const keyIdentifier = asn1.parse(new Uint8Array(issuerKey.extnValue.buffer), asn1.SubjectKeyIdentifier)
    const authorityKey = new asn1.AuthorityKeyIdentifier({ keyIdentifier })
    extensions.push(asn1.extension(asn1.id_ce_authorityKeyIdentifier, false, authorityKey))
  }
  return extensions
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

/** The URL parser writes every form of an IPv6 address, such as `::ffff:127.0.0.1`, in plain groups. */
function normalizeAddress(address: string): string {
  const family = isIP(address)
  if (family === 0) throw new TypeError(`'${address}' is not an IP address`)
  return family === 4 ? address : new URL(`http://[${address}]`).hostname.slice(1, -1)
}

/** RFC 5758, section 3.2, and RFC 8410, section 3. */
function signatureAlgorithm(key: KeyObject): { algorithm: string; digest: 'sha256' | null } {
  if (key.asymmetricKeyType === 'ed25519') return { algorithm: '1.3.101.112', digest: null }
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return { algorithm: '1.2.840.10045.4.3.2', digest: 'sha256' }
  }
  throw new TypeError('certificates are signed with Ed25519 or ECDSA P-256 keys only')
}

/** RFC 7093, section 2, method 1: the first 160 bits of the SHA-256 of the key. */
function keyIdentifier(subjectPublicKey: ArrayBuffer): ArrayBuffer {
  const digest = hash('sha256', Buffer.from(subjectPublicKey), 'buffer')
  return arrayBufferOf(digest.subarray(0, KEY_IDENTIFIER_BYTES))
}

/** The highest bit is 0 because the number is positive, the next one 1 so that DER always has 16 bytes for it. */
function randomSerialNumber(): Buffer {
  const serialNumber = randomBytes(16)
  serialNumber.writeUInt8((serialNumber.readUInt8(0) & 0x7f) | 0x40, 0)
  return serialNumber
}

/** A copy: a Buffer may be a window on memory that it shares. */
function arrayBufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer
}
