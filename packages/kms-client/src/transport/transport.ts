/** What a client needs of its way to a server, or to several. */
import type { KesClientError } from '../errors.ts'
import type { HttpRequest } from './channel.ts'

export interface TransportRequest extends HttpRequest {
  readonly signal?: AbortSignal | undefined
  /** For the whole exchange, or for a stream until its headers are here. */
  readonly timeoutMs?: number | undefined
  /** For a new connection, if one is needed. Default: 10 s. */
  readonly connectTimeoutMs?: number | undefined
  readonly replyBytesMax?: number
  /**
   * Whether sending it twice does no more than sending it once, so that it may be repeated when nobody knows what
   * became of it. Default: no.
   */
  readonly isRepeatable?: boolean
}

export interface TransportReply {
  readonly contentType: string | undefined
  readonly body: Buffer
}

export interface TransportStream {
  /** Of the server that sends it: `https://host:port`. */
  readonly endpoint: string
  readonly contentType: string | undefined
  /** Without a limit. Leaving the iteration ends the exchange. */
  readonly chunks: AsyncIterable<Buffer>
}

export interface EndpointAnswer {
  /** `https://host:port` */
  readonly endpoint: string
  readonly reply: TransportReply | KesClientError
}

export interface Transport {
  /** @throws {@link KesClientError}, or the reason of the request's signal. */
  send(request: TransportRequest): Promise<TransportReply>
  /** As {@link send}, for a reply that is read as it comes. */
  stream(request: TransportRequest): Promise<TransportStream>
  /** To each server, once. */
  sendToEach(request: TransportRequest): Promise<EndpointAnswer[]>
  /** Reads certificates from their files again. @throws TypeError if they are no good; the former stay in use. */
  reload(): void
  /** Breaks off what is under way, and waits for nothing. */
  close(): void
}
