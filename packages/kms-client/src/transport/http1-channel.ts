/** HTTP/1.1 over connections that are kept alive, one request on each at a time. */
import { Agent, request as openRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { HttpChannel, HttpReply, HttpRequest } from './channel.ts'
import type { TlsConnector } from './tls-connector.ts'

const CONNECTIONS_MAX = 32

export class Http1Channel implements HttpChannel {
  readonly #connector: TlsConnector
  readonly #agent: KeepAliveAgent
  readonly isOpen = true

  /** @param socket - the first connection, on which HTTP/1.1 was agreed. */
  constructor(connector: TlsConnector, socket: TLSSocket) {
    this.#connector = connector
    this.#agent = new KeepAliveAgent(connector, socket)
  }

  async exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpReply> {
    await this.#connector.prepare()
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
        signal,
      })
      exchange.on('error', reject)
      exchange.once('response', (reply) => {
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
    for (const socket of Object.values(this.#agent.freeSockets).flat()) socket?.destroy()
  }
}

class KeepAliveAgent extends Agent {
  readonly #connector: TlsConnector
  #first: TLSSocket | undefined

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
}
