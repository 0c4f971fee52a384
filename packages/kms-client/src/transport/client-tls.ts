/**
 * What all connections of a client have in common: who it is, and whom it trusts. Files are read again when they may
 * have changed. What they hold then serves new connections; if it is no good, such as half of a new pair, the former
 * goes on serving.
 */
import { hash, KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'
import type { ApiKey } from '../api-key.ts'
import { makeClientCertificate } from '../certificate.ts'
import { checkCertificate, parsePrivateKey, pemFilesOf, readCertificates } from './pem-files.ts'

export interface ClientCertificate {
  /** PEM; certificates of intermediate CAs may follow the client's own. */
  readonly cert: string | Buffer
  /** PEM, or a key object, which may come from an encrypted file. */
  readonly key: string | Buffer | KeyObject
}

/** Paths of PEM files, which are read again when they change. */
export interface CertificateFiles {
  readonly certFile: string
  readonly keyFile: string
  /** Of an encrypted key file. */
  readonly password?: string | undefined
}

export interface TlsOptions {
  readonly apiKey?: ApiKey | undefined
  readonly certificate?: ClientCertificate | CertificateFiles | undefined
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  readonly caPath?: string | undefined
  readonly trustsSystem: boolean
  readonly insecureSkipVerify: boolean
  readonly onReloadError?: ((error: Error) => void) | undefined
}

interface Credentials {
  readonly certificate: ClientCertificate | undefined
  /** `undefined`: those that Node trusts. */
  readonly ca: readonly (string | Buffer)[] | undefined
}

const REFRESH_MS = 10_000

export class ClientTls {
  readonly hasClientCertificate: boolean
  readonly verifiesServer: boolean
  readonly #options: TlsOptions
  readonly #hasFiles: boolean
  #credentials: Credentials
  #context: SecureContext
  #generation = 0
  #refreshAtMs = Date.now() + REFRESH_MS
  #renewAtMs = 0

  /** @throws TypeError if a certificate or key can't be read. */
  constructor(options: TlsOptions) {
    this.#options = options
    this.hasClientCertificate = options.apiKey !== undefined || options.certificate !== undefined
    this.verifiesServer = !options.insecureSkipVerify
    this.#hasFiles = options.caPath !== undefined || filesOf(options) !== undefined
    this.#credentials = readCredentials(options)
    this.#context = makeContext(this.#credentials)
  }

  get context(): SecureContext {
    return this.#context
  }

  /** Grows when the files have changed: connections that were opened before are then to be replaced. */
  get generation(): number {
    return this.#generation
  }

  /** Before a connection: makes a certificate for the API key if there is none, or if it is half through its life. */
  prepare(): void {
    const { apiKey } = this.#options
    if (apiKey === undefined || Date.now() < this.#renewAtMs) return
    const made = makeClientCertificate(apiKey)
    const certificate = { cert: made.toString(), key: apiKey.privateKey }
    this.#use({ ca: this.#credentials.ca, certificate })
    this.#renewAtMs = (made.validFromDate.getTime() + made.validToDate.getTime()) / 2
  }

  /** Reads the files again if that was not done within 10 s. They are few and small, so this does not wait. */
  refresh(): void {
    if (!this.#hasFiles || Date.now() < this.#refreshAtMs) return
    try {
      this.reload()
    } catch (error) {
      if (error instanceof Error) this.#options.onReloadError?.(error)
    }
  }

  /** Reads the files again. @throws TypeError if they are no good; what was read before stays in use. */
  reload(): void {
    this.#refreshAtMs = Date.now() + REFRESH_MS
    const { certificate = this.#credentials.certificate, ca } = readCredentials(this.#options)
    if (digestOf({ certificate, ca }) === digestOf(this.#credentials)) return
    this.#use({ certificate, ca })
    this.#generation++
  }

  #use(credentials: Credentials): void {
    this.#context = makeContext(credentials)
    this.#credentials = credentials
  }
}

function filesOf({ certificate }: TlsOptions): CertificateFiles | undefined {
  return certificate !== undefined && 'certFile' in certificate ? certificate : undefined
}

function readCredentials(options: TlsOptions): Credentials {
  const given = options.certificate
  const certificate = given !== undefined && 'certFile' in given ? readPair(given) : given
  return { certificate, ca: readCas(options) }
}

function readPair({ certFile, keyFile, password }: CertificateFiles): ClientCertificate {
  const cert = readNamed(certFile, () => readFileSync(certFile))
  const key = readNamed(keyFile, () => parsePrivateKey(readFileSync(keyFile, 'utf8'), password))
  return { cert, key }
}

function readCas({ ca, caPath, trustsSystem }: TlsOptions): Credentials['ca'] {
  const given = ca === undefined ? [] : typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : [...ca]
  for (const certificate of given) checkCertificate(certificate, '`ca` must be certificates in PEM')
  const files = caPath === undefined ? [] : readNamed(caPath, () => pemFilesOf(caPath))
  const read = files.flatMap((file) => readNamed(file, () => readCertificates(file)))
  if (caPath !== undefined && read.length === 0 && !trustsSystem) {
    throw new TypeError(`'${caPath}' holds no certificate in PEM`)
  }
  const cas = [...given, ...read]
  if (ca === undefined && cas.length === 0) return undefined
  return trustsSystem ? [...systemCas(), ...cas] : cas
}

function systemCas(): Set<string> {
  return new Set([...getCACertificates('default'), ...getCACertificates('system')])
}

/** @throws TypeError with the path before the problem. */
function readNamed<Content>(path: string, read: () => Content): Content {
  try {
    return read()
  } catch (cause) {
    throw new TypeError(`'${path}': ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

function makeContext({ certificate, ca }: Credentials): SecureContext {
  const trusted = ca === undefined ? {} : { ca: [...ca] }
  if (certificate === undefined) return createSecureContext(trusted)
  const { cert } = certificate
  try {
    return createSecureContext({ ...trusted, cert, key: keyPem(certificate) })
  } catch (cause) {
    throw new TypeError("the client's certificate or its private key can't be used", { cause })
  }
}

function keyPem({ key }: ClientCertificate): string | Buffer {
  return key instanceof KeyObject ? key.export({ type: 'pkcs8', format: 'pem' }).toString() : key
}

function digestOf({ certificate, ca }: Credentials): string {
  const texts = [...(certificate === undefined ? [] : [certificate.cert, keyPem(certificate)]), ...(ca ?? [])]
  return hash('sha256', texts.map((text) => hash('sha256', text)).join(''))
}
