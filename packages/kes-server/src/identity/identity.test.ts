import { X509Certificate } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { CertificateRequiredError, TooManyCertificatesError } from '../errors.ts'
import { readCertificate } from './certificate.ts'
import { clientIdentity, identityOfCertificate, identityOfSpki, isCaCertificate } from './identity.ts'

interface Row {
  name: string
  pem: string
  spki_der_hex: string
  identity: string
}

const { rows } = readVectors<{ rows: Row[] }>('certificates.json')

function chainOf(name: string): Buffer[] {
  const row = rows.find((candidate) => candidate.name === name)
  if (row === undefined) throw new Error(`no vector named ${name}`)
  return fromPem(row.pem)
}

function fromPem(pem: string): Buffer[] {
  return [...pem.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g)].map(
    ([, base64 = '']) => Buffer.from(base64, 'base64'),
  )
}

function only(name: string): Buffer {
  const [certificate, ...others] = chainOf(name)
  if (certificate === undefined || others.length > 0) throw new Error(`${name} is not one certificate`)
  return certificate
}

const everyCertificate = rows.flatMap((row) => fromPem(row.pem))

describe('the recorded certificates', () => {
  test.each(rows)(
    '$name: the first one has the recorded key and identity',
    ({ pem, spki_der_hex, identity }) => {
      const [first = Buffer.alloc(0)] = fromPem(pem)
      expect(Buffer.from(readCertificate(first).spki).toString('hex')).toBe(spki_der_hex)
      expect(identityOfCertificate(first)).toBe(identity)
      expect(identityOfSpki(Buffer.from(spki_der_hex, 'hex'))).toBe(identity)
    },
  )

  test.each(rows)("$name: OpenSSL agrees on what is a CA's", ({ pem }) => {
    for (const certificate of fromPem(pem)) {
      expect(isCaCertificate(certificate)).toBe(new X509Certificate(certificate).ca)
    }
  })
})

describe('a client', () => {
  const leaf = only('p256')
  const ca = only('p256-ca')

  test.each([
    ['nothing', []],
    ['a CA certificate', [ca]],
    ["a CA certificate before somebody's certificate", chainOf('ca-plus-leaf')],
    ['damage', [leaf.subarray(1)]],
    ['a certificate and damage', [leaf, Buffer.alloc(4)]],
    ['a certificate with a byte behind it', [Buffer.concat([leaf, Buffer.alloc(1)])]],
    ['a certificate without its last byte', [leaf.subarray(0, -1)]],
    ['no bytes', [Buffer.alloc(0)]],
  ])('that presents %s has no identity', (_, chain) => {
    expect(() => clientIdentity(chain)).toThrow(CertificateRequiredError)
  })

  test.each([
    ['two certificates', chainOf('two-leaves')],
    ['one certificate twice', [leaf, leaf]],
    ["a CA certificate between two that are not a CA's", [leaf, ca, only('p256b')]],
  ])('that presents %s has no identity', (_, chain) => {
    expect(() => clientIdentity(chain)).toThrow(TooManyCertificatesError)
  })

  test.each(['p256', 'rsa2048', 'ed25519a', 'v1', 'expired', 'leaf-plus-ca'])(
    'that presents %s has its identity',
    (name) => {
      expect(clientIdentity(chainOf(name))).toBe(rows.find((row) => row.name === name)?.identity)
    },
  )

  test('may send several CA certificates behind its own', () => {
    expect(clientIdentity([leaf, ca, ca])).toBe(identityOfCertificate(leaf))
  })

  test('keeps its identity when its certificate is renewed', () => {
    expect(clientIdentity(chainOf('p256-renewed'))).toBe(clientIdentity([leaf]))
  })
})

describe('a damaged certificate', () => {
  const leaf = only('p256')

  test('of fewer bytes is refused, wherever it ends', () => {
    for (const certificate of [leaf, only('v1'), only('rsa2048')]) {
      for (let length = 0; length < certificate.length; length += 1) {
        expect(() => identityOfCertificate(certificate.subarray(0, length))).toThrow(CertificateRequiredError)
      }
    }
  })

  test('says in its detail what is wrong', () => {
    expect(() => clientIdentity([Buffer.from('3000', 'hex')])).toThrow(
      expect.objectContaining({ detail: 'client certificate is damaged: element is cut short' }),
    )
  })

  /** The smallest certificate: only the parts that are walked over. */
  function certificate(extensions: string, spki = '3000'): Buffer {
    const tbs = element('30', `020101${'3000'.repeat(4)}${spki}${extensions}`)
    return Buffer.from(element('30', `${tbs}3000030100`), 'hex')
  }

  function element(tag: string, content: string): string {
    return `${tag}${(content.length / 2).toString(16).padStart(2, '0')}${content}`
  }

  function constraints(value: string): string {
    return element('30', `0603551d13${element('04', value)}`)
  }

  function extensions(...each: string[]): string {
    return element('a3', element('30', each.join('')))
  }

  const CA = constraints('30030101ff')

  test.each([
    ['without extensions', '', false],
    ['with no constraints in it', extensions(constraints('3000')), false],
    ['with cA FALSE written out', extensions(constraints('3003010100')), false],
    ['with cA TRUE', extensions(CA), true],
    ['with cA TRUE and a path length', extensions(constraints('30060101ff020100')), true],
    ['with cA TRUE, critical', extensions(element('30', '0603551d130101ff040530030101ff')), true],
    ['with cA TRUE before cA FALSE', extensions(CA, constraints('3000')), true],
    ['with cA TRUE behind unique ids', `810100820100${extensions(CA)}`, true],
    [
      'with cA TRUE in an extension of another kind',
      extensions(element('30', '0603551d14040530030101ff')),
      false,
    ],
  ])("%s: it is a CA's or not", (_, part, isCa) => {
    expect(isCaCertificate(certificate(part))).toBe(isCa)
  })

  test.each([
    ['a boolean that is neither TRUE nor FALSE', certificate(extensions(constraints('3003010101')))],
    ['a boolean of two bytes', certificate(extensions(constraints('30040102ffff')))],
    ['bytes behind the constraints', certificate(extensions(constraints('30030101ff00')))],
    ['bytes behind the extensions', certificate(`${extensions(CA)}00`)],
    ['extensions twice', certificate(extensions(CA) + extensions(CA))],
    ['an extension without value', certificate(extensions(element('30', '0603551d13')))],
    ['an indefinite length', certificate('', '30800000')],
    ['a length with a leading zero', certificate('', '30820001aa')],
    ['a long length where a short one does', certificate('', '308100')],
    ['a length of five bytes', certificate('', '30850000000000')],
    ['a key that is no SEQUENCE', certificate('', '0400')],
  ])('with %s is refused', (_, der) => {
    expect(() => isCaCertificate(der)).toThrow(CertificateRequiredError)
  })

  test('with bytes changed anywhere is read or refused, never more', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(fc.constantFrom(...everyCertificate), changes, (original, bytes) => {
        const changed = Buffer.from(original)
        for (const [at, value] of bytes) changed.writeUInt8(value, at % changed.length)
        expectReadOrRefused([changed])
      }),
      { numRuns: 1000 },
    )
  })

  test('of random bytes is refused, never more', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 3 }), (chain) => {
        expectReadOrRefused(chain)
      }),
    )
  })
})

function expectReadOrRefused(chain: Uint8Array[]): void {
  try {
    expect(clientIdentity(chain)).toMatch(/^[0-9a-f]{64}$/)
  } catch (error) {
    if (error instanceof TooManyCertificatesError) return
    expect(error).toBeInstanceOf(CertificateRequiredError)
  }
}
