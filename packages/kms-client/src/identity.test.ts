import { createPublicKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { identityOfCertificate, identityOfPublicKey } from './identity.ts'

interface Row {
  readonly name: string
  readonly pem: string
  readonly spki_der_hex: string
  readonly identity: string
}

const { rows } = JSON.parse(
  readFileSync(new URL('../../../test/vectors/kes/certificates.json', import.meta.url), 'utf8'),
) as { rows: Row[] }

test.each(rows)('certificate $name has the identity that the Go KES gives it', ({ pem, identity }) => {
  const certificate = new X509Certificate(pem)
  expect(identityOfCertificate(pem)).toBe(identity)
  expect(identityOfCertificate(Buffer.from(pem))).toBe(identity)
  expect(identityOfCertificate(certificate)).toBe(identity)
  expect(identityOfCertificate(certificate.raw)).toBe(identity)
})

test.each(rows)('the public key of $name has the identity of its certificate', (row) => {
  const key = createPublicKey({ key: Buffer.from(row.spki_der_hex, 'hex'), type: 'spki', format: 'der' })
  expect(identityOfPublicKey(key)).toBe(row.identity)
})

describe('what is no certificate has no identity', () => {
  test.each([
    ['an empty text', ''],
    ['a text', 'certificate'],
    ['a certificate that is cut off', rows[0]?.pem.slice(0, 400) ?? ''],
  ])('%s', (_, text) => {
    expect(() => identityOfCertificate(text)).toThrow(Error)
  })
})
