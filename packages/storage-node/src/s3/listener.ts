/** The socket of the node: HTTP/1.1, with TLS where there is a certificate. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'

const { createServer } = process.getBuiltinModule('node:http')
const HEADERS_TIMEOUT_MS = 10_000
const IDLE_TIMEOUT_MS = 60_000
/** How long running requests get at a stop. */
const STOP_TIMEOUT_MS = 10_000
/** Of all headers: user metadata of 2 KB, a signature, and room. */
const HEADER_BYTES_MAX = 32 * 1024

export interface TlsFiles {
  readonly key: Buffer
  readonly cert: Buffer
}

export interface Address {
  /** Empty for every interface. */
  readonly host: string
  /** 0 for any free one. */
  readonly port: number
}

export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
  sendContinue?: () => void,
) => Promise<void>

export interface Listener {
  readonly address: { readonly host: string; readonly port: number }
  readonly isSecure: boolean
  /** Takes no further connections; waits for running requests, for a while. */
  close(): Promise<void>
}

/** @throws what listening throws, such as EADDRINUSE. */
export async function listen(
  address: Address,
  tls: TlsFiles | undefined,
  handle: Handler,
): Promise<Listener> {
  const options = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    // An upload may take as long as it likes, as long as it moves: see the socket's timeout.
    requestTimeout: 0,
    keepAliveTimeout: IDLE_TIMEOUT_MS,
    maxHeaderSize: HEADER_BYTES_MAX,
    noDelay: true,
  }
  const server: Server =
    tls === undefined
      ? createServer(options)
      : createTlsServer({ ...options, ...tls, minVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] })
  const running = new Set<Promise<void>>()
  const serve: Handler = async (...exchange) => {
    const ended = handle(...exchange)
    running.add(ended)
    await ended.finally(() => running.delete(ended))
  }
  server.on('request', (request, response) => void serve(request, response))
  server.on('checkContinue', (request, response) => {
    void serve(request, response, () => response.writeContinue())
  })
  server.on('clientError', refuseUnreadable)
  server.timeout = IDLE_TIMEOUT_MS
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.host === '' ? undefined : address.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const { address: host, port } = server.address() as AddressInfo
  return { address: { host, port }, isSecure: tls !== undefined, close: () => close(server, running) }
}

/** Also waits for what a request does after its connection is gone, such as to remove what it had begun to store. */
async function close(server: Server, running: ReadonlySet<Promise<void>>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), STOP_TIMEOUT_MS)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    server.closeIdleConnections()
  })
  await Promise.allSettled(running)
}

/** What is no HTTP/1.1 request. */
function refuseUnreadable({ code }: NodeJS.ErrnoException, socket: Socket): void {
  if (!socket.writable || code?.startsWith('HPE_') !== true) {
    socket.destroy()
    return
  }
  const status = code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
