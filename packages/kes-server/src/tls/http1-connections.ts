/**
 * HTTP/1.1 without `node:http` for as long as a client sends one whole request after the other, as those of a key
 * server do: half of what such a request costs otherwise. With the first piece that is something else, or a request that
 * needs more than a reply, the connection is `node:http`'s, and stays so.
 */
import type { TLSSocket } from 'node:tls'
import { Http1Reader, Http1Request } from './http1-request.ts'
import { Http1Response } from './http1-response.ts'
import { UnusedConnections } from './unused-connections.ts'

export interface Http1Options {
  readonly silentTimeoutMs: number
  readonly idleTimeoutMs: number
  /** Whether a target wants more than a reply. */
  readonly isStreamed: (target: string) => boolean
  readonly handle: (request: Http1Request, response: Http1Response) => void
  /** Has `node:http` serve the connection, with all that is to be read from it. */
  readonly leaveToNode: (socket: TLSSocket) => void
}

export class Http1Connections {
  readonly #options: Http1Options
  readonly #connections: UnusedConnections<Http1Connection>

  constructor(options: Http1Options) {
    this.#options = options
    this.#connections = new UnusedConnections<Http1Connection>({
      silentMs: options.silentTimeoutMs,
      idleMs: options.idleTimeoutMs,
      endSilent: (connection) => connection.destroy(),
      endIdle: (connection) => connection.endIdle(),
    })
  }

  add(socket: TLSSocket): void {
    const connection = new Http1Connection(socket, {
      ...this.#options,
      onRequest: () => noteUse(),
      onGone: () => this.#connections.remove(connection),
    })
    const noteUse = this.#connections.add(connection)
  }

  /** Each connection ends with the reply that is under way, or now. */
  stop(): void {
    for (const connection of this.#connections) connection.stop()
  }

  close(): void {
    this.#connections.close()
  }
}

interface ConnectionOptions extends Http1Options {
  readonly onRequest: () => void
  /** Closed, or left to Node. */
  readonly onGone: () => void
}

class Http1Connection {
  readonly #socket: TLSSocket
  readonly #options: ConnectionOptions
  readonly #reader = new Http1Reader()
  /** Until it has ended. */
  #response: Http1Response | undefined
  /** What came while a reply was under way. */
  #held: Buffer | undefined
  #isStopping = false

  constructor(socket: TLSSocket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('error', this.#onError)
      .on('close', this.#onClose)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#response === undefined && !this.#socket.writableNeedDrain) {
      this.#read(bytes)
      return
    }
    this.#held = this.#held === undefined ? bytes : Buffer.concat([this.#held, bytes])
    this.#socket.pause()
    if (this.#response === undefined) this.#socket.once('drain', this.#goOn)
  }

  #read(bytes: Buffer): void {
    const read = this.#reader.read(bytes)
    if (read === undefined || this.#options.isStreamed(read.target)) {
      this.#leave(bytes)
      return
    }
    this.#options.onRequest()
    const response = new Http1Response(this.#socket, {
      idleTimeoutMs: this.#options.idleTimeoutMs,
      onEnd: this.#onReplied,
    })
    response.isLast = this.#isStopping
    this.#response = response
    this.#options.handle(new Http1Request(read, this.#socket), response)
  }

  readonly #onReplied = (isLast: boolean): void => {
    this.#response = undefined
    if (isLast) this.#socket.destroySoon()
    else if (this.#held !== undefined) {
      if (this.#socket.writableNeedDrain) this.#socket.once('drain', this.#goOn)
      else setImmediate(this.#goOn) // Not inside of the reply before it.
    }
  }

  readonly #goOn = (): void => {
    const held = this.#held
    if (held === undefined || this.#response !== undefined || this.#socket.destroyed) return
    this.#held = undefined
    this.#socket.resume()
    this.#read(held)
  }

  #leave(bytes: Buffer): void {
    const { onGone, leaveToNode } = this.#options
    const socket = this.#socket
    onGone()
    socket
      .off('data', this.#onData)
      .off('end', this.#onEnd)
      .off('error', this.#onError)
      .off('close', this.#onClose)
    // What was read is not lost on a stream that flows only if it stops until somebody listens.
    socket.pause()
    socket.unshift(bytes)
    leaveToNode(socket)
    socket.resume()
  }

  /** As for `node:http`, who sends no more has gone away. */
  readonly #onEnd = (): void => {
    this.#socket.end()
  }

  readonly #onError = (): void => {
    this.#socket.destroy()
  }

  readonly #onClose = (): void => {
    this.#options.onGone()
    this.#response?.close()
  }

  stop(): void {
    this.#isStopping = true
    if (this.#response !== undefined) this.#response.isLast = true
    else if (this.#held === undefined) this.#socket.destroySoon()
  }

  endIdle(): void {
    if (this.#response === undefined) this.#socket.destroySoon()
  }

  destroy(): void {
    this.#socket.destroy()
  }
}
