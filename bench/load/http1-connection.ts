/** One HTTP/1.1 connection that is kept alive; opened anew when it was closed. */
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Agent, request as openRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import type { Connection, Exchange, LoadReply, LoadRequest } from './connection.ts'
import type { Connector } from './connector.ts'

/** What the head of an unfinished body promises more than is sent. */
const MISSING_BYTES = 1000

export class Http1Connection implements Connection {
  readonly #connector: Connector
  readonly #agent: Agent

  constructor(connector: Connector) {
    this.#connector = connector
    this.#agent = new SingleAgent(connector)
  }

  send({ method, path, body = '', isUnfinished = false }: LoadRequest): Exchange {
    const { host, port } = this.#connector.target
    const bytes = Buffer.byteLength(body)
    const headers = method === 'GET' ? {} : { 'content-length': isUnfinished ? bytes + MISSING_BYTES : bytes }
    const request = openRequest({ agent: this.#agent, host, port, method, path, headers })
    const response = responseTo(request)
    const head = response.then(({ statusCode = 0 }) => statusCode)
    const reply = response.then(readReply)
    for (const promise of [head, reply]) promise.catch(() => undefined)
    if (isUnfinished) request.write(body)
    else request.end(body)
    return { head, reply, abort: () => request.destroy() }
  }

  destroy(): void {
    this.#agent.destroy()
  }
}

class SingleAgent extends Agent {
  readonly #connector: Connector

  constructor(connector: Connector) {
    super({ keepAlive: true, maxSockets: 1 })
    this.#connector = connector
  }

  override createConnection(): Duplex {
    return this.#connector.open('http/1.1')
  }
}

function responseTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve)
    request.on('error', reject)
    request.once('close', () => reject(new Error('the request was closed without a reply')))
  })
}

function readReply(response: IncomingMessage): Promise<LoadReply> {
  return new Promise((resolve, reject) => {
    let body = ''
    response.setEncoding('latin1')
    response.on('data', (chunk: string) => {
      body += chunk
    })
    response.on('error', reject)
    response.once('close', () => {
      if (response.complete) resolve({ status: response.statusCode ?? 0, body })
      else reject(new Error('the reply was cut'))
    })
  })
}
