import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ApiKey } from './api-key.ts'
import { type CertificateOptions, makeCertificate, makeClientCertificate } from './certificate.ts'
import { identityOfCertificate } from './identity.ts'

const DAY_MS = 86_400_000
const VALIDITY = { notBefore: new Date('2026-01-01T00:00:00Z'), notAfter: new Date('2027-01-01T00:00:00Z') }
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1'
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2'
const DIGITAL_SIGNATURE = Buffer.from('0603551d0f0101ff0404030207', 'hex').subarray(0, -1)

function p256() {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

function ed25519() {
  return generateKeyPairSync('ed25519')
}

function makeCa({ publicKey, privateKey }: { publicKey: KeyObject; privateKey: KeyObject }) {
  const certificate = makeCertificate({
    subjectCommonName: 'Test CA',
    publicKey,
    issuer: { privateKey },
    isCa: true,
    validity: VALIDITY,
  })
  return { privateKey, certificate }
}

describe('the certificate of an API key', () => {
  test('is self-signed, names the identity, and is for clients alone', () => {
    const key = ApiKey.generate()
    const certificate = makeClientCertificate(key)

    expect(certificate.subject).toBe(`CN=${key.identity}`)
    expect(certificate.issuer).toBe(certificate.subject)
    expect(identityOfCertificate(certificate)).toBe(key.identity)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.checkPrivateKey(key.privateKey)).toBe(true)
    expect(certificate.ca).toBe(false)
    expect(certificate.keyUsage).toEqual([CLIENT_AUTH])
    expect(certificate.subjectAltName).toBeUndefined()
    expect(certificate.raw.includes(DIGITAL_SIGNATURE)).toBe(true)
  })

  test('is valid for 90 days from now', () => {
    const before = Math.floor(Date.now() / 1000) * 1000
    const { validFromDate, validToDate } = makeClientCertificate(ApiKey.generate())
    expect(validFromDate.getTime()).toBeGreaterThanOrEqual(before)
    expect(validFromDate.getTime()).toBeLessThanOrEqual(Date.now())
    expect(validToDate.getTime() - validFromDate.getTime()).toBe(90 * DAY_MS)
  })

  test('is another one each time, with a serial number of 128 bits', () => {
    const key = ApiKey.generate()
    const [first, second] = [makeClientCertificate(key), makeClientCertificate(key)]
    expect(first.serialNumber).toMatch(/^[4-7][0-9A-F]{31}$/)
    expect(second.serialNumber).not.toBe(first.serialNumber)
  })
})

describe.each([
  ['Ed25519', ed25519],
  ['ECDSA P-256', p256],
])('a CA with an %s key', (_, makeKeys) => {
  test('issues certificates that only its own key verifies', () => {
    const ca = makeCa(makeKeys())
    const server = makeCertificate({
      subjectCommonName: 'server',
      publicKey: p256().publicKey,
      issuer: ca,
      dnsNames: ['localhost', '*.example.org'],
      ipAddresses: ['127.0.0.1', '::1'],
      extendedKeyUsage: ['serverAuth', 'clientAuth'],
      validity: VALIDITY,
    })

    expect(server.verify(ca.certificate.publicKey)).toBe(true)
    expect(server.verify(makeKeys().publicKey)).toBe(false)
    expect(server.checkIssued(ca.certificate)).toBe(true)
    expect(server.issuer).toBe('CN=Test CA')
    expect(server.keyUsage).toEqual([SERVER_AUTH, CLIENT_AUTH])
    expect(server.checkHost('localhost')).toBe('localhost')
    expect(server.checkHost('a.example.org')).toBe('*.example.org')
    expect(server.checkHost('example.com')).toBeUndefined()
    expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1')
    expect(server.checkIP('::1')).toBe('::1')
  })

  test('is a CA, and what it issues is none', () => {
    const ca = makeCa(makeKeys())
    const leaf = makeCertificate({
      subjectCommonName: 'leaf',
      publicKey: makeKeys().publicKey,
      issuer: ca,
      validity: VALIDITY,
    })
    expect(ca.certificate.ca).toBe(true)
    expect(ca.certificate.verify(ca.certificate.publicKey)).toBe(true)
    expect(leaf.ca).toBe(false)
  })
})

test('a flipped bit in what is signed breaks the signature', () => {
  const { certificate } = makeCa(p256())
  const changed = Buffer.from(certificate.raw)
  const at = changed.indexOf('Test CA')
  changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
  expect(new X509Certificate(changed).verify(certificate.publicKey)).toBe(false)
})

test('a date after 2049 is written as well as one before', () => {
  const validity = { notBefore: new Date('2049-12-31T23:59:59Z'), notAfter: new Date('2050-01-01T00:00:00Z') }
  const { publicKey, privateKey } = p256()
  const made = makeCertificate({
    subjectCommonName: 'late',
    publicKey,
    issuer: { privateKey },
    validity,
  })
  expect(made.validFromDate).toEqual(validity.notBefore)
  expect(made.validToDate).toEqual(validity.notAfter)
})

describe('makeCertificate refuses', () => {
  const keys = p256()
  const options: CertificateOptions = {
    subjectCommonName: 'test',
    publicKey: keys.publicKey,
    issuer: { privateKey: keys.privateKey },
    validity: VALIDITY,
  }

  test.each(['', 'a b', '-x', 'x,y', 'ä.example'])('%j as a DNS name', (name) => {
    expect(() => makeCertificate({ ...options, dnsNames: [name] })).toThrow(TypeError)
  })

  test.each([
    '',
    '127.0.0',
    '127.0.0.256',
    '10.0.0.0/8',
    '[::1]',
    '::1]:443/[',
    '::12345',
    '1::2::3',
    'fe80::1%eth0',
    'localhost',
  ])('%j as an IP address', (address) => {
    expect(() => makeCertificate({ ...options, ipAddresses: [address] })).toThrow('is not an IP address')
  })

  test('to self-sign with the key of somebody else', () => {
    const issuer = { privateKey: p256().privateKey }
    expect(() => makeCertificate({ ...options, issuer })).toThrow('private key of its own public key')
  })

  test('an issuer whose private key is not that of its certificate', () => {
    const issuer = { ...makeCa(p256()), privateKey: p256().privateKey }
    expect(() => makeCertificate({ ...options, issuer })).toThrow("issuer's certificate")
  })

  test('an issuer that is no CA', () => {
    const { publicKey, privateKey } = p256()
    const certificate = makeCertificate({ ...options, publicKey, issuer: { privateKey } })
    expect(() => makeCertificate({ ...options, issuer: { privateKey, certificate } })).toThrow(
      'not that of a CA',
    )
  })

  test('to sign with an RSA or a P-384 key', () => {
    for (const { publicKey, privateKey } of [
      generateKeyPairSync('rsa', { modulusLength: 1024 }),
      generateKeyPairSync('ec', { namedCurve: 'P-384' }),
    ]) {
      expect(() => makeCertificate({ ...options, publicKey, issuer: { privateKey } })).toThrow(TypeError)
    }
  })
})

test('an IPv4 address in the form of an IPv6 one is written in its 16 bytes', () => {
  const { publicKey, privateKey } = p256()
  const made = makeCertificate({
    subjectCommonName: 'mapped',
    publicKey,
    issuer: { privateKey },
    ipAddresses: ['::ffff:127.0.0.1'],
    validity: VALIDITY,
  })
  expect(made.raw.includes(Buffer.from('87' + '10' + '00000000000000000000ffff7f000001', 'hex'))).toBe(true)
})
