/**
 * One HTTP/2 exchange in the shape of `node:http`'s request and response, for fastify.
 *
 * `node:http2` has such an adapter itself, but its generality costs more time than the whole rest of a
 * request; these two classes hold what fastify and this server touch, and nothing else.
 */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { ReplyHeaders } from './reply-headers.ts'

export class Http2Request {
  readonly httpVersionMajor = 2
  readonly httpVersion = '2.0'
  headers: IncomingHttpHeaders
  readonly method: string
  /** fastify writes the target here as its router reads it. */
  url: string
  readonly socket: TLSSocket
  readonly stream: ServerHttp2Stream
  /** Whether the headers ended the request, so that no body follows. */
  readonly hasNoBody: boolean

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, socket: TLSSocket) {
    this.stream = stream
    this.headers = headers
    this.method = headers[':method'] ?? ''
    this.url = headers[':path'] ?? ''
    this.socket = socket
    this.hasNoBody = stream.endAfterHeaders
  }
}

export class Http2Response extends ReplyHeaders {
  statusCode = 200
  headersSent = false
  /** Not the stream's own: of a HEAD request, Node ends that one before there is a reply. */
  writableEnded = false
  readonly stream: ServerHttp2Stream

  constructor(stream: ServerHttp2Stream) {
    super()
    this.stream = stream
  }

  get destroyed(): boolean {
    return this.stream.destroyed
  }

  writeHead(status: number, headers: Readonly<Record<string, string | number>> = {}): this {
    this.statusCode = status
    this.headersSent = true
    if (this.stream.destroyed) return this
    // As a list, which costs Node less than an object.
    const list = [':status', String(status)]
    for (const name in this.headers) if (!(name in headers)) list.push(name, String(this.headers[name]))
    for (const name in headers) list.push(name, String(headers[name]))
    this.stream.respond(list)
    return this
  }

  write(chunk: Buffer | string): boolean {
    return this.stream.write(chunk)
  }

  /** Ends the reply, and the exchange: a request body that nobody read is not waited for. */
  end(chunk?: Buffer | string): this {
    if (this.stream.destroyed) return this
    if (!this.headersSent) this.writeHead(this.statusCode)
    this.writableEnded = true
    if (!this.stream.writableEnded) this.stream.end(chunk)
    return this
  }

  on(event: string, listener: () => void): this {
    this.stream.on(event, listener)
    return this
  }

  /** fastify waits so for the room to write the next 64 KiB of a reply. */
  once(event: string, listener: () => void): this {
    this.stream.once(event, listener)
    return this
  }

  /** Where a reply that has begun can't be finished. */
  destroy(error?: Error): this {
    this.stream.destroy(error)
    return this
  }
}

/** Node's own state of a stream's writing side, of which Node documents nothing. */
interface WithWritingState {
  readonly _writableState?: { errored: Error | null }
}

const HAS_ENDED = new Error('the reply has ended')

/**
 * Spares an error that nobody gets to see. Node destroys a stream when its last frame is ready to be sent, finds its last
 * write without confirmation, and makes an error with a stack trace of it: a tenth of what a request costs. One that is
 * there already is taken instead.
 */
export function endWithoutError(stream: ServerHttp2Stream): void {
  stream._destroy = destroyEnded
}

function destroyEnded(
  this: ServerHttp2Stream & WithWritingState,
  error: Error | null,
  callback: (error?: Error | null) => void,
): void {
  if (error === null && this.writableEnded && this._writableState !== undefined) {
    this._writableState.errored = HAS_ENDED
  }
  Object.getPrototypeOf(this)._destroy.call(this, error, callback)
}
