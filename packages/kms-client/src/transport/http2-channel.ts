/** One HTTP/2 connection, shared by all requests at a time. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import {
  abortWith,
  brokenConnection,
  type HttpChannel,
  type HttpReply,
  type HttpRequest,
  UnsentError,
} from './channel.ts'
import type { Endpoint } from './endpoint.ts'

export class Http2Channel implements HttpChannel {
  readonly #session: ClientHttp2Session
  #streams = 0
  /** Why the session ended; its streams often hear no more than that it did. */
  #failure: Error | undefined

  /** @param socket - on which `h2` was agreed. */
  constructor(endpoint: Endpoint, socket: TLSSocket) {
    this.#session = connect(endpoint.origin, {
      createConnection: () => socket,
      settings: { enablePush: false },
    })
    this.#session.on('error', (error) => {
      this.#failure = error
    })
    this.#session.unref() // An idle connection keeps no process alive.
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed
  }

  exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpReply> {
    signal.throwIfAborted()
    return new Promise((resolve, reject) => {
      const stream = this.#open(request, signal)
      const onFailure = (error?: Error): void => {
        if (isUnprocessed(stream)) reject(new UnsentError('the connection was closing'))
        else reject(this.#failure ?? error ?? brokenConnection())
      }
      stream.on('error', onFailure)
      stream.once('close', onFailure)
      stream.once('response', (headers) => {
        stream.off('close', onFailure)
        resolve({
          status: headers[':status'] ?? 0,
          headers,
          body: stream,
          isComplete: () => !isBroken(stream),
        })
      })
      if (request.body !== undefined) stream.end(request.body)
    })
  }

  abandon(): void {
    this.#session.close()
  }

  #open(request: HttpRequest, signal: AbortSignal): ClientHttp2Stream {
    if (!this.isOpen) throw new UnsentError('the connection is closed')
    const stream = this.#session.request(
      {
        ':method': request.method,
        ':path': request.path,
        ...(request.body === undefined
          ? {}
          : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(request.body) }),
      },
      { endStream: request.body === undefined },
    )
    abortWith(stream, signal, () => {
      stream.close(constants.NGHTTP2_CANCEL)
      stream.destroy() // It would wait for the body to be read.
    })
    if (this.#streams++ === 0) this.#session.ref()
    stream.once('close', () => {
      if (--this.#streams === 0) this.#session.unref()
    })
    return stream
  }
}

/** The peer promises so for every stream above the last one of its GOAWAY (RFC 9113, section 8.7). */
function isUnprocessed(stream: ClientHttp2Stream): boolean {
  return stream.rstCode === constants.NGHTTP2_REFUSED_STREAM
}

/** Node ends the body of a stream that was reset, or whose connection was cut, as if it were complete. */
function isBroken(stream: ClientHttp2Stream): boolean {
  return stream.rstCode !== constants.NGHTTP2_NO_ERROR
}
