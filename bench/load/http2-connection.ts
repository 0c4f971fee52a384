/** One HTTP/2 connection; opened anew when the server has closed it. */
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2'
import type { Connection, Exchange, LoadReply, LoadRequest } from './connection.ts'
import type { Connector } from './connector.ts'

export class Http2Connection implements Connection {
  readonly #connector: Connector
  #session: ClientHttp2Session | undefined

  constructor(connector: Connector) {
    this.#connector = connector
  }

  send({ method, path, body, isUnfinished = false }: LoadRequest): Exchange {
    const stream = this.#openSession().request(
      { ':method': method, ':path': path },
      { endStream: body === undefined },
    )
    const head = headOf(stream)
    const reply = replyOf(stream, head)
    if (isUnfinished) stream.write(body ?? '')
    else if (body !== undefined) stream.end(body)
    return { head, reply, abort: () => stream.close(constants.NGHTTP2_CANCEL) }
  }

  destroy(): void {
    this.#session?.destroy()
  }

  #openSession(): ClientHttp2Session {
    const open = this.#session
    if (open !== undefined && !open.closed && !open.destroyed) return open
    const { host, port } = this.#connector.target
    const session = connect(`https://${host}:${port}`, {
      createConnection: () => this.#connector.open('h2'),
      settings: { enablePush: false },
    })
    session.on('error', () => undefined) // Its streams fail with it.
    this.#session = session
    return session
  }
}

function headOf(stream: ClientHttp2Stream): Promise<number> {
  const head = new Promise<number>((resolve, reject) => {
    stream.once('response', (headers) => resolve(headers[':status'] ?? 0))
    stream.on('error', reject)
    stream.once('close', () => reject(new Error(`the stream was closed with code ${stream.rstCode}`)))
  })
  head.catch(() => undefined)
  return head
}

function replyOf(stream: ClientHttp2Stream, head: Promise<number>): Promise<LoadReply> {
  const reply = new Promise<LoadReply>((resolve, reject) => {
    let body = ''
    stream.on('data', (chunk: Buffer) => {
      body += chunk.toString('latin1')
    })
    stream.once('close', () => {
      if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
        reject(new Error(`the stream was closed with code ${stream.rstCode}`))
      } else head.then((status) => resolve({ status, body }), reject)
    })
  })
  reply.catch(() => undefined)
  return reply
}
