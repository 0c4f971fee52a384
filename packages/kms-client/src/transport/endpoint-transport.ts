/**
 * Sends requests to one endpoint, over HTTP/2 or HTTP/1.1 as agreed with the server, with a deadline and a limit
 * for each reply. A request is sent again only if its connection was closing and did not process it; whether a failed
 * one is repeated, and where, the failover transport decides.
 */
import { decodeApiError } from '../api-error.ts'
import { KesClientError, KesConnectionError, KesProtocolError, KesTimeoutError } from '../errors.ts'
import { type HttpChannel, type HttpReply, UnsentError } from './channel.ts'
import type { ClientTls } from './client-tls.ts'
import { describeConnectionProblem } from './connection-problem.ts'
import type { Endpoint } from './endpoint.ts'
import { Http1Channel } from './http1-channel.ts'
import { Http2Channel } from './http2-channel.ts'
import { BodyTooLargeError, readBody, readChunks } from './read-body.ts'
import { type HttpProtocol, TlsConnector } from './tls-connector.ts'
import type { TransportReply, TransportRequest, TransportStream } from './transport.ts'

const REPLY_BYTES_MAX = 1024 * 1024
const REDIRECTS_MAX = 3
const RESENDS_MAX = 1
/** A longer timer of Node's would end at once. */
const TIMER_MAX_MS = 2 ** 31 - 1
const REDIRECT_STATUSES: readonly number[] = [301, 307, 308]

export class EndpointTransport {
  readonly #endpoint: Endpoint
  readonly #protocols: readonly HttpProtocol[]
  readonly #tls: ClientTls
  readonly #connector: TlsConnector
  readonly #exchanges = new Set<Exchange>()
  #channel: HttpChannel | undefined
  #channelGeneration = 0
  #connecting: Promise<HttpChannel> | undefined
  #isClosed = false

  /** @param protocol - the only one; by default the server chooses. */
  constructor(endpoint: Endpoint, tls: ClientTls, protocol?: HttpProtocol) {
    this.#endpoint = endpoint
    this.#protocols = protocol === undefined ? ['h2', 'http/1.1'] : [protocol]
    this.#tls = tls
    this.#connector = new TlsConnector(endpoint, tls)
  }

  /** `https://host:port` */
  get origin(): string {
    return this.#endpoint.origin
  }

  /** @throws {@link KesClientError}, or the reason of the request's signal. */
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

  /** As {@link send}, for a reply that is read as it comes. */
  async stream(request: TransportRequest): Promise<TransportStream> {
    const exchange = this.#begin(request)
    try {
      const reply = await this.#follow(request, exchange.signal)
      exchange.stopTimer()
      const chunks = this.#chunksOf(reply, exchange, this.#channel)
      return { endpoint: this.origin, contentType: contentTypeOf(reply), chunks }
    } catch (error) {
      this.#end(exchange)
      throw this.#explain(error, exchange.signal)
    }
  }

  /** Breaks off what is under way, and waits for nothing. */
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
  async #follow(request: TransportRequest, signal: AbortSignal): Promise<HttpReply> {
    let { path } = request
    for (let redirects = 0; ; redirects++) {
      const reply = await this.#exchange({ ...request, path }, signal)
      if (reply.status >= 200 && reply.status < 300) return reply

      const body = await this.#readBody(reply)
      if (!REDIRECT_STATUSES.includes(reply.status)) {
        throw decodeApiError(reply.status, contentTypeOf(reply), body, retryAfterOf(reply))
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

  async #exchange(request: TransportRequest, signal: AbortSignal): Promise<HttpReply> {
    for (let resends = 0; ; resends++) {
      const channel = await this.#awaitChannel(signal, request.connectTimeoutMs)
      try {
        return await channel.exchange(request, signal)
      } catch (error) {
        // A connection that a request timed out on may be dead, and would take hours to say so.
        if (isTimeout(signal)) channel.abandon()
        if (!(error instanceof UnsentError) || error.cause !== undefined || resends >= RESENDS_MAX)
          throw error
        channel.abandon()
      }
    }
  }

  /** @throws {@link UnsentError} if there is none, or the reason of the signal. */
  async #awaitChannel(signal: AbortSignal, timeoutMs: number | undefined): Promise<HttpChannel> {
    const channel = this.#openChannel()
    if (!(channel instanceof Promise)) return channel
    const slow = new AbortController()
    const timer =
      timeoutMs === undefined ? undefined : setTimeout(() => slow.abort(noConnection()), timeoutMs)
    try {
      return await untilAborted(untilAborted(channel, slow.signal), signal)
    } catch (cause) {
      // Others may go on waiting for this one; who comes later has a new one.
      const isTooSlow = slow.signal.aborted || isTimeout(signal)
      if (isTooSlow && this.#connecting === channel) this.#connecting = undefined
      if (signal.aborted || cause instanceof KesClientError) throw cause
      throw new UnsentError('there is no connection', { cause })
    } finally {
      clearTimeout(timer)
    }
  }

  #openChannel(): Promise<HttpChannel> | HttpChannel {
    if (this.#channel?.isOpen && this.#channelGeneration === this.#tls.generation) return this.#channel
    if (this.#connecting !== undefined) return this.#connecting
    const connecting = this.#connect().finally(() => {
      if (this.#connecting === connecting) this.#connecting = undefined
    })
    this.#connecting = connecting
    return connecting
  }

  async #connect(): Promise<HttpChannel> {
    const { generation } = this.#tls
    const socket = await this.#connector.connect(this.#protocols)
    const isHttp2 = socket.alpnProtocol === 'h2'
    if (!isHttp2 && !this.#protocols.includes('http/1.1')) {
      socket.destroy()
      throw this.#protocolError('the server does not speak HTTP/2')
    }
    const channel = isHttp2
      ? new Http2Channel(this.#endpoint, socket)
      : new Http1Channel(this.#connector, socket)
    this.#channel?.abandon()
    this.#channel = channel
    this.#channelGeneration = generation
    return channel
  }

  async #readBody(reply: HttpReply, bytesMax = REPLY_BYTES_MAX): Promise<Buffer> {
    const body = await readBody(reply, bytesMax).catch((error: unknown) => {
      if (!(error instanceof BodyTooLargeError)) throw error
      throw this.#protocolError(`the server's reply has over ${bytesMax} bytes`)
    })
    const expected = headerOf(reply, 'content-length')
    if (expected !== undefined && Number(expected) !== body.length) {
      throw this.#protocolError(`the server's reply has ${body.length} bytes instead of ${expected}`)
    }
    return body
  }

  async *#chunksOf(
    reply: HttpReply,
    exchange: Exchange,
    channel: HttpChannel | undefined,
  ): AsyncGenerator<Buffer> {
    try {
      yield* readChunks(reply)
      exchange.signal.throwIfAborted() // What was broken off by its signal ends like what is whole.
    } catch (error) {
      if (isTimeout(exchange.signal)) channel?.abandon()
      throw this.#explain(error, exchange.signal)
    } finally {
      this.#end(exchange)
    }
  }

  /** What the caller sees of an error: the reason if the exchange was broken off, or one of the client's classes. */
  #explain(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason
    if (error instanceof KesClientError || error instanceof TypeError) return error
    const isUnsent = error instanceof UnsentError
    const cause = isUnsent ? (error.cause ?? error) : error
    const problem = describeConnectionProblem(cause, this.#tls.hasClientCertificate)
    return new KesConnectionError(this.#endpoint.origin, problem, { cause, isUnsent })
  }

  #protocolError(problem: string): KesProtocolError {
    return new KesProtocolError(`${this.#endpoint.origin}: ${problem}`)
  }

  #closedError(): KesConnectionError {
    return new KesConnectionError(this.#endpoint.origin, 'the client is closed', { isUnsent: true })
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
      const timer = () => this.abort(new KesTimeoutError(endpoint, timeoutMs))
      this.#timer = setTimeout(timer, Math.min(timeoutMs, TIMER_MAX_MS))
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
async function untilAborted<T>(value: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = (): void => reject(signal.reason)
  signal.addEventListener('abort', onAbort)
  try {
    return await Promise.race([value, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

function noConnection(): Error {
  return Object.assign(new Error('no connection in time'), { code: 'ETIMEDOUT' })
}

function isTimeout(signal: AbortSignal): boolean {
  return signal.reason instanceof KesTimeoutError
}

/** Milliseconds; the header has seconds or a date (RFC 9110, section 10.2.3). */
function retryAfterOf(reply: HttpReply): number | undefined {
  const text = headerOf(reply, 'retry-after')
  if (text === undefined) return undefined
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now()
  return Number.isNaN(ms) ? undefined : Math.max(0, ms)
}

function contentTypeOf(reply: HttpReply): string | undefined {
  return headerOf(reply, 'content-type')
}

function headerOf(reply: HttpReply, name: string): string | undefined {
  const value = reply.headers[name]
  return typeof value === 'string' ? value : value?.[0]
}
