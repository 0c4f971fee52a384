/**
 * Makes the certificates of a development set-up: a CA, a server for localhost, and an example client.
 *
 *     ca.crt,     ca.key       ECDSA P-256, 10 years
 *     server.crt, server.key   ECDSA P-256, 1 year; localhost, 127.0.0.1, ::1
 *     client.crt, client.key   Ed25519, 1 year; being Ed25519, the key is also an API key
 *
 * What is there and good stays. A certificate that is about to expire is renewed with its own key, so that an
 * identity in a policy stays right, and by the same CA, so that whoever trusts the CA need not hear of it.
 */
import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  X509Certificate,
} from 'node:crypto'
import { chmod, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type CertificateOptions, identityOfCertificate, makeCertificate } from '@latchkey/kms-client'

const DAY_MS = 86_400_000
const RENEW_BEFORE_DAYS = 30
const CA_DAYS = 3650
const LEAF_DAYS = 365
/** The clock of a container or a virtual machine may be behind. */
const CLOCK_SKEW_MS = 3_600_000
const CA_NAME = 'Latchkey development CA'
const PRIVATE_MODE = 0o600
const PUBLIC_MODE = 0o644

function serverLeaf(addresses: readonly string[]): Leaf {
  const ipAddresses = [...new Set(['127.0.0.1', '::1', ...addresses])]
  return {
    name: 'server',
    makeKey: makeP256Key,
    options: {
      subjectCommonName: 'localhost',
      dnsNames: ['localhost'],
      ipAddresses,
      extendedKeyUsage: ['serverAuth'],
    },
    isRightFor: (certificate) =>
      certificate.checkHost('localhost') !== undefined &&
      ipAddresses.every((address) => certificate.checkIP(address) !== undefined),
  }
}

const CLIENT: Leaf = {
  name: 'client',
  makeKey: () => generateKeyPairSync('ed25519').privateKey,
  options: { subjectCommonName: 'Latchkey example client', extendedKeyUsage: ['clientAuth'] },
  isRightFor: () => true,
}

export interface DevelopmentCertificates {
  /** Absolute paths of PEM files. */
  readonly caCertificate: string
  readonly serverCertificate: string
  readonly serverKey: string
  readonly clientCertificate: string
  readonly clientKey: string
  /** 64 hex digits: what a policy names the example client by. */
  readonly clientIdentity: string
  /** Names of the files that were written; empty if all were there and good. */
  readonly written: readonly string[]
}

interface Leaf {
  readonly name: 'server' | 'client'
  readonly makeKey: () => KeyObject
  readonly options: Omit<CertificateOptions, 'publicKey' | 'issuer' | 'validity'>
  readonly isRightFor: (certificate: X509Certificate) => boolean
}

interface Authority {
  readonly certificate: X509Certificate
  /** Absent if it is kept elsewhere; nothing can be issued then. */
  readonly privateKey: KeyObject | undefined
}

export interface MakeOptions {
  /** Make everything anew, the CA and all keys included. */
  readonly force?: boolean
  /** IP addresses that the server is reached at, beside the loopback's. */
  readonly addresses?: readonly string[]
}

/**
 * @param folder - made if absent.
 * @throws Error with one clear sentence if a file is of another origin or can't be read; it stays as it is.
 */
export async function makeCertificates(
  folder: string,
  { force = false, addresses = [] }: MakeOptions = {},
): Promise<DevelopmentCertificates> {
  const files = new Folder(resolve(folder), force)
  await mkdir(files.path, { recursive: true })
  const authority = await provideAuthority(files)
  await provideLeaf(files, authority, serverLeaf(addresses))
  const client = await provideLeaf(files, authority, CLIENT)
  return {
    caCertificate: files.pathOf('ca.crt'),
    serverCertificate: files.pathOf('server.crt'),
    serverKey: files.pathOf('server.key'),
    clientCertificate: files.pathOf('client.crt'),
    clientKey: files.pathOf('client.key'),
    clientIdentity: identityOfCertificate(client),
    written: files.written,
  }
}

async function provideAuthority(files: Folder): Promise<Authority> {
  const certificate = await files.readCertificate('ca.crt')
  const privateKey = await files.readPrivateKey('ca.key')
  if (certificate !== undefined) {
    if (privateKey !== undefined && !certificate.checkPrivateKey(privateKey)) {
      throw new Error(
        `${files.pathOf('ca.key')} is not the private key of ca.crt: remove one, or use --force`,
      )
    }
    if (!isExpiring(certificate)) return { certificate, privateKey }
  }
  const key = privateKey ?? makeP256Key()
  if (privateKey === undefined) await files.writePrivateKey('ca.key', key)
  const renewed = makeCertificate({
    subjectCommonName: CA_NAME,
    publicKey: key,
    issuer: { privateKey: key },
    isCa: true,
    validity: validityOf(CA_DAYS),
  })
  await files.writeCertificate('ca.crt', renewed)
  return { certificate: renewed, privateKey: key }
}

async function provideLeaf(files: Folder, authority: Authority, leaf: Leaf): Promise<X509Certificate> {
  const [crt, key] = [`${leaf.name}.crt`, `${leaf.name}.key`]
  const certificate = await files.readCertificate(crt)
  const privateKey = await files.readPrivateKey(key)
  if (certificate !== undefined) {
    const isIssued =
      certificate.checkIssued(authority.certificate) && certificate.verify(authority.certificate.publicKey)
    if (!isIssued && certificate.issuer !== `CN=${CA_NAME}`) {
      throw new Error(`${files.pathOf(crt)} is not from the CA in ca.crt: remove it, or use --force`)
    }
    const isItsKey = privateKey !== undefined && certificate.checkPrivateKey(privateKey)
    if (isIssued && isItsKey && leaf.isRightFor(certificate) && !isExpiring(certificate)) return certificate
  }
  if (authority.privateKey === undefined) {
    throw new Error(
      `${files.pathOf('ca.key')} is needed to issue ${crt}: bring it back, or use --force for a new CA`,
    )
  }
  const leafKey = privateKey ?? leaf.makeKey()
  if (privateKey === undefined) await files.writePrivateKey(key, leafKey)
  const issued = makeCertificate({
    ...leaf.options,
    publicKey: leafKey,
    issuer: { certificate: authority.certificate, privateKey: authority.privateKey },
    validity: validityOf(LEAF_DAYS),
  })
  await files.writeCertificate(crt, issued)
  return issued
}

function makeP256Key(): KeyObject {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
}

function validityOf(days: number): CertificateOptions['validity'] {
  const now = Date.now()
  return { notBefore: new Date(now - CLOCK_SKEW_MS), notAfter: new Date(now + days * DAY_MS) }
}

function isExpiring({ validToDate }: X509Certificate): boolean {
  return validToDate.getTime() < Date.now() + RENEW_BEFORE_DAYS * DAY_MS
}

/** The files of one folder. With `force` none of them counts as being there. */
class Folder {
  readonly path: string
  readonly written: string[] = []
  readonly #isForced: boolean

  constructor(path: string, isForced: boolean) {
    this.path = path
    this.#isForced = isForced
  }

  pathOf(name: string): string {
    return join(this.path, name)
  }

  readCertificate(name: string): Promise<X509Certificate | undefined> {
    return this.#read(name, 'certificate', (pem) => new X509Certificate(pem))
  }

  /** A key that others may read is one no longer. */
  async readPrivateKey(name: string): Promise<KeyObject | undefined> {
    const key = await this.#read(name, 'private key', createPrivateKey)
    if (key !== undefined) await chmod(this.pathOf(name), PRIVATE_MODE)
    return key
  }

  async writeCertificate(name: string, certificate: X509Certificate): Promise<void> {
    await this.#write(name, certificate.toString(), PUBLIC_MODE)
  }

  async writePrivateKey(name: string, key: KeyObject): Promise<void> {
    await this.#write(name, key.export({ type: 'pkcs8', format: 'pem' }).toString(), PRIVATE_MODE)
  }

  async #read<Value>(name: string, kind: string, parse: (pem: Buffer) => Value): Promise<Value | undefined> {
    if (this.#isForced) return undefined
    const pem = await readIfThere(this.pathOf(name))
    if (pem === undefined) return undefined
    try {
      return parse(pem)
    } catch (cause) {
      throw new Error(`${this.pathOf(name)} holds no ${kind} in PEM: remove it, or use --force`, { cause })
    }
  }

  /** A reader finds the old file or the new one, never a part: a server may be reloading just now. */
  async #write(name: string, text: string, mode: number): Promise<void> {
    const temporary = this.pathOf(`.${name}.${randomBytes(6).toString('hex')}`)
    try {
      const file = await open(temporary, 'wx', mode)
      try {
        await file.writeFile(text)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(temporary, this.pathOf(name))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
    this.written.push(name)
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

const HELP = `Usage: node certs/make-certs.ts [--out DIR] [--force]

Makes the certificates of a development set-up, where they are missing or expire within ${RENEW_BEFORE_DAYS} days:
a CA (ca.crt), a server for localhost (server.crt, server.key), and an example client (client.crt, client.key).

  --out DIR   folder of the files; default: the folder of this program
  --force     make everything anew, the CA and all keys included
  --help      show this text
`

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: 'string' }, force: { type: 'boolean' }, help: { type: 'boolean' } },
  })
  if (values.help) {
    process.stdout.write(HELP)
    return
  }
  const folder = values.out ?? import.meta.dirname
  const { written, clientIdentity } = await makeCertificates(folder, { force: values.force ?? false })
  const change = written.length === 0 ? 'all certificates are there and good' : `wrote ${written.join(', ')}`
  process.stdout.write(`${resolve(folder)}: ${change}\nIdentity of the example client: ${clientIdentity}\n`)
}

if (import.meta.main) {
  await main().catch((error: unknown) => {
    process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode = 1
  })
}
