/** A client of the node: signed requests over connections that stay open, bodies that are never whole in memory. */
import { Agent, request } from 'node:http'
import { signRequest } from '../../packages/storage-node/src/s3/sign-request.ts'
import { CREDENTIALS } from './node-process.ts'

const PIECE = Buffer.alloc(64 * 1024, 7)

export interface SentOptions {
  readonly headers?: Readonly<Record<string, string>>
  /** Of the body. */
  readonly bytes?: number
}

export class S3Load {
  readonly #url: URL
  readonly #agent: Agent

  constructor(url: string, connections: number) {
    this.#url = new URL(url)
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections })
  }

  /** @returns the status, once the answer has been read to its end. */
  send(method: string, target: string, { headers = {}, bytes = 0 }: SentOptions = {}): Promise<number> {
    const { host, hostname, port } = this.#url
    const signed = signRequest(CREDENTIALS, {
      method,
      target,
      host,
      headers,
      body: Buffer.alloc(0),
      now: Date.now(),
      // What a client sends over TLS, where the connection proves the body.
      ...(bytes > 0 ? { payload: 'UNSIGNED-PAYLOAD' } : {}),
    })
    return new Promise((resolve, reject) => {
      const exchange = request(
        {
          hostname,
          port,
          method,
          path: target,
          agent: this.#agent,
          headers: { ...signed, 'content-length': bytes },
        },
        (response) => {
          response.on('error', reject)
          response.on('end', () => resolve(response.statusCode ?? 0))
          response.resume()
        },
      )
      exchange.on('error', reject)
      void writeBody(exchange, bytes).catch(reject)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

async function writeBody(exchange: ReturnType<typeof request>, bytes: number): Promise<void> {
  for (let at = 0; at < bytes; at += PIECE.length) {
    const piece = PIECE.subarray(0, Math.min(PIECE.length, bytes - at))
    if (!exchange.write(piece)) await new Promise((resolve) => exchange.once('drain', resolve))
  }
  exchange.end()
}
