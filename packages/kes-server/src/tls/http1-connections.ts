/**
 * HTTP/1.1 without `node:http` for as long as a client sends one whole request after the other, as those of a key
 * server do: half of what such a request costs otherwise. With the first piece that is something else, or a request that
 * needs more than a reply, the connection is `node:http`'s, and stays so.
 */
import type { TLSSocket } from 'node:tls'
import { Http1Reader, Http1Request } from './http1-request.ts'
import { Http1Response, type Http1ResponseOptions } from './http1-response.ts'
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
  #isStopped = false

  constructor(options: Http1Options) {
    this.#options = options
    this.#connections = new UnusedConnections<Http1Connection>({
      silentMs: options.silentTimeoutMs,
      idleMs: options.idleTimeoutMs,
      endSilent: (connection) => connection.endUnused(),
      endIdle: (connection) => connection.endUnused(),
    })
  }

  add(socket: TLSSocket): void {
    const connection = new Http1Connection(socket, {
      ...this.#options,
      onUse: () => noteUse(),
      onGone: () => this.#connections.remove(connection),
    })
    const noteUse = this.#connections.add(connection)
    if (this.#isStopped) connection.stop()
  }

  /** Each connection ends with the reply that is under way, or now. */
  stop(): void {
    this.#isStopped = true
    for (const connection of this.#connections) connection.stop()
  }

  close(): void {
    this.#connections.close()
  }
}

interface ConnectionOptions extends Http1Options {
  /** A request has come, or the client has its reply. */
  readonly onUse: () => void
  /** Closed, or left to Node. */
  readonly onGone: () => void
}

class Http1Connection {
  readonly #socket: TLSSocket
  readonly #options: ConnectionOptions
  readonly #responseOptions: Http1ResponseOptions
  readonly #reader = new Http1Reader()
  /** Until it has ended. */
  #response: Http1Response | undefined
  /** Replies that are under way, or on their way to the client. */
  #openReplies = 0
  /** What came before it can be read. */
  #held: Buffer | undefined
  #isGoingOn = false
  #isStopping = false
  /** Nothing is read any more. */
  #isOver = false

  constructor(socket: TLSSocket, options: ConnectionOptions) {
    this.#socket = socket
    this.#options = options
    this.#responseOptions = {
      idleTimeoutMs: options.idleTimeoutMs,
      onEnd: this.#onReplied,
      onClose: this.#onReplyClosed,
    }
    socket
      .on('data', this.#onData)
      .on('end', this.#onEnd)
      .on('error', this.#onError)
      .on('close', this.#onClose)
  }

  readonly #onData = (bytes: Buffer): void => {
    if (this.#isOver) return
    const isFree = this.#response === undefined && !this.#socket.writableNeedDrain
    if (isFree && this.#held === undefined) this.#read(bytes)
    else this.#hold(bytes)
  }

  #read(bytes: Buffer): void {
    const read = this.#reader.read(bytes)
    if (read === undefined || this.#options.isStreamed(read.target)) {
      this.#leave(bytes)
      return
    }
    this.#options.onUse()
    const response = new Http1Response(this.#socket, this.#responseOptions)
    response.isLast = this.#isStopping
    this.#response = response
    this.#openReplies += 1
    this.#options.handle(new Http1Request(read, this.#socket), response)
  }

  /** Others than this may resume a socket: more can come all the same. */
  #hold(bytes: Buffer): void {
    this.#socket.pause()
    const before = this.#held
    this.#held = bytes
    if (before !== undefined) {
      this.#held = Buffer.concat([before, bytes])
      // Whoever wipes what was read has wiped all of it.
      before.fill(0)
      bytes.fill(0)
    }
    if (this.#response === undefined) this.#goOnSoon()
  }

  readonly #onReplied = (isLast: boolean): void => {
    this.#response = undefined
    if (isLast) this.#end()
    else if (this.#held !== undefined) this.#goOnSoon()
  }

  readonly #onReplyClosed = (): void => {
    this.#openReplies -= 1
    this.#options.onUse()
  }

  #goOnSoon(): void {
    if (this.#isGoingOn) return
    this.#isGoingOn = true
    if (this.#socket.writableNeedDrain) this.#socket.once('drain', this.#goOn)
    else setImmediate(this.#goOn) // Not inside of the reply before it.
  }

  readonly #goOn = (): void => {
    this.#isGoingOn = false
    const held = this.#held
    if (held === undefined || this.#isOver || this.#socket.destroyed) return
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
    // Read in this turn, and what is kept of it copied: here as elsewhere, whoever wipes a body has wiped all of it.
    setImmediate(() => bytes.fill(0))
  }

  /** As for `node:http`, who sends no more has gone away. */
  readonly #onEnd = (): void => {
    this.#isOver = true
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
    else if (this.#held === undefined) this.#end()
  }

  endUnused(): void {
    if (this.#openReplies === 0) this.#socket.destroy()
  }

  /** Once the client has what was written. */
  #end(): void {
    this.#isOver = true
    this.#socket.destroySoon()
  }
}
