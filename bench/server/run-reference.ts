/**
 * Node alone, to compare a server with on the machine as it is today: `node run-reference.ts CONFIG`, started with an IPC
 * channel that is told the URL. It serves the same TLS, makes and opens data keys, and does nothing else: no API, no
 * policy, no key's state, no limits, no metrics, no log. It answers whatever path begins like one of the API.
 */
import { constants, createCipheriv, createDecipheriv, randomBytes, randomFillSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type IncomingMessage, ServerResponse } from 'node:http'
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Stream,
} from 'node:http2'
import type { AddressInfo } from 'node:net'

const [configFile = ''] = process.argv.slice(2)
const { tls } = JSON.parse(readFileSync(configFile, 'utf8')) as {
  tls: { key: string; cert: string; auth: string; ca?: string }
}

const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Of Latchkey's ciphertexts beside those of the data key: version, iv and the like. */
const OTHER_BYTES = 17
const key = randomBytes(32)
const pool = Buffer.alloc(65_536)
let taken = pool.length

function takeRandom(length: number): Buffer {
  if (taken + length > pool.length) {
    randomFillSync(pool)
    taken = 0
  }
  taken += length
  return pool.subarray(taken - length, taken)
}

function generate(): string {
  const plaintext = takeRandom(32)
  const nonce = takeRandom(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  const sealed = [
    nonce,
    cipher.update(plaintext),
    cipher.final(),
    cipher.getAuthTag(),
    takeRandom(OTHER_BYTES),
  ]
  const ciphertext = Buffer.concat(sealed).toString('base64')
  return `{"plaintext":"${plaintext.toString('base64')}","ciphertext":"${ciphertext}"}`
}

function decrypt(body: Buffer): string {
  const sealed = Buffer.from(JSON.parse(body.toString()).ciphertext, 'base64')
  const [nonceEnd, textEnd] = [NONCE_BYTES, sealed.length - OTHER_BYTES - TAG_BYTES]
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, nonceEnd))
  decipher.setAuthTag(sealed.subarray(textEnd, textEnd + TAG_BYTES))
  const plaintext = Buffer.concat([decipher.update(sealed.subarray(nonceEnd, textEnd)), decipher.final()])
  return `{"plaintext":"${plaintext.toString('base64')}"}`
}

function answer(path: string, body: Buffer): string {
  if (path.startsWith('/v1/key/generate/')) return generate()
  return path.startsWith('/v1/key/decrypt/') ? decrypt(body) : '{"version":"reference"}'
}

const { SSL_OP_NO_RENEGOTIATION, SSL_OP_NO_TICKET } = constants
const server = createSecureServer({
  key: readFileSync(tls.key),
  cert: readFileSync(tls.cert),
  requestCert: true,
  rejectUnauthorized: tls.auth === 'on',
  ...(tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) }),
  // As the server has them: AES with 128 bits first, and no session that is resumed.
  ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256',
  secureOptions: SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET,
  allowHTTP1: true,
})

server.on(
  'request',
  (request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse) => {
    if (!(response instanceof ServerResponse)) throw new Error('no adapter is there')
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const reply = answer(request.url ?? '', Buffer.concat(chunks))
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': reply.length })
      response.end(reply)
    })
  },
)
// Which a listener of requests has brought: Node's adapter of HTTP/2 to them costs more than its streams do.
server.removeAllListeners('stream')
server.on('stream', (stream: ServerHttp2Stream, headers) => {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  stream.on('end', () => {
    const reply = answer(headers[':path'] ?? '', Buffer.concat(chunks))
    stream.respond({ ':status': 200, 'content-type': 'application/json', 'content-length': reply.length })
    stream.end(reply)
  })
})
server.listen(0, '127.0.0.1', () => {
  process.send?.({ url: `https://127.0.0.1:${(server.address() as AddressInfo).port}` })
})
process.once('disconnect', () => process.exit())
process.once('SIGTERM', () => process.exit())
