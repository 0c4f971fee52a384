/** A client's key pair with its certificate, as the files of an operator hold them. */
import { generateKeyPairSync } from 'node:crypto'
import { identityOfCertificate, makeCertificate } from '@latchkey/kms-client'

export function makePair() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = makeCertificate({
    subjectCommonName: 'client',
    publicKey,
    issuer: { privateKey },
    extendedKeyUsage: ['clientAuth'],
    validity: { notBefore: new Date(0), notAfter: new Date(4e12) },
  })
  return {
    privateKey,
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certPem: certificate.toString(),
    identity: identityOfCertificate(certificate),
  }
}
