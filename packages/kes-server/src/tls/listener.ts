/**
 * The TLS socket: one port for HTTP/2 and HTTP/1.1, a client certificate asked of everyone.
 *
 * `node:https` accepts the connections and serves HTTP/1.1, but for what `http1-connections.ts` reads itself; a
 * connection that negotiated `h2` is handed to `node:http2` instead. Nothing here decides what a client may do: it is only
 * said who it is.
 */
import type { X509Certificate } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { performServerHandshake, type ServerHttp2Session } from 'node:http2'
import { createServer, type Server } from 'node:https'
import type { Socket } from 'node:net'
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls'
import { CertificateRequiredError, KesError } from '../errors.ts'
import { clientIdentity } from '../identity/identity.ts'
import { ForwardedCallers } from './forwarded-callers.ts'
import { Http1Connections } from './http1-connections.ts'
import type { Http1Request } from './http1-request.ts'
import type { Http1Response } from './http1-response.ts'
import { endWithoutError, Http2Request, Http2Response } from './http2-exchange.ts'
import type { Peer } from './peer.ts'
import { type ClientCertificateMode, contextOptions, type ListenerSettings } from './secure-context.ts'
import { UnusedConnections } from './unused-connections.ts'

const HANDSHAKE_TIMEOUT_MS = 10_000
const HEADERS_TIMEOUT_MS = 5_000
const IDLE_TIMEOUT_MS = 90_000
/** The last word on a body that nobody waits for; each API has a deadline of its own, which is shorter. */
const REQUEST_TIMEOUT_MS = 300_000
const HTTP2_STREAMS_MAX = 250

export interface ListenerOptions extends ListenerSettings {
  readonly onNotice: (message: string) => void
  /** Whether the reply to a target of HTTP/1.1 is a stream. Undefined: `node:http` reads all requests. */
  readonly isStreamed?: ((target: string) => boolean) | undefined
}

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void

/** Whoever reads it: the three have what fastify and this server touch. */
export type ServedRequest = IncomingMessage | Http1Request | Http2Request
export type ServedResponse = ServerResponse | Http1Response | Http2Response

/** Those that `node:http` reads; over HTTP/1.1 it answers 400 to all others, and over HTTP/2 so do we. */
const { METHODS } = process.getBuiltinModule('node:http')
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS)

const peers = new WeakMap<object, Peer>()

/** Who stands at the other end of a connection that the listener accepted. */
export function peerOf(socket: object): Peer {
  const peer = peers.get(socket)
  if (peer === undefined) throw new Error('the connection was not accepted by the listener')
  return peer
}

export interface Listener {
  readonly server: Server
  /** Who sends a request with these headers on a connection that the listener accepted. */
  readonly callerOf: (socket: object, headers: IncomingHttpHeaders) => Peer
  /** For the connections that come from now on; which of all peers are proxies, at once. */
  readonly reconfigure: (settings: ListenerSettings) => void
  /** Serves a connection that another process has accepted, in place of listening. */
  readonly take: (connection: Socket) => void
  /** Refuses new connections and requests; connections close once their requests have ended. */
  readonly stopAccepting: () => void
  /** Closes whatever is still open. */
  readonly destroyConnections: () => void
}

export function createListener(options: ListenerOptions, handler: RequestHandler): Listener {
  /** Of TCP, because some never get through their handshake. */
  const connections = new Set<Socket>()
  const sessions = new UnusedConnections<ServerHttp2Session>({
    silentMs: HEADERS_TIMEOUT_MS,
    idleMs: IDLE_TIMEOUT_MS,
    endSilent: (session) => session.destroy(),
    // It takes no further requests and ends with the last that runs: a log may be silent for as long as it likes.
    endIdle: (session) => session.close(),
  })
  let { clientCertificates } = options
  let forwarded = ForwardedCallers.of(options)
  let isTaking = false
  const server = createServer(
    {
      ...contextOptions(options),
      ca: [], // They are many, and would be read twice.
      ALPNProtocols: ['h2', 'http/1.1'],
      requestCert: true,
      // Decided below, so that a certificate that nobody verifies may be expired or self-signed.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      noDelay: true,
    },
    handler,
  )

  if (options.clientCertificates.isVerified) setContext(server, options)

  const [serveHttp1] = server.listeners('secureConnection')
  if (serveHttp1 === undefined) throw new Error('node:https has no listener for secure connections')
  server.removeAllListeners('secureConnection')
  const { isStreamed } = options
  const http1 =
    isStreamed &&
    new Http1Connections({
      silentTimeoutMs: HEADERS_TIMEOUT_MS,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      isStreamed,
      handle: (request, response) => handle(handler, request, response),
      leaveToNode: (socket) => serveHttp1.call(server, socket),
    })
  server.on('connection', (connection) => {
    connections.add(connection)
    connection.once('close', () => connections.delete(connection))
  })
  server.on('secureConnection', (socket) => {
    const certificate = socket.getPeerX509Certificate()
    const refusal = refusalOf(socket, certificate, clientCertificates)
    if (refusal !== undefined) {
      options.onNotice(`http: TLS handshake error from ${addressOf(socket)}: ${refusal}`)
      socket.destroy()
      return
    }
    peers.set(socket, describePeer(socket, certificate))
    if (socket.alpnProtocol === 'h2') serveHttp2(socket, sessions, handler)
    else if (http1 !== undefined) http1.add(socket)
    else serveHttp1.call(server, socket)
  })
  server.on('tlsClientError', (error, socket) => {
    options.onNotice(`http: TLS handshake error from ${addressOf(socket)}: ${error.message}`)
  })

  return {
    server,
    callerOf(socket, headers) {
      const peer = peerOf(socket)
      return forwarded === undefined ? peer : forwarded.callerOf(peer, headers)
    },
    take(connection) {
      // From this event on node:http looks after slow and idle connections; it would come with listening.
      if (!isTaking) server.emit('listening')
      isTaking = true
      connection.setNoDelay(true)
      server.emit('connection', connection)
    },
    reconfigure(settings) {
      setContext(server, settings)
      clientCertificates = settings.clientCertificates
      forwarded = ForwardedCallers.of(settings)
    },
    stopAccepting() {
      server.close()
      server.closeIdleConnections()
      http1?.stop()
      for (const session of sessions) session.close()
    },
    destroyConnections() {
      http1?.close()
      sessions.close()
      for (const session of sessions) session.destroy()
      for (const connection of connections) connection.destroy()
    },
  }
}

/** What new connections of a server begin with, of which Node documents nothing. */
interface WithContext {
  _sharedCreds?: SecureContext
}

/** Node hands the options of a server to its context one by one, and leaves out `allowPartialTrustChain`. */
function setContext(server: Server & WithContext, settings: ListenerSettings): void {
  const options = contextOptions(settings)
  if (settings.clientCertificates.isVerified) server._sharedCreds = createSecureContext(options)
  else server.setSecureContext(options)
}

/** Why this connection must end before its first request, or undefined. */
function refusalOf(
  socket: TLSSocket,
  certificate: X509Certificate | undefined,
  mode: ClientCertificateMode,
): string | undefined {
  if (certificate === undefined)
    return mode.isRequired ? "tls: client didn't provide a certificate" : undefined
  if (!mode.isVerified || socket.authorized) return undefined
  return `tls: failed to verify certificate: ${String(socket.authorizationError)}`
}

function addressOf(socket: { remoteAddress?: string | undefined; remotePort?: number | undefined }): string {
  const { remoteAddress = 'unknown', remotePort = 0 } = socket
  return remoteAddress.includes(':') ? `[${remoteAddress}]:${remotePort}` : `${remoteAddress}:${remotePort}`
}

function describePeer(socket: TLSSocket, first: X509Certificate | undefined): Peer {
  const ip = (socket.remoteAddress ?? '').replace(/^::ffff:/, '')
  const chain: Uint8Array[] = []
  for (let next = first; next !== undefined && chain.length < 16; next = next.issuerCertificate) {
    chain.push(next.raw)
  }
  const refused = (problem: KesError): Peer => ({ ip, identity: undefined, problem, proxy: undefined })
  if (chain.length === 0) return refused(new CertificateRequiredError())
  try {
    return { ip, identity: clientIdentity(chain), problem: undefined, proxy: undefined }
  } catch (problem) {
    if (problem instanceof KesError) return refused(problem)
    throw problem
  }
}

/** fastify and this server touch only what the adapters have. */
function handle(handler: RequestHandler, request: ServedRequest, response: ServedResponse): void {
  handler(request as unknown as IncomingMessage, response as unknown as ServerResponse)
}

function serveHttp2(
  socket: TLSSocket,
  sessions: UnusedConnections<ServerHttp2Session>,
  handler: RequestHandler,
): void {
  const session = performServerHandshake(socket, {
    settings: { maxConcurrentStreams: HTTP2_STREAMS_MAX },
  })
  const noteUse = sessions.add(session)
  session.once('close', () => {
    sessions.remove(session)
    // Node keeps a session for good whose settings its client has never confirmed, if a way leads from its listeners to
    // the error that it ended with: by the socket, for one.
    session.removeAllListeners()
  })
  // A client that breaks the protocol loses its session; there is nobody to tell.
  session.on('error', () => session.destroy())
  session.on('stream', (stream, headers) => {
    noteUse()
    // A stream that the client resets ends; what it was answered is in the audit log.
    stream.on('error', () => stream.destroy())
    endWithoutError(stream)
    const request = new Http2Request(stream, headers, socket)
    if (!KNOWN_METHODS.has(request.method)) {
      stream.respond({ ':status': 400 }, { endStream: true })
      return
    }
    handle(handler, request, new Http2Response(stream))
  })
}
