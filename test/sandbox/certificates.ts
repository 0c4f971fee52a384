/** Key pairs and certificates for tests: clients of every kind that a key server meets, and one that it serves with. */
import { createHash, generateKeyPairSync, type KeyObject, sign, X509Certificate } from 'node:crypto'
import { type CertificateOptions, makeCertificate } from '@latchkey/kms-client'

const DAY_MS = 86_400_000

export type KeyType = 'ed25519' | 'p256' | 'p384' | 'p521' | 'rsa2048' | 'rsa3072'

export interface KeyPair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

/** What one side of a TLS connection shows of itself. */
export interface Credentials {
  /** PEM, PKCS #8. */
  readonly key: string
  /** PEM; the first certificate is that of the key, others follow as they are sent. */
  readonly cert: string
  /** Of the first certificate, computed here from its public key and not by the code under test. */
  readonly identity: string
}

const CURVES = { p256: 'P-256', p384: 'P-384', p521: 'P-521' } as const

function makeKeyPair(type: KeyType): KeyPair {
  if (type === 'ed25519') return generateKeyPairSync('ed25519')
  if (type === 'rsa2048') return generateKeyPairSync('rsa', { modulusLength: 2048 })
  if (type === 'rsa3072') return generateKeyPairSync('rsa', { modulusLength: 3072 })
  return generateKeyPairSync('ec', { namedCurve: CURVES[type] })
}

const keyPairs = new Map<string, KeyPair>()

/** The key pair of this label; made at its first use in the process. */
export function keyPairOf(label: string, type: KeyType = 'ed25519'): KeyPair {
  const id = `${type} ${label}`
  const found = keyPairs.get(id) ?? makeKeyPair(type)
  keyPairs.set(id, found)
  return found
}

export function identityOf({ publicKey }: KeyPair): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

export interface Authority extends KeyPair {
  readonly certificate: X509Certificate
}

const authorities = new Map<string, Promise<Authority>>()

/** A certificate authority of this name, self-signed, P-256. */
export function authorityOf(label: string): Promise<Authority> {
  const found = authorities.get(label) ?? makeAuthority(label)
  authorities.set(label, found)
  return found
}

async function makeAuthority(label: string): Promise<Authority> {
  const keys = keyPairOf(`authority ${label}`, 'p256')
  const certificate = makeCertificate({
    subjectCommonName: label,
    publicKey: keys.publicKey,
    issuer: keys,
    isCa: true,
    validity: validityOf(1),
  })
  return { ...keys, certificate }
}

/** From a day ago until so many days from now; a negative number makes it end in the past. */
export function validityOf(days: number): CertificateOptions['validity'] {
  const now = Date.now()
  const notAfter = now + days * DAY_MS
  return { notBefore: new Date(Math.min(now, notAfter) - DAY_MS), notAfter: new Date(notAfter) }
}

export interface IssueOptions {
  readonly keys?: KeyPair
  /** Default: self-signed. */
  readonly issuer?: Authority
  readonly isCa?: boolean
  readonly extendedKeyUsage?: CertificateOptions['extendedKeyUsage']
  readonly validity?: CertificateOptions['validity']
  readonly commonName?: string
}

export async function issueCertificate(label: string, options: IssueOptions = {}): Promise<X509Certificate> {
  const keys = options.keys ?? keyPairOf(label)
  return makeCertificate({
    subjectCommonName: options.commonName ?? label,
    publicKey: keys.publicKey,
    issuer: options.issuer ?? keys,
    isCa: options.isCa ?? false,
    extendedKeyUsage: options.extendedKeyUsage ?? ['clientAuth'],
    validity: options.validity ?? validityOf(1),
  })
}

/** Credentials of a key pair that send these certificates, the key's own first. */
export function credentialsOf(
  keys: KeyPair,
  ...certificates: readonly { toString(): string }[]
): Credentials {
  return {
    key: keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: certificates.join(''),
    identity: identityOf(keys),
  }
}

const clients = new Map<string, Promise<Credentials>>()

/** A client of this label, as an API key makes one: Ed25519, self-signed, not a CA. */
export function clientOf(label: string): Promise<Credentials> {
  const found = clients.get(label) ?? makeClient(label)
  clients.set(label, found)
  return found
}

async function makeClient(label: string): Promise<Credentials> {
  return credentialsOf(keyPairOf(label), await issueCertificate(label))
}

const servers = new Map<KeyType, Promise<Credentials>>()

/** A key server's own credentials, for `127.0.0.1` and `localhost`. */
export function serverOf(type: KeyType = 'p256'): Promise<Credentials> {
  const found = servers.get(type) ?? makeServer(type)
  servers.set(type, found)
  return found
}

async function makeServer(type: KeyType): Promise<Credentials> {
  const issuer = await authorityOf('servers')
  const keys = keyPairOf('server', type)
  const certificate = makeCertificate({
    subjectCommonName: 'localhost',
    publicKey: keys.publicKey,
    issuer,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    extendedKeyUsage: ['serverAuth'],
    validity: validityOf(90),
  })
  return credentialsOf(keys, certificate)
}

/**
 * A self-signed certificate of version 1, which has no extensions; Ed25519 keys only.
 *
 * @see RFC 5280, section 4.1: version and extensions are absent.
 */
export function makeVersion1Certificate({ publicKey, privateKey }: KeyPair): X509Certificate {
  const algorithm = der(0x30, der(0x06, Buffer.from('2b6570', 'hex')))
  const attribute = der(0x30, der(0x06, Buffer.from('550403', 'hex')), der(0x0c, Buffer.from('version 1')))
  const name = der(0x30, der(0x31, attribute))
  const { notBefore, notAfter } = validityOf(1)
  const toBeSigned = der(
    0x30,
    der(0x02, Buffer.of(1)),
    algorithm,
    name,
    der(0x30, utcTime(notBefore), utcTime(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
  )
  const signature = Buffer.concat([Buffer.of(0), sign(null, toBeSigned, privateKey)])
  return new X509Certificate(der(0x30, toBeSigned, algorithm, der(0x03, signature)))
}

function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const content = Buffer.concat(contents)
  const { length } = content
  const header =
    length < 128 ? [tag, length] : length < 256 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from(header), content])
}

function utcTime(date: Date): Buffer {
  return der(0x17, Buffer.from(`${date.toISOString().replace(/[-:T]/g, '').slice(2, 14)}Z`))
}
