/**
 * The harness's front door: a TCP port that hands every connection on to the server, byte by byte. What no server can
 * do to its own clients happens here: nobody listens, bytes do not move, a connection is reset.
 */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as nextRound } from 'node:timers/promises'
import type { ConnectionMode } from './fault-set.ts'

const HOST = '127.0.0.1'

/** For what was written just before a reset to reach the client. */
const FLUSH_MS = 20

export class Gate {
  readonly port: number
  readonly #serverPort: number
  readonly #connections = new Set<Connection>()
  #listener: Server
  #mode: ConnectionMode = 'open'
  #placeholder: Placeholder | undefined
  /** One change of the mode after the other. */
  #changing: Promise<void> = Promise.resolve()

  private constructor(listener: Server, serverPort: number) {
    this.port = (listener.address() as AddressInfo).port
    this.#serverPort = serverPort
    this.#listener = listener
    this.#serve(listener)
  }

  /** @param port - 0: any free one. @throws what listening throws. */
  static async open(serverPort: number, port: number): Promise<Gate> {
    return new Gate(await listen(port), serverPort)
  }

  /** Whether a connection to the server, by the port that it comes from, is one of those that came through here. */
  owns(localPort: number | undefined): boolean {
    return this.#find(localPort) !== undefined
  }

  /** As a crash of the machine would: what was written before arrives, and then a TCP reset. */
  resetSoon(localPort: number | undefined): void {
    this.#find(localPort)?.resetSoon()
  }

  resetNow(localPort: number | undefined): void {
    this.#find(localPort)?.reset()
  }

  /** @throws what listening throws, if somebody has taken the port nevertheless; it may then be tried again. */
  setMode(mode: ConnectionMode): Promise<void> {
    const change = this.#changing.then(() => this.#change(mode))
    this.#changing = change.catch(() => undefined) // Whoever asked for it hears of it.
    return change
  }

  async close(): Promise<void> {
    await this.#changing
    const { listening } = this.#listener
    for (const connection of this.#connections) connection.destroy()
    await this.#placeholder?.give()
    if (!listening) return
    this.#listener.close()
    await once(this.#listener, 'close')
  }

  async #change(mode: ConnectionMode): Promise<void> {
    if (mode === this.#mode) return
    if (mode === 'refused') await this.#refuse()
    else if (this.#mode === 'refused') await this.#admit()
    this.#mode = mode
    for (const connection of this.#connections) {
      if (mode === 'frozen') connection.freeze()
      if (mode === 'open') connection.thaw()
    }
  }

  async #refuse(): Promise<void> {
    const placeholder = await Placeholder.prepare()
    this.#listener.close()
    // In the same turn, so that nobody is given the port in between.
    this.#placeholder = placeholder.take(this.port)
    for (const connection of this.#connections) connection.reset()
    await once(this.#listener, 'close')
    // A client in this process has now heard of it, and does not send its next request to a connection that is gone.
    await nextRound()
    await nextRound()
  }

  async #admit(): Promise<void> {
    this.#listener = await listen(this.port)
    this.#serve(this.#listener)
    await this.#placeholder?.give()
    this.#placeholder = undefined
  }

  #serve(listener: Server): void {
    listener.on('connection', (client) => {
      const connection = new Connection(client, this.#serverPort)
      this.#connections.add(connection)
      client.once('close', () => this.#connections.delete(connection))
      if (this.#mode === 'open') connection.thaw()
    })
  }

  #find(localPort: number | undefined): Connection | undefined {
    if (localPort === undefined) return undefined
    for (const connection of this.#connections) if (connection.localPort === localPort) return connection
    return undefined
  }
}

async function listen(port: number): Promise<Server> {
  const listener = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true })
  listener.listen({ host: HOST, port })
  await once(listener, 'listening')
  return listener
}

/** A client's socket and the one to the server for it. It moves nothing until it is thawed. */
class Connection {
  readonly #client: Socket
  readonly #serverPort: number
  #server: Socket | undefined

  constructor(client: Socket, serverPort: number) {
    this.#client = client
    this.#serverPort = serverPort
    this.#join(client, () => this.#server)
  }

  get localPort(): number | undefined {
    return this.#server?.localPort
  }

  thaw(): void {
    if (this.#server === undefined) {
      this.#server = connect({ host: HOST, port: this.#serverPort, allowHalfOpen: true, noDelay: true })
      this.#join(this.#server, () => this.#client)
    }
    this.#client.pipe(this.#server)
    this.#server.pipe(this.#client)
  }

  freeze(): void {
    for (const socket of [this.#client, this.#server]) {
      socket?.unpipe()
      socket?.pause()
    }
  }

  resetSoon(): void {
    // After another round of the event loop, which moves what has come from the server by then.
    const timer = setTimeout(() => setImmediate(() => this.reset()), FLUSH_MS)
    this.#client.once('close', () => clearTimeout(timer))
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server?.destroy()
  }

  destroy(): void {
    this.#client.destroy()
    this.#server?.destroy()
  }

  /** The end of the one is the end of the other, in the same way. */
  #join(socket: Socket, otherOf: () => Socket | undefined): void {
    socket.on('error', () => otherOf()?.resetAndDestroy())
    socket.on('close', () => otherOf()?.destroySoon())
  }
}

/**
 * Keeps a port from being given to anybody else while nobody listens on it: the system gives no port away that a
 * connection comes from.
 */
class Placeholder {
  readonly #helper: Server
  readonly #ends: Socket[] = []

  private constructor(helper: Server) {
    this.#helper = helper.on('connection', (end) => this.#ends.push(end))
  }

  static async prepare(): Promise<Placeholder> {
    return new Placeholder(await listen(0))
  }

  /** The port is taken when this returns. */
  take(port: number): this {
    const helperPort = (this.#helper.address() as AddressInfo).port
    const end = connect({ host: HOST, port: helperPort, localAddress: HOST, localPort: port })
    // Without the connection the port is merely likely to be free still.
    end.on('error', () => end.destroy())
    this.#ends.push(end)
    return this
  }

  async give(): Promise<void> {
    this.#helper.close()
    for (const end of this.#ends) end.destroy()
    await once(this.#helper, 'close')
  }
}
