/** A TLS server on a free port that answers as a test tells it to, over HTTP/2 and HTTP/1.1. */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import {
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { identityOfCertificate, makeCertificate } from '@latchkey/kms-client'

export type Handler = (request: Http2ServerRequest, response: Http2ServerResponse) => void

export interface FakeServer extends AsyncDisposable {
  /** `127.0.0.1:port` */
  readonly endpoint: string
  /** The certificate of the server, which is also its own authority. */
  readonly ca: string
  /** All connections so far whose handshake succeeded. */
  readonly sockets: readonly TLSSocket[]
  readonly sessions: readonly ServerHttp2Session[]
}

export interface FakeServerOptions {
  /** Default: yes. */
  readonly hasHttp2?: boolean
  readonly requiresCertificate?: boolean
  /** The only client that it trusts, besides. */
  readonly clientCa?: string
  readonly maxVersion?: 'TLSv1.2' | 'TLSv1.3'
  readonly dnsNames?: readonly string[]
  readonly notAfter?: Date
}

const takeHttp1 = ({ protocols }: { protocols: string[] }): string | undefined =>
  protocols.find((protocol) => protocol === 'http/1.1')

const HOUR_MS = 3_600_000

export async function startFakeServer(
  handler: Handler,
  options: FakeServerOptions = {},
): Promise<FakeServer> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const notAfter = options.notAfter ?? new Date(Date.now() + HOUR_MS)
  const certificate = makeCertificate({
    subjectCommonName: `fake server ${randomUUID()}`, // OpenSSL finds a certificate's issuer by its name.
    publicKey,
    issuer: { privateKey },
    dnsNames: options.dnsNames ?? ['localhost'],
    ipAddresses: options.dnsNames === undefined ? ['127.0.0.1'] : [],
    extendedKeyUsage: ['serverAuth'],
    validity: { notBefore: new Date(notAfter.getTime() - 2 * HOUR_MS), notAfter },
  })
  const server = createSecureServer(
    {
      allowHTTP1: true,
      ...(options.hasHttp2 === false ? { ALPNCallback: takeHttp1 } : {}),
      cert: certificate.toString(),
      key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
      requestCert: true,
      rejectUnauthorized: options.requiresCertificate ?? false,
      ...(options.clientCa === undefined ? {} : { ca: options.clientCa }),
      ...(options.maxVersion === undefined ? {} : { maxVersion: options.maxVersion }),
    },
    handler,
  )
  const sockets: TLSSocket[] = []
  const sessions: ServerHttp2Session[] = []
  server.on('secureConnection', (socket: TLSSocket) => {
    sockets.push(socket)
    socket.on('error', () => {})
  })
  server.on('session', (session) => {
    sessions.push(session)
    session.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `127.0.0.1:${port}`,
    ca: certificate.toString(),
    sockets,
    sessions,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export function sendJson(response: Http2ServerResponse, value: unknown, status = 200): void {
  const body = `${JSON.stringify(value)}\n`
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
  })
  response.end(body)
}

export async function readJson(request: Http2ServerRequest): Promise<unknown> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return JSON.parse(Buffer.concat(chunks).toString())
}

/** The identity of the certificate that the client presented. */
export function callerOf(request: Http2ServerRequest): string | undefined {
  const certificate = (request.socket as TLSSocket).getPeerX509Certificate()
  return certificate && identityOfCertificate(certificate)
}
