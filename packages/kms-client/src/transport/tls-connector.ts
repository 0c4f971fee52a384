/** Opens TLS connections to one endpoint, with the client's certificate. */
import { KeyObject, X509Certificate } from 'node:crypto'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { ApiKey } from '../api-key.ts'
import { makeClientCertificate } from '../certificate.ts'
import { brokenConnection } from './channel.ts'
import { type Endpoint, serverNameOf } from './endpoint.ts'

/** As ALPN names them. */
export type HttpProtocol = 'h2' | 'http/1.1'

export interface ClientCertificate {
  /** PEM; certificates of intermediate CAs may follow the client's own. */
  readonly cert: string | Buffer
  /** PEM, or a key object, which may come from an encrypted file. */
  readonly key: string | Buffer | KeyObject
}

export interface TlsOptions {
  readonly apiKey?: ApiKey | undefined
  readonly certificate?: ClientCertificate | undefined
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  readonly insecureSkipVerify: boolean
}

const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_PROBE_MS = 15_000

export class TlsConnector {
  readonly endpoint: Endpoint
  readonly hasClientCertificate: boolean
  readonly #options: TlsOptions
  readonly #ca: (string | Buffer)[] | undefined
  readonly #sockets = new Set<TLSSocket>()
  #isDestroyed = false
  #context: SecureContext
  #renewAtMs = 0

  /** @throws TypeError if a certificate or key can't be read. */
  constructor(endpoint: Endpoint, options: TlsOptions) {
    this.endpoint = endpoint
    this.#options = options
    this.hasClientCertificate = options.apiKey !== undefined || options.certificate !== undefined
    this.#ca = checkCa(options.ca)
    this.#context = this.#makeContext(options.certificate)
  }

  /** Before {@link open}: makes a certificate for the API key if there is none, or if it is half through its life. */
  async prepare(): Promise<void> {
    const { apiKey } = this.#options
    if (apiKey === undefined || Date.now() < this.#renewAtMs) return
    const certificate = await makeClientCertificate(apiKey)
    this.#context = this.#makeContext({ cert: certificate.toString(), key: apiKey.privateKey })
    this.#renewAtMs = (certificate.validFromDate.getTime() + certificate.validToDate.getTime()) / 2
  }

  /** A socket that is about to connect, and fails if that takes over 10 s. */
  open(protocols: readonly HttpProtocol[]): TLSSocket {
    if (this.#isDestroyed) throw brokenConnection()
    const servername = serverNameOf(this.endpoint)
    const socket = connect({
      host: this.endpoint.host,
      port: this.endpoint.port,
      ...(servername === undefined ? {} : { servername }),
      ALPNProtocols: [...protocols],
      minVersion: 'TLSv1.2',
      secureContext: this.#context,
      rejectUnauthorized: !this.#options.insecureSkipVerify,
    })
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    socket.on('error', () => {}) // One between two users of the socket must not end the process.

    const timer = setTimeout(() => {
      const message = `no connection within ${CONNECT_TIMEOUT_MS} ms`
      socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }))
    }, CONNECT_TIMEOUT_MS)
    this.#sockets.add(socket)
    socket.once('secureConnect', () => clearTimeout(timer))
    socket.once('close', () => {
      clearTimeout(timer)
      this.#sockets.delete(socket)
    })
    return socket
  }

  /**
   * A socket whose handshake is complete, and whose `alpnProtocol` is `false` if the server chose none.
   *
   * @throws the error of `node:tls`.
   */
  async connect(protocols: readonly HttpProtocol[]): Promise<TLSSocket> {
    await this.prepare()
    const socket = this.open(protocols)
    await new Promise<void>((resolve, reject) => {
      socket.once('secureConnect', resolve)
      socket.once('error', reject)
      socket.once('close', () => reject(brokenConnection()))
    })
    return socket
  }

  /** Closes every connection, whoever uses it, and opens no more. */
  destroy(): void {
    this.#isDestroyed = true
    for (const socket of this.#sockets) socket.destroy()
  }

  #makeContext(certificate: ClientCertificate | undefined): SecureContext {
    const ca = this.#ca === undefined ? {} : { ca: this.#ca }
    if (certificate === undefined) return createSecureContext(ca)
    const { cert } = certificate
    const key =
      certificate.key instanceof KeyObject
        ? certificate.key.export({ type: 'pkcs8', format: 'pem' })
        : certificate.key
    try {
      return createSecureContext({ ...ca, cert, key })
    } catch (cause) {
      throw new TypeError("the client's certificate or its private key can't be used", { cause })
    }
  }
}

/** OpenSSL skips what is no certificate without a word, and would then trust nothing at all. */
function checkCa(ca: TlsOptions['ca']): (string | Buffer)[] | undefined {
  if (ca === undefined) return undefined
  const certificates = typeof ca === 'string' || ca instanceof Uint8Array ? [ca] : [...ca]
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate)
    } catch (cause) {
      throw new TypeError('`ca` must be certificates in PEM', { cause })
    }
  }
  return certificates
}
