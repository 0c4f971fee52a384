/** What can be said of a server's certificate, by the one that serves with it and by the one that is served. */
import type { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { isIssuedBy } from '../../tls/client-trust.ts'
import { readCas } from '../servers.ts'
import { shellWord } from '../shell-word.ts'
import type { Findings, Remedy } from './findings.ts'

const DAY_MS = 86_400_000
/** As the server warns of it. */
const WARNING_DAYS = 14
const ANY_PURPOSE = '2.5.29.37.0'

const PURPOSES = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
} as const

/** Whether the certificate may be used so; one that names no purposes may be used for all. */
export function hasPurpose({ keyUsage }: X509Certificate, purpose: keyof typeof PURPOSES): boolean {
  return keyUsage === undefined || keyUsage.includes(PURPOSES[purpose]) || keyUsage.includes(ANY_PURPOSE)
}

/** Such as `CN=servers, O=Example`; Node has a line for each part. */
export function nameOf(name: string): string {
  return name === '' ? '(no name)' : name.split('\n').join(', ')
}

/** Commands that print the public key of both, which is the same if they belong together. */
export function showKeys(certFile: string, keyFile: string): string[] {
  return [
    `openssl x509 -in ${shellWord(certFile)} -noout -pubkey`,
    `openssl pkey -in ${shellWord(keyFile)} -pubout`,
  ]
}

/** @param remedy - of one that ends, or has. */
export function checkExpiry(
  findings: Findings,
  certificate: X509Certificate,
  now: Date,
  remedy: Remedy,
): void {
  const { validFromDate: from, validToDate: to } = certificate
  const days = (to.getTime() - now.getTime()) / DAY_MS
  const end = to.toISOString()
  if (from > now) {
    findings.problem('expiry', `the certificate is not valid before ${from.toISOString()}`, {
      advice: `it is ${now.toISOString()} here: set the clock, or wait`,
      commands: ['date --utc'],
    })
  } else if (days <= 0) findings.problem('expiry', `the certificate has ended at ${end}`, remedy)
  else if (days < WARNING_DAYS) {
    findings.warn('expiry', `the certificate ends at ${end}, in ${Math.floor(days)} days`, remedy)
  } else findings.ok('expiry', `the certificate is valid until ${end}, for ${Math.floor(days)} days`)
}

/** Whether a client that connects to `host` takes the certificate for it. */
export function isFor(certificate: X509Certificate, host: string): boolean {
  return (isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)) !== undefined
}

/** The names and addresses of a certificate: `DNS:localhost, IP Address:127.0.0.1`. */
export function namesIn({ subjectAltName }: X509Certificate): string {
  return subjectAltName ?? 'none'
}

/** What a client trusts. */
export interface Authorities {
  readonly certificates: readonly X509Certificate[]
  /** As a sentence names them. */
  readonly where: string
}

/** Of a file, or a folder of files. @throws {@link CliError} */
export function readAuthorities(path: string): Authorities {
  const certificates = readCas(path)
  const names = certificates.map(({ subject }) => `'${nameOf(subject)}'`).join(', ')
  return { certificates, where: `'${path}', which has ${names}` }
}

export type ChainProblem =
  | { readonly kind: 'self-signed' }
  | { readonly kind: 'other key'; readonly issuer: string }
  | { readonly kind: 'unknown issuer'; readonly issuer: string }

/**
 * Why no authority vouches for a certificate.
 *
 * @param chain - as it is sent, the server's own first.
 */
export function explainChain(
  chain: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): ChainProblem | undefined {
  const [leaf] = chain
  if (leaf === undefined) return undefined
  let last = leaf
  for (const next of chain.slice(1)) {
    if (isIssuedBy(last, next)) last = next
  }
  const issuer = nameOf(last.issuer)
  const namesakes = authorities.filter(({ subject }) => subject === last.issuer)
  if (namesakes.some((authority) => isIssuedBy(last, authority))) return undefined
  if (namesakes.length > 0) return { kind: 'other key', issuer }
  if (last === leaf && leaf.issuer === leaf.subject) return { kind: 'self-signed' }
  return { kind: 'unknown issuer', issuer }
}

/** A sentence without its full stop. */
export function describeChainProblem(problem: ChainProblem, where: string): string {
  switch (problem.kind) {
    case 'self-signed':
      return `the certificate is signed by itself, and not among ${where}`
    case 'other key':
      return `the certificate is signed by another key of '${problem.issuer}' than the one in ${where}`
    case 'unknown issuer':
      return `the certificate is signed by '${problem.issuer}', which is not among ${where}`
  }
}
