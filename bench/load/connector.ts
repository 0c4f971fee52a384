/** Opens TLS connections to the server under test, with a client certificate and a full handshake each. */
import { readFileSync } from 'node:fs'
import { connect, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import type { HttpProtocol, LoadTarget } from './target.ts'

export class Connector {
  readonly target: LoadTarget
  readonly #ca: string
  readonly #context: SecureContext
  readonly #anonymous: SecureContext

  constructor(target: LoadTarget) {
    this.target = target
    this.#ca = readFileSync(target.caFile, 'utf8')
    this.#context = createSecureContext({
      ca: this.#ca,
      cert: readFileSync(target.certFile),
      key: readFileSync(target.keyFile),
    })
    this.#anonymous = createSecureContext({ ca: this.#ca })
  }

  /** A socket that is about to connect. It is given no session, so it resumes none. */
  open(protocol: HttpProtocol): TLSSocket {
    return this.#connect(protocol, this.#context)
  }

  /** The same without a client certificate. */
  openAnonymous(protocol: HttpProtocol): TLSSocket {
    return this.#connect(protocol, this.#anonymous)
  }

  #connect(protocol: HttpProtocol, secureContext: SecureContext): TLSSocket {
    const { host, port } = this.target
    const socket = connect({ host, port, secureContext, ALPNProtocols: [protocol] })
    socket.setNoDelay(true)
    socket.on('error', () => undefined) // Whoever waits for an answer on it hears of it.
    return socket
  }
}
