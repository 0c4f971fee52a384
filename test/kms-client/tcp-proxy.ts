/** A network between a client and a server that can be cut, without either of them being told. */

import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

export class TcpProxy implements AsyncDisposable {
  /** Bytes that came back from the server. */
  answeredBytes = 0
  readonly #port: number
  readonly #server = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket))
  readonly #sockets = new Set<Socket>()
  #isCut = false

  private constructor(port: number) {
    this.#port = port
  }

  /** @param port - of the server, on this machine. */
  static async start(port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** `127.0.0.1:port` */
  get endpoint(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy does not listen')
    return `127.0.0.1:${address.port}`
  }

  /** From now on nothing passes. Connections stay open, and new ones are accepted. */
  cut(): void {
    this.#isCut = true
    for (const socket of this.#sockets) socket.pause()
  }

  heal(): void {
    this.#isCut = false
    for (const socket of this.#sockets) socket.resume()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #accept(client: Socket): void {
    const server = connect(this.#port, '127.0.0.1')
    server.on('data', (chunk) => {
      this.answeredBytes += chunk.length
    })
    this.#join(client, server)
    this.#join(server, client)
    if (!this.#isCut) client.resume()
  }

  /** Whoever is slow holds up nobody here: what is under way is small. */
  #join(from: Socket, to: Socket): void {
    this.#sockets.add(from)
    from.on('data', (chunk) => to.write(chunk))
    from.on('error', () => {})
    from.on('close', () => {
      this.#sockets.delete(from)
      to.destroy()
    })
    if (this.#isCut) from.pause()
  }
}
