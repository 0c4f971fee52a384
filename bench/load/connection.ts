/** One connection to the server, over either version of HTTP, with as little between as `node:http2` and `node:https`. */
import type { Connector } from './connector.ts'
import { Http1Connection } from './http1-connection.ts'
import { Http2Connection } from './http2-connection.ts'
import type { HttpProtocol } from './target.ts'

export interface LoadRequest {
  readonly method: 'GET' | 'PUT' | 'DELETE'
  readonly path: string
  readonly body?: string
  /** Announces a longer body than it sends, and waits. Ends only when it is aborted or refused. */
  readonly isUnfinished?: boolean
}

export interface LoadReply {
  readonly status: number
  readonly body: string
}

/** A request under way. Both promises reject if it is cut or aborted; nobody needs to look at both. */
export interface Exchange {
  /** Resolves with the status when the head of the reply is here. */
  readonly head: Promise<number>
  readonly reply: Promise<LoadReply>
  readonly abort: () => void
}

export interface Connection {
  /** Over HTTP/2 any number at a time; over HTTP/1.1 one after the other. */
  readonly send: (request: LoadRequest) => Exchange
  readonly destroy: () => void
}

/** Connects at the first request. */
export function openConnection(connector: Connector, protocol: HttpProtocol): Connection {
  return protocol === 'h2' ? new Http2Connection(connector) : new Http1Connection(connector)
}
