/**
 * Why a client gets no answer, or not the one that it wants: from the name of the server to the state of a key. Each
 * step rests on the one before, so the first that fails ends the walk.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { lookup } from 'node:dns/promises'
import { statSync } from 'node:fs'
import { isIP } from 'node:net'
import { makeClientCertificate } from '@latchkey/kms-client'
import { messageOf } from '../../message-of.ts'
import { type Credentials, readCredentials } from '../credentials.ts'
import { DEFAULT_SERVER, lookUp, parseServers } from '../environment.ts'
import type { Io } from '../io.ts'
import type { ServerFlags } from '../servers.ts'
import { shellWord } from '../shell-word.ts'
import {
  type Authorities,
  checkExpiry,
  describeChainProblem,
  explainChain,
  hasPurpose,
  isFor,
  nameOf,
  namesIn,
  readAuthorities,
  showKeys,
} from './certificate-checks.ts'
import { examineAccess } from './examine-access.ts'
import { type Finding, Findings } from './findings.ts'
import { askTime, type Handshake, reachPort, shakeHands } from './handshake.ts'

const OTHERS_ANY = 0o007
const THE_SYSTEMS: Authorities = {
  certificates: [],
  where: "the system's authorities, as no CA is given",
}
/** A reply takes its time, and its date has whole seconds. */
const SKEW_WARNING_MS = 10_000
/** Events, dates of deletion and certificates are wrong by that much. */
const SKEW_PROBLEM_MS = 300_000

export interface ClientQuestion extends ServerFlags {
  /** The key that somebody wants to use. */
  readonly key?: string | undefined
}

export async function examineClient(io: Io, question: ClientQuestion): Promise<Finding[]> {
  const findings = new Findings('this client')
  const endpoints = parseServers(lookUp(io.env, 'server') ?? DEFAULT_SERVER)
  if (endpoints.length === 0) {
    findings.problem('server', 'no server is named', {
      advice: 'name one',
      commands: [`export KES_SERVER=https://${DEFAULT_SERVER}`],
    })
  }
  const trust = readTrust(findings, question.ca ?? lookUp(io.env, 'ca'))
  const credentials = await examineCredentials(findings, io)
  const all = [...findings.all]
  for (const endpoint of endpoints) {
    const found = new Findings(endpoint)
    await examineServer(found, io, endpoint, { trust, credentials, question })
    all.push(...found.all)
  }
  return all
}

/** @returns undefined if what the path names is no good. */
function readTrust(findings: Findings, path: string | undefined): Authorities | undefined {
  if (path === undefined) return THE_SYSTEMS
  try {
    const authorities = readAuthorities(path)
    findings.ok('ca', `the authorities that are trusted are those of ${authorities.where}`)
    return authorities
  } catch (error) {
    findings.problem('ca', messageOf(error), {
      advice: "name the PEM file, or folder of PEM files, of the CA that has signed the server's certificate",
      commands: ['export KES_CA_PATH=/path/to/ca.crt'],
    })
    return undefined
  }
}

async function examineCredentials(findings: Findings, io: Io): Promise<Credentials | undefined> {
  let credentials: Credentials
  try {
    credentials = await readCredentials(io)
  } catch (error) {
    findings.problem('credentials', messageOf(error), {
      advice: 'give an API key, or a certificate with its private key; `kes identity new` makes either',
      commands: ['export KES_API_KEY=kes:v1:...'],
    })
    return undefined
  }
  const { certificate, identity } = credentials
  if (certificate === undefined) findings.ok('credentials', `an API key, whose identity is ${identity}`)
  else if (!examineCertificate(findings, io, new X509Certificate(certificate.cert), credentials))
    return undefined
  return credentials
}

/** @returns whether it can be presented at all. */
function examineCertificate(
  findings: Findings,
  io: Io,
  certificate: X509Certificate,
  { certificate: pair, identity }: Credentials,
): boolean {
  const file = lookUp(io.env, 'certFile') ?? ''
  const keyFile = lookUp(io.env, 'keyFile') ?? ''
  const anew = {
    advice: 'make another certificate with the same private key, which keeps its identity',
    commands: [
      `openssl req -x509 -new -key ${shellWord(keyFile)} -days 365 -subj /CN=my-app -addext basicConstraints=critical,CA:FALSE -addext extendedKeyUsage=clientAuth -out ${shellWord(file)}`,
    ],
  }
  const isPair = pair === undefined || certificate.checkPrivateKey(privateKeyOf(pair.key))
  if (!isPair) {
    findings.problem('credentials', `the private key '${keyFile}' is not that of the certificate '${file}'`, {
      advice: 'name files that belong together: these print the same key then',
      commands: showKeys(file, keyFile),
    })
  } else if (certificate.ca) {
    const text = `the certificate '${file}' is a CA's (CA:TRUE), and a CA's certificate has no identity`
    findings.problem('credentials', text, anew)
  } else if (!hasPurpose(certificate, 'clientAuth')) {
    const text = `the certificate '${file}' is not for clients: clientAuth is missing from its extended key usage`
    findings.warn('credentials', `${text}; a server with 'tls.auth: on' refuses it`, anew)
  } else findings.ok('credentials', `the certificate '${file}', whose identity is ${identity}`)
  if (certificate.validToDate < io.now()) {
    const text = `the client's certificate has ended at ${certificate.validToDate.toISOString()}`
    findings.warn('credentials', `${text}; a server with 'tls.auth: on' refuses it`, anew)
  }
  if (statSync(keyFile).mode & OTHERS_ANY) {
    findings.warn('files', `every user of this machine can use the private key '${keyFile}'`, {
      advice: 'let its owner alone read it',
      commands: [`chmod 600 ${shellWord(keyFile)}`],
    })
  }
  return isPair
}

function privateKeyOf(key: string | Buffer | KeyObject): KeyObject {
  return typeof key === 'string' || Buffer.isBuffer(key) ? createPrivateKey(key) : key
}

interface Given {
  readonly trust: Authorities | undefined
  readonly credentials: Credentials | undefined
  readonly question: ClientQuestion
}

async function examineServer(findings: Findings, io: Io, endpoint: string, given: Given): Promise<void> {
  // MinIO's `kes{1...3}` stands for three.
  if (!URL.canParse(endpoint) || /[{}]/.test(endpoint)) {
    findings.problem('server', 'this is not the address of one server', {
      advice: 'name one as host and port, or several with commas between them',
      commands: [`export KES_SERVER=https://${DEFAULT_SERVER}`],
    })
    return
  }
  const { hostname, port: portText } = new URL(endpoint)
  const host = hostname.replace(/^\[|\]$/g, '')
  const port = Number(portText || 443)
  if (!(await examineName(findings, host))) return
  if (!(await examinePort(findings, host, port))) return
  const shaken = await examineTls(findings, io, host, port, given)
  if (shaken === undefined) return
  await examineClock(findings, io, shaken)
  const { trust, credentials, question } = given
  if (trust === undefined || credentials === undefined) return
  const client = await io.openClient({
    endpoint,
    apiKey: credentials.apiKey,
    certificate: credentials.certificate,
    ca: pemOf(trust),
    // What is wrong with the certificate has been said; what the server answers is the next question.
    insecureSkipVerify: true,
  })
  try {
    const key = question.key ?? io.env.MINIO_KMS_KES_KEY_NAME
    await examineAccess(findings, client, credentials.identity, key, io.interruption)
  } finally {
    await client.close()
  }
}

async function examineName(findings: Findings, host: string): Promise<boolean> {
  if (isIP(host) !== 0) return true
  try {
    const addresses = await lookup(host, { all: true })
    const list = addresses.map(({ address }) => address).join(', ')
    findings.ok('name', `'${host}' is ${list}`)
    return true
  } catch {
    findings.problem('name', `the name '${host}' is unknown`, {
      advice: 'check its spelling, and what the name service says of it',
      commands: [`getent hosts ${shellWord(host)}`],
    })
    return false
  }
}

async function examinePort(findings: Findings, host: string, port: number): Promise<boolean> {
  try {
    findings.ok('port', `port ${port} of ${await reachPort(host, port)} answers`)
    return true
  } catch (error) {
    const code = codeOf(error)
    const refused = code === 'ECONNREFUSED'
    const reason = refused ? 'nothing listens there' : `${messageOf(error)}`
    findings.problem('port', `port ${port} of '${host}' does not answer: ${reason}`, {
      advice: refused
        ? "start the server, or correct KES_SERVER; on the server's machine this says what keeps it from running"
        : 'look at addresses, routes and firewalls between this machine and the server',
      commands: refused ? ['kes doctor --config /etc/latchkey/kes.yml'] : [],
    })
    return false
  }
}

async function examineTls(
  findings: Findings,
  io: Io,
  host: string,
  port: number,
  { trust, credentials, question }: Given,
): Promise<Handshake | undefined> {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`
  const look = `openssl s_client -connect ${where} -showcerts </dev/null`
  let shaken: Handshake
  try {
    const client = credentials && presented(credentials)
    shaken = await shakeHands({ host, port, authorities: trust && pemOf(trust), client })
  } catch (error) {
    const isOther = /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST/.test(codeOf(error))
    const reason = isOther
      ? `something else than TLS answers on port ${port}, perhaps plain HTTP or a proxy`
      : `there is no TLS connection: ${messageOf(error)}`
    findings.problem('tls', reason, {
      advice: isOther
        ? 'correct the port of KES_SERVER'
        : 'look at what the server says to it, here and in its log',
      commands: [look],
    })
    return undefined
  }
  findings.ok('tls', `the server speaks ${shaken.version}`)
  const [leaf] = shaken.chain
  if (leaf === undefined) return shaken
  const isInsecure = question.insecure ?? false
  if (trust !== undefined) examineChain(findings, shaken, trust, { isInsecure, now: io.now(), look })
  if (isFor(leaf, host)) findings.ok('names', `the certificate is for '${host}'`)
  else {
    findings.problem('names', `the certificate is not for '${host}', but for ${namesIn(leaf)}`, {
      advice:
        'connect by a name or address that it lists, or give the server a certificate that lists this one',
    })
  }
  const renew = {
    advice:
      'put a new one in the place of the files of tls.cert and tls.key: the server takes it over by itself',
  }
  checkExpiry(findings, leaf, io.now(), renew)
  return shaken
}

/** Undefined: those that Node trusts. */
function pemOf(trust: Authorities): string[] | undefined {
  return trust === THE_SYSTEMS ? undefined : trust.certificates.map(String)
}

/** The certificate that the client presents. */
function presented({ apiKey, certificate }: Credentials) {
  if (apiKey !== undefined) {
    return { cert: makeClientCertificate(apiKey).toString(), key: apiKey.privateKey }
  }
  return certificate && { cert: certificate.cert.toString(), key: privateKeyOf(certificate.key) }
}

const OF_THE_DATES = ['CERT_HAS_EXPIRED', 'CERT_NOT_YET_VALID']

function examineChain(
  findings: Findings,
  { chain, mistrust }: Handshake,
  { certificates, where }: Authorities,
  { isInsecure, now, look }: { readonly isInsecure: boolean; readonly now: Date; readonly look: string },
): void {
  const issuer = nameOf(chain[0]?.issuer ?? '')
  if (mistrust === undefined) {
    const text = `the certificate is signed by '${issuer}', which leads to an authority that is trusted`
    findings.ok('chain', text)
    return
  }
  const problem = explainChain(chain, certificates)
  if (problem === undefined && OF_THE_DATES.includes(mistrust)) {
    const ended = chain
      .slice(1)
      .concat(certificates)
      .find(({ validToDate }) => validToDate < now)
    if (ended === undefined) return // The certificate's own end is told with its dates.
    const text = `the authority '${nameOf(ended.subject)}' has ended at ${ended.validToDate.toISOString()}`
    findings.problem('chain', text, { advice: 'renew it, and what it has signed' })
    return
  }
  const reason =
    problem === undefined
      ? `the chain of the certificate, signed by '${issuer}', is not trusted (${mistrust})`
      : describeChainProblem(problem, where)
  const remedy = {
    advice:
      problem?.kind === 'other key'
        ? 'the authority was made anew under its old name: take its new certificate from whoever keeps it'
        : 'name the certificate of the authority that has signed it; what the server sends is shown by the second command',
    commands: ['export KES_CA_PATH=/path/to/ca.crt', look],
  }
  if (isInsecure) findings.warn('chain', `${reason}; not verified, because of --insecure`, remedy)
  else findings.problem('chain', reason, remedy)
}

async function examineClock(findings: Findings, io: Io, { socket }: Handshake): Promise<void> {
  const time = await askTime(socket)
  if (time === undefined) return
  const skewMs = io.now().getTime() - time.getTime()
  const size = `${Math.round(Math.abs(skewMs) / 1000)} s`
  const text = `the clock here is ${size} ${skewMs < 0 ? 'behind' : 'ahead of'} the server's`
  const remedy = { advice: 'let both follow a time server', commands: ['timedatectl status'] }
  if (Math.abs(skewMs) < SKEW_WARNING_MS) findings.ok('clock', "the clock here agrees with the server's")
  else if (Math.abs(skewMs) < SKEW_PROBLEM_MS) findings.warn('clock', text, remedy)
  else findings.problem('clock', text, remedy)
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
