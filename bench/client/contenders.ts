/** Ways to ask a key server to decrypt: the client of this repository, and what one might take in its place. */
import { readFileSync } from 'node:fs'
import { type ClientHttp2Session, connect } from 'node:http2'
import { Agent as HttpsAgent, request as openHttps } from 'node:https'
import type { Readable } from 'node:stream'
import { KesClient } from '@latchkey/kms-client'
import { Pool } from 'undici'
import type { HttpProtocol, LoadTarget } from '../load/target.ts'

export const CONTENDERS = ['kms-client', 'undici', 'node'] as const
export type ContenderName = (typeof CONTENDERS)[number]

export interface Contender {
  /** The plaintext. */
  decrypt(key: string, ciphertext: Buffer): Promise<Uint8Array>
  close(): Promise<void>
}

interface Credentials {
  readonly url: string
  readonly ca: Buffer
  readonly cert: Buffer
  readonly key: Buffer
}

/** @param connections - of HTTP/1.1 at most; HTTP/2 has one. */
export function openContender(
  name: ContenderName,
  target: LoadTarget,
  protocol: HttpProtocol,
  connections: number,
): Contender {
  const credentials: Credentials = {
    url: `https://${target.host}:${target.port}`,
    ca: readFileSync(target.caFile),
    cert: readFileSync(target.certFile),
    key: readFileSync(target.keyFile),
  }
  if (name === 'kms-client') return openKmsClient(credentials, protocol)
  if (name === 'undici') return openUndici(credentials, protocol, connections)
  return protocol === 'h2' ? openHttp2(credentials) : openHttp1(credentials, connections)
}

function openKmsClient({ url, ca, cert, key }: Credentials, protocol: HttpProtocol): Contender {
  const client = new KesClient({ endpoint: url, ca, protocol, certificate: { cert, key } })
  return {
    decrypt: (name, ciphertext) => client.decrypt(name, ciphertext),
    close: () => client.close(),
  }
}

function openUndici({ url, ...tls }: Credentials, protocol: HttpProtocol, connections: number): Contender {
  const isHttp2 = protocol === 'h2'
  const pool = new Pool(url, {
    connect: tls,
    allowH2: isHttp2,
    connections: isHttp2 ? 1 : connections,
    pipelining: isHttp2 ? connections : 1,
  })
  return {
    async decrypt(name, ciphertext) {
      const { statusCode, body } = await pool.request({
        method: 'PUT',
        path: pathOf(name),
        headers: { 'content-type': 'application/json' },
        body: encode(ciphertext),
      })
      return decode(statusCode, await body.text())
    },
    close: () => pool.close(),
  }
}

function openHttp2({ url, ...tls }: Credentials): Contender {
  const session = connect(url, tls)
  return {
    async decrypt(name, ciphertext) {
      const { status, body } = await exchange(session, pathOf(name), encode(ciphertext))
      return decode(status, await textOf(body))
    },
    close: () => new Promise((resolve) => session.close(resolve)),
  }
}

function exchange(
  session: ClientHttp2Session,
  path: string,
  body: string,
): Promise<{ status: number; body: Readable }> {
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'PUT',
      ':path': path,
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
    })
    stream.once('error', reject)
    stream.once('response', (headers) => resolve({ status: headers[':status'] ?? 0, body: stream }))
    stream.end(body)
  })
}

function openHttp1({ url, ...tls }: Credentials, connections: number): Contender {
  const agent = new HttpsAgent({ ...tls, keepAlive: true, maxSockets: connections })
  return {
    async decrypt(name, ciphertext) {
      const body = encode(ciphertext)
      const reply = await new Promise<Readable & { statusCode?: number }>((resolve, reject) => {
        const request = openHttps(url + pathOf(name), {
          agent,
          method: 'PUT',
          headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
        })
        request.once('error', reject)
        request.once('response', resolve)
        request.end(body)
      })
      return decode(reply.statusCode ?? 0, await textOf(reply))
    },
    async close() {
      agent.destroy()
    },
  }
}

async function textOf(body: Readable): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

function pathOf(name: string): string {
  return `/v1/key/decrypt/${name}`
}

function encode(ciphertext: Buffer): string {
  return JSON.stringify({ ciphertext: ciphertext.toString('base64') })
}

function decode(status: number, text: string): Uint8Array {
  if (status !== 200) throw new Error(`the server answered ${status}: ${text}`)
  return Buffer.from(JSON.parse(text).plaintext, 'base64')
}
