/** One client's connection to a server under test, over either version of HTTP, with the raw bytes of each reply. */
import { connect, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2'
import { Agent, request as requestHttps } from 'node:https'
import { type ConnectionOptions, connect as connectTls } from 'node:tls'

export type Protocol = 'h2' | 'http/1.1'
export const PROTOCOLS: readonly Protocol[] = ['h2', 'http/1.1']

export interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly rawBody: Buffer
}

export interface Sent {
  readonly method: string
  readonly path: string
  readonly headers: OutgoingHttpHeaders
  /** None: the headers end the request. Several chunks are sent without a length. */
  readonly body: Buffer | readonly Buffer[] | undefined
}

export interface Connection {
  /** @throws what the connection did instead of replying: a reset, an end. */
  send(request: Sent): Promise<Reply>
  close(): void
}

export function openConnection(protocol: Protocol, options: ConnectionOptions): Connection {
  return protocol === 'h2' ? openHttp2(options) : openHttp1(options)
}

function openHttp2(options: ConnectionOptions): Connection {
  const session = connect(`https://127.0.0.1:${options.port}`, {
    createConnection: () => connectTls({ ...options, ALPNProtocols: ['h2'] }),
  })
  let sessionError: Error | undefined
  session.on('error', (error) => {
    sessionError = error
  })
  return {
    send({ method, path, headers, body }) {
      return new Promise((resolve, reject) => {
        if (sessionError !== undefined) throw sessionError
        const stream = session.request(
          { ...headers, ':method': method, ':path': path },
          { endStream: body === undefined },
        )
        const chunks: Buffer[] = []
        let received: IncomingHttpHeaders | undefined
        let hasEnded = false
        stream.on('response', (response) => {
          received = response
        })
        stream.on('data', (chunk: Buffer) => chunks.push(chunk))
        stream.on('end', () => {
          hasEnded = true
        })
        stream.on('error', () => {}) // Its code says as much when it closes.
        stream.on('close', () => {
          if (received !== undefined && hasEnded) {
            const { ':status': status = '', ...rest } = received
            resolve({ status: Number(status), headers: rest, rawBody: Buffer.concat(chunks) })
          } else reject(sessionError ?? new Error(`stream closed with code ${nameOf(stream.rstCode)}`))
        })
        if (body === undefined) return
        for (const chunk of Array.isArray(body) ? body : [body]) stream.write(chunk)
        stream.end()
      })
    },
    close() {
      session.destroy()
    },
  }
}

function nameOf(code: number | undefined): string {
  const names = Object.entries(constants).filter(([name]) => /^NGHTTP2_[A-Z_]+$/.test(name))
  return names.find(([, value]) => value === code)?.[0] ?? String(code)
}

function openHttp1(options: ConnectionOptions): Connection {
  const agent = new Agent({ keepAlive: true, ...options, ALPNProtocols: ['http/1.1'] })
  return {
    send({ method, path, headers, body }) {
      return new Promise((resolve, reject) => {
        const { host = '127.0.0.1', port = 0 } = options
        // Node sends no length for the body of a GET by itself.
        const length = Buffer.isBuffer(body) ? { 'content-length': body.length } : {}
        const sent = { agent, host, port, method, path, headers: { ...length, ...headers } }
        const request = requestHttps(sent, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const { statusCode = 0, headers: received } = response
            resolve({ status: statusCode, headers: received, rawBody: Buffer.concat(chunks) })
          })
        })
        request.on('error', reject)
        if (Array.isArray(body)) {
          for (const chunk of body) request.write(chunk)
          request.end()
        } else request.end(body)
      })
    },
    close() {
      agent.destroy()
    },
  }
}
