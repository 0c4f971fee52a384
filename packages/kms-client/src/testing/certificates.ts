/** The authority that signs the certificates of all harnesses of this process, made when the first one starts. */
import { generateKeyPairSync, type KeyObject, type X509Certificate } from 'node:crypto'
import { makeCertificate } from '../certificate.ts'
import type { KeyServerCredentials } from './key-server.ts'

const DAY_MS = 86_400_000
const VALID_DAYS = 7

interface Authority {
  readonly privateKey: KeyObject
  readonly certificate: X509Certificate
}

let authority: Authority | undefined
let credentials: KeyServerCredentials | undefined

/** One authority for all, so that a client of several servers trusts one. @returns PEM. */
export function authorityPem(): string {
  return theAuthority().certificate.toString()
}

/** A certificate for `localhost`, `127.0.0.1` and `::1`; all servers of this process start with the same one. */
export function serverCredentials(): KeyServerCredentials {
  credentials ??= makeServerCredentials()
  return credentials
}

/** Another one, with a key of its own. */
export function makeServerCredentials(): KeyServerCredentials {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = makeCertificate({
    subjectCommonName: 'localhost',
    publicKey,
    issuer: theAuthority(),
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1', '::1'],
    extendedKeyUsage: ['serverAuth'],
    validity: validity(),
  })
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certPem: certificate.toString(),
  }
}

function theAuthority(): Authority {
  authority ??= makeAuthority()
  return authority
}

/** P-256: some TLS clients know no Ed25519. */
function makeAuthority(): Authority {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = makeCertificate({
    subjectCommonName: 'Latchkey test CA',
    publicKey,
    issuer: { privateKey },
    isCa: true,
    validity: validity(),
  })
  return { privateKey, certificate }
}

/** From yesterday on: a test may run in a container whose clock is behind. */
function validity() {
  const now = Date.now()
  return { notBefore: new Date(now - DAY_MS), notAfter: new Date(now + VALID_DAYS * DAY_MS) }
}
