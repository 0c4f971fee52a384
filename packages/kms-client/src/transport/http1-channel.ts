/** HTTP/1.1 over connections that are kept alive, one request on each at a time. */
import type { ClientRequest } from 'node:http'
import { Agent, request as openRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { abortWith, type HttpChannel, type HttpReply, type HttpRequest, UnsentError } from './channel.ts'
import type { TlsConnector } from './tls-connector.ts'

const CONNECTIONS_MAX = 32

export class Http1Channel implements HttpChannel {
  readonly #connector: TlsConnector
  readonly #agent: KeepAliveAgent

  /** @param socket - the first connection, on which HTTP/1.1 was agreed. */
  constructor(connector: TlsConnector, socket: TLSSocket) {
    this.#connector = connector
    this.#agent = new KeepAliveAgent(connector, socket)
  }

  get isOpen(): boolean {
    return !this.#agent.isAbandoned
  }

  async exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpReply> {
    this.#connector.prepare()
    signal.throwIfAborted()
    const { host, port } = this.#connector.endpoint
    return await new Promise((resolve, reject) => {
      const exchange = openRequest({
        agent: this.#agent,
        host,
        port,
        method: request.method,
        path: request.path,
        headers: {
          ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...(request.method === 'GET' ? {} : { 'content-length': Buffer.byteLength(request.body ?? '') }),
        },
      })
      abortWith(exchange, signal, () => exchange.destroy())
      exchange.on('error', (error) => reject(this.#explain(exchange, error)))
      exchange.once('response', (reply) => {
        reply.on('error', () => {}) // Whoever reads the body hears of it, too.
        resolve({
          status: reply.statusCode ?? 0,
          headers: reply.headers,
          body: reply,
          isComplete: () => reply.complete,
        })
      })
      exchange.end(request.body)
    })
  }

  abandon(): void {
    this.#agent.abandon()
  }

  #explain({ socket }: ClientRequest, cause: Error): Error {
    if (socket !== null && this.#connector.wasConnected(socket)) return cause
    return new UnsentError('there is no connection', { cause })
  }
}

class KeepAliveAgent extends Agent {
  readonly #connector: TlsConnector
  #first: TLSSocket | undefined
  isAbandoned = false

  constructor(connector: TlsConnector, first: TLSSocket) {
    super({ keepAlive: true, maxSockets: CONNECTIONS_MAX })
    this.#connector = connector
    this.#first = first
  }

  override createConnection(): Duplex {
    const first = this.#first
    this.#first = undefined
    return first?.destroyed === false ? first : this.#connector.open(['http/1.1'])
  }

  /** Asked for each connection whose request has ended. */
  override keepSocketAlive(socket: Duplex): boolean {
    const isKept: unknown = super.keepSocketAlive(socket) // A boolean; the types say nothing.
    return isKept === true && !this.isAbandoned
  }

  abandon(): void {
    this.isAbandoned = true
    for (const socket of Object.values(this.freeSockets).flat()) socket?.destroy()
  }
}
