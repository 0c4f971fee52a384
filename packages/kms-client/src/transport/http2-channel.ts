/** One HTTP/2 connection, shared by all requests at a time. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { KesTimeoutError } from '../errors.ts'
import {
  abortWith,
  brokenConnection,
  type HttpChannel,
  type HttpReply,
  type HttpRequest,
  UnsentError,
} from './channel.ts'
import type { Endpoint } from './endpoint.ts'

/** How often a server is asked for a sign of life before its silence means something. */
const QUESTIONS_MAX = 4
const SETTINGS = { enablePush: false } as const

export class Http2Channel implements HttpChannel {
  readonly #origin: string
  readonly #session: ClientHttp2Session
  #streams = 0
  #isAsking = false
  /** How many signs of life the server has given when it was asked. */
  #signs = 0
  /** Why the session ended; its streams often hear no more than that it did. */
  #failure: Error | undefined

  /** @param socket - on which `h2` was agreed. */
  constructor(endpoint: Endpoint, socket: TLSSocket) {
    this.#origin = endpoint.origin
    this.#session = connect(this.#origin, {
      createConnection: () => socket,
      settings: SETTINGS,
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
    if (request.silenceMsMax !== undefined) this.#askForLife(stream, request.silenceMsMax)
    if (this.#streams++ === 0) this.#session.ref()
    stream.once('close', () => {
      if (--this.#streams === 0) this.#session.unref()
    })
    return stream
  }

  /**
   * Questions are counted, not timed: a process that was busy or asleep for long must not take its own silence for that
   * of the server.
   */
  #askForLife(stream: ClientHttp2Stream, silenceMsMax: number): void {
    let unanswered = 0
    let signs = this.#signs
    const timer = setInterval(() => {
      if (signs !== this.#signs) unanswered = 0
      signs = this.#signs
      if (unanswered === QUESTIONS_MAX) this.#session.destroy(new KesTimeoutError(this.#origin, silenceMsMax))
      else this.#ask()
      unanswered++
    }, silenceMsMax / QUESTIONS_MAX)
    stream.once('close', () => clearInterval(timer))
  }

  /**
   * By the settings once more, which a peer has to acknowledge. Node sends no ping on a connection that takes no further
   * request, where a log may go on for hours. One question is under way at a time, whichever stream asks.
   */
  #ask(): void {
    if (this.#isAsking || this.#session.destroyed) return
    this.#isAsking = true
    this.#session.settings(SETTINGS, (error) => {
      this.#isAsking = false
      if (error === null) this.#signs++
    })
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
