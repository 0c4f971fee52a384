/** A program that embeds the server may stand between its connections and its APIs, as a test harness does. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable, Writable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Identity } from '../names.ts'
import { Http2Request, type Http2Response } from '../tls/http2-exchange.ts'
import { peerOf, type RequestHandler } from '../tls/listener.ts'

/** A request that the server has not looked at yet. */
export interface InterceptedExchange {
  readonly method: string
  /** Path and query, as sent. */
  readonly target: string
  readonly protocol: 'h2' | 'http/1.1'
  /** Undefined of a client without a certificate, or with one that is nobody's. */
  readonly identity: Identity | undefined
  readonly socket: TLSSocket
  readonly body: Readable
  readonly response: Pick<ServerResponse, 'statusCode' | 'headersSent'> & {
    writeHead(status: number, headers: Readonly<Record<string, string | number>>): unknown
    end(body?: Buffer | string): unknown
  }
  /** Where the body of the answer is written to. It is destroyed or closed with the exchange. */
  readonly answer: Writable
}

/**
 * @param proceed - lets the request in; at any time, but once, and not after the exchange has closed. Without it the
 *   server never hears of the request.
 */
export type Intercept = (exchange: InterceptedExchange, proceed: () => void) => void

export function intercepted(handler: RequestHandler, intercept: Intercept): RequestHandler {
  return (request, response) => {
    intercept(exchangeOf(request, response), () => handler(request, response))
  }
}

function exchangeOf(
  request: IncomingMessage | Http2Request,
  response: ServerResponse | Http2Response,
): InterceptedExchange {
  const isHttp2 = request instanceof Http2Request
  // node:https has no other sockets.
  const socket = request.socket as TLSSocket
  return {
    method: request.method ?? '',
    target: request.url ?? '',
    protocol: isHttp2 ? 'h2' : 'http/1.1',
    identity: peerOf(socket).identity,
    socket,
    body: isHttp2 ? request.stream : request,
    response,
    answer: isHttp2 ? request.stream : (response as ServerResponse),
  }
}
