/** A storage node with a lie: passes every request on to a real one, and answers what its lie makes of the reply. */

import { readFileSync } from 'node:fs'
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import { createServer, request as sendRequest } from 'node:https'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { DevelopmentCertificates } from '../../certs/make-certs.ts'

export interface Reply {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: Buffer
}

export interface Exchange {
  readonly method: string
  /** `/bucket/key?query` */
  readonly target: string
  /** Of the request. */
  readonly body: Buffer
  readonly reply: Reply
}

/** @returns what the client is told. */
export type Lie = (exchange: Exchange) => Reply

export interface LyingNode extends AsyncDisposable {
  readonly url: string
}

export async function startLyingNode(
  node: string,
  { serverKey, serverCertificate, caCertificate }: DevelopmentCertificates,
  lie: Lie,
): Promise<LyingNode> {
  const ca = readFileSync(caCertificate)
  const server = createServer(
    { key: readFileSync(serverKey), cert: readFileSync(serverCertificate) },
    async (request, response) => {
      const { method = '', url: target = '' } = request
      const body = await buffer(request)
      const reply = await pass(node, ca, { method, target, headers: request.headers, body })
      const { status, headers, body: told } = lie({ method, target, body, reply })
      if (method === 'HEAD') {
        response.writeHead(status, headers).end()
      } else {
        response.writeHead(status, { ...headers, 'content-length': told.length }).end(told)
      }
    },
  )
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  // The address of a server on a port is no text.
  const { port } = server.address() as AddressInfo
  return {
    url: `https://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

interface Passed {
  readonly method: string
  readonly target: string
  /** The host among them, which is signed. */
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

async function pass(node: string, ca: Buffer, { method, target, headers, body }: Passed): Promise<Reply> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const request = sendRequest(new URL(target, node), { method, headers, ca, agent: false }, resolve)
    request.on('error', reject)
    request.end(body)
  })
  return { status: response.statusCode ?? 0, headers: response.headers, body: await buffer(response) }
}
