/**
 * Sends requests to one endpoint, over HTTP/2 or HTTP/1.1 as agreed with the server, with a deadline and a limit
 * for each reply. A request is sent again only if its connection was closing and did not process it; whether to
 * repeat a failed one is for the caller to say.
 */
import { decodeApiError } from '../api-error.ts'
import { KesClientError, KesConnectionError, KesProtocolError, KesTimeoutError } from '../errors.ts'
import {
  brokenConnection,
  type HttpChannel,
  type HttpReply,
  type HttpRequest,
  UnsentError,
} from './channel.ts'
import { describeConnectionProblem } from './connection-problem.ts'
import { type Endpoint, parseEndpoint } from './endpoint.ts'
import { Http1Channel } from './http1-channel.ts'
import { Http2Channel } from './http2-channel.ts'
import { type HttpProtocol, TlsConnector, type TlsOptions } from './tls-connector.ts'
import type { Transport, TransportReply, TransportRequest, TransportStream } from './transport.ts'

const REPLY_BYTES_MAX = 1024 * 1024
const REDIRECTS_MAX = 3
const RESENDS_MAX = 1
const REDIRECT_STATUSES: readonly number[] = [301, 307, 308]

export interface TransportOptions extends TlsOptions {
  readonly endpoint: string
  readonly protocol?: HttpProtocol | undefined
}

export class EndpointTransport implements Transport {
  readonly #endpoint: Endpoint
  readonly #protocols: readonly HttpProtocol[]
  readonly #connector: TlsConnector
  readonly #exchanges = new Set<Exchange>()
  #channel: HttpChannel | undefined
  #connecting: Promise<HttpChannel> | undefined
  #isClosed = false

  /** @throws TypeError if an option is malformed. */
  constructor(options: TransportOptions) {
    this.#endpoint = parseEndpoint(options.endpoint)
    this.#protocols = options.protocol === undefined ? ['h2', 'http/1.1'] : [options.protocol]
    this.#connector = new TlsConnector(this.#endpoint, options)
  }

  async send(request: TransportRequest): Promise<TransportReply> {
    const exchange = this.#begin(request)
    try {
      const reply = await this.#follow(request, exchange.signal)
      return { contentType: contentTypeOf(reply), body: await this.#readBody(reply, request.replyBytesMax) }
    } catch (error) {
      throw this.#explain(error, exchange.signal)
    } finally {
      this.#end(exchange)
    }
  }

  async stream(request: TransportRequest): Promise<TransportStream> {
    const exchange = this.#begin(request)
    try {
      const reply = await this.#follow(request, exchange.signal)
      exchange.stopTimer()
      return { contentType: contentTypeOf(reply), chunks: this.#chunksOf(reply, exchange) }
    } catch (error) {
      this.#end(exchange)
      throw this.#explain(error, exchange.signal)
    }
  }

  close(): void {
    this.#isClosed = true
    for (const exchange of this.#exchanges) exchange.abort(this.#closedError())
    this.#channel?.abandon()
    this.#connector.destroy()
  }

  #begin(request: TransportRequest): Exchange {
    request.signal?.throwIfAborted()
    if (this.#isClosed) throw this.#closedError()
    const exchange = new Exchange(request.signal, request.timeoutMs, this.#endpoint.origin)
    this.#exchanges.add(exchange)
    return exchange
  }

  #end(exchange: Exchange): void {
    exchange.dispose()
    this.#exchanges.delete(exchange)
  }

  /** Sends the request and follows redirects of a GET, which a Go KES answers to `/v1/key/list`. */
  async #follow(request: HttpRequest, signal: AbortSignal): Promise<HttpReply> {
    let { path } = request
    for (let redirects = 0; ; redirects++) {
      const reply = await this.#exchange({ ...request, path }, signal)
      if (reply.status >= 200 && reply.status < 300) return reply

      const body = await this.#readBody(reply)
      if (!REDIRECT_STATUSES.includes(reply.status)) {
        throw decodeApiError(reply.status, contentTypeOf(reply), body)
      }
      const target = URL.parse(headerOf(reply, 'location') ?? '', this.#endpoint.origin + path)
      if (
        request.method !== 'GET' ||
        target?.origin !== this.#endpoint.origin ||
        redirects >= REDIRECTS_MAX
      ) {
        throw this.#protocolError(
          `the server redirects ${request.method} ${path} to ${target?.href ?? 'nowhere'}`,
        )
      }
      path = target.pathname + target.search
    }
  }

  async #exchange(request: HttpRequest, signal: AbortSignal): Promise<HttpReply> {
    for (let resends = 0; ; resends++) {
      const channel = await untilAborted(this.#openChannel(), signal)
      try {
        return await channel.exchange(request, signal)
      } catch (error) {
        // A connection that a request timed out on may be dead, and would take hours to say so.
        if (signal.reason instanceof KesTimeoutError) channel.abandon()
        if (!(error instanceof UnsentError) || resends >= RESENDS_MAX) throw error
        channel.abandon()
      }
    }
  }

  #openChannel(): Promise<HttpChannel> | HttpChannel {
    if (this.#channel?.isOpen) return this.#channel
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined
    })
    return this.#connecting
  }

  async #connect(): Promise<HttpChannel> {
    const socket = await this.#connector.connect(this.#protocols)
    const isHttp2 = socket.alpnProtocol === 'h2'
    if (!isHttp2 && !this.#protocols.includes('http/1.1')) {
      socket.destroy()
      throw this.#protocolError('the server does not speak HTTP/2')
    }
    this.#channel = isHttp2
      ? new Http2Channel(this.#endpoint, socket)
      : new Http1Channel(this.#connector, socket)
    return this.#channel
  }

  async #readBody(reply: HttpReply, bytesMax = REPLY_BYTES_MAX): Promise<Buffer> {
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of readChunks(reply)) {
      bytes += chunk.length
      if (bytes > bytesMax) throw this.#protocolError(`the server's reply has over ${bytesMax} bytes`)
      chunks.push(chunk)
    }
    const expected = headerOf(reply, 'content-length')
    if (expected !== undefined && Number(expected) !== bytes) {
      throw this.#protocolError(`the server's reply has ${bytes} bytes instead of ${expected}`)
    }
    return Buffer.concat(chunks, bytes)
  }

  async *#chunksOf(reply: HttpReply, exchange: Exchange): AsyncGenerator<Buffer> {
    try {
      yield* readChunks(reply)
    } catch (error) {
      throw this.#explain(error, exchange.signal)
    } finally {
      this.#end(exchange)
    }
  }

  /** What the caller sees of an error: the reason if the exchange was broken off, or one of the client's classes. */
  #explain(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason
    if (error instanceof KesClientError || error instanceof TypeError) return error
    const problem = describeConnectionProblem(error, this.#connector.hasClientCertificate)
    return new KesConnectionError(this.#endpoint.origin, problem, { cause: error })
  }

  #protocolError(problem: string): KesProtocolError {
    return new KesProtocolError(`${this.#endpoint.origin}: ${problem}`)
  }

  #closedError(): KesConnectionError {
    return new KesConnectionError(this.#endpoint.origin, 'the client is closed')
  }
}

/** A request under way: joins the caller's signal, the deadline and the closing of the client. */
class Exchange {
  readonly #controller = new AbortController()
  readonly #callerSignal: AbortSignal | undefined
  readonly #timer: NodeJS.Timeout | undefined
  readonly #onCallerAbort = (): void => this.#controller.abort(this.#callerSignal?.reason)

  constructor(callerSignal: AbortSignal | undefined, timeoutMs: number | undefined, endpoint: string) {
    this.#callerSignal = callerSignal
    callerSignal?.addEventListener('abort', this.#onCallerAbort)
    if (timeoutMs !== undefined) {
      this.#timer = setTimeout(() => this.abort(new KesTimeoutError(endpoint, timeoutMs)), timeoutMs)
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  abort(reason: unknown): void {
    this.#controller.abort(reason)
  }

  stopTimer(): void {
    clearTimeout(this.#timer)
  }

  dispose(): void {
    this.stopTimer()
    this.#callerSignal?.removeEventListener('abort', this.#onCallerAbort)
  }
}

/** The connection is shared, so it goes on when one of those who wait for it gives up. */
async function untilAborted<T>(value: Promise<T> | T, signal: AbortSignal): Promise<T> {
  if (!(value instanceof Promise)) return value
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** @throws if the body was broken off. */
async function* readChunks(reply: HttpReply): AsyncGenerator<Buffer> {
  yield* reply.body as AsyncIterable<Buffer>
  if (!reply.isComplete()) throw brokenConnection()
}

function contentTypeOf(reply: HttpReply): string | undefined {
  return headerOf(reply, 'content-type')
}

function headerOf(reply: HttpReply, name: string): string | undefined {
  const value = reply.headers[name]
  return typeof value === 'string' ? value : value?.[0]
}
