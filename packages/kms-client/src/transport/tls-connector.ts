/** Opens TLS connections to one endpoint. */
import type { Duplex } from 'node:stream'
import { connect, type TLSSocket } from 'node:tls'
import { brokenConnection } from './channel.ts'
import type { ClientTls } from './client-tls.ts'
import { type Endpoint, serverNameOf } from './endpoint.ts'

/** As ALPN names them. */
export type HttpProtocol = 'h2' | 'http/1.1'

const CONNECT_TIMEOUT_MS = 10_000
const KEEP_ALIVE_PROBE_MS = 15_000

export class TlsConnector {
  readonly endpoint: Endpoint
  readonly #tls: ClientTls
  readonly #sockets = new Set<TLSSocket>()
  readonly #connected = new WeakSet<Duplex>()
  #isDestroyed = false

  constructor(endpoint: Endpoint, tls: ClientTls) {
    this.endpoint = endpoint
    this.#tls = tls
  }

  /** Before {@link open}. */
  prepare(): void {
    this.#tls.prepare()
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
      secureContext: this.#tls.context,
      rejectUnauthorized: this.#tls.verifiesServer,
    })
    socket.setNoDelay(true)
    socket.setKeepAlive(true, KEEP_ALIVE_PROBE_MS)
    socket.on('error', () => {}) // One between two users of the socket must not end the process.

    const timer = setTimeout(() => {
      const message = `no connection within ${CONNECT_TIMEOUT_MS} ms`
      socket.destroy(Object.assign(new Error(message), { code: 'ETIMEDOUT' }))
    }, CONNECT_TIMEOUT_MS)
    this.#sockets.add(socket)
    socket.once('secureConnect', () => {
      clearTimeout(timer)
      this.#connected.add(socket)
    })
    socket.once('close', () => {
      clearTimeout(timer)
      this.#sockets.delete(socket)
    })
    return socket
  }

  /** Whether the socket's handshake was complete at some time, so that a request may have gone over it. */
  wasConnected(socket: Duplex): boolean {
    return this.#connected.has(socket)
  }

  /**
   * A socket whose handshake is complete, and whose `alpnProtocol` is `false` if the server chose none.
   *
   * @throws the error of `node:tls`.
   */
  async connect(protocols: readonly HttpProtocol[]): Promise<TLSSocket> {
    this.prepare()
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
}
