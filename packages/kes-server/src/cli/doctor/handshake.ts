/** A TLS connection that is made to be looked at: whatever the server shows is taken. */
import type { KeyObject, X509Certificate } from 'node:crypto'
import { get } from 'node:https'
import { connect as connectTcp, isIP, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'

const TIMEOUT_MS = 5_000
const CHAIN_MAX = 16

/** The address that answered. @throws the error of `node:net` */
export async function reachPort(host: string, port: number): Promise<string> {
  const socket = connectTcp({ host, port })
  await settled(socket, 'connect')
  const { remoteAddress = host } = socket
  socket.destroy()
  return remoteAddress
}

export interface HandshakeOptions {
  readonly host: string
  readonly port: number
  /** PEM; undefined: those that Node trusts. */
  readonly authorities: readonly string[] | undefined
  readonly client: { readonly cert: string; readonly key: KeyObject } | undefined
}

export interface Handshake {
  readonly socket: TLSSocket
  readonly version: string
  /** As the server sent it, its own first. */
  readonly chain: readonly X509Certificate[]
  /** OpenSSL's code for why the chain is not trusted; names are not looked at. */
  readonly mistrust: string | undefined
}

/** @throws the error of `node:tls` */
export async function shakeHands({ host, port, authorities, client }: HandshakeOptions): Promise<Handshake> {
  const socket = connectTls({
    host,
    port,
    ...(isIP(host) === 0 ? { servername: host } : {}),
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
    ...(authorities === undefined ? {} : { ca: [...authorities] }),
    ...(client === undefined
      ? {}
      : { cert: client.cert, key: client.key.export({ type: 'pkcs8', format: 'pem' }) }),
  })
  await settled(socket, 'secureConnect')
  const chain: X509Certificate[] = []
  for (let next = socket.getPeerX509Certificate(); next !== undefined && chain.length < CHAIN_MAX; ) {
    chain.push(next)
    next = next.issuerCertificate
  }
  const { authorizationError } = socket
  return {
    socket,
    version: socket.getProtocol() ?? 'unknown',
    chain,
    mistrust: socket.authorized ? undefined : String(authorizationError),
  }
}

/** When the server says it is: the `Date` of a reply on this connection, which ends with it. */
export function askTime(socket: TLSSocket): Promise<Date | undefined> {
  return new Promise((resolve) => {
    const request = get(
      { createConnection: () => socket, path: '/version', timeout: TIMEOUT_MS },
      (reply) => {
        reply.resume()
        const date = new Date(reply.headers.date ?? '')
        reply.once('close', () => {
          socket.destroy()
          resolve(Number.isNaN(date.getTime()) ? undefined : date)
        })
      },
    )
    request.once('timeout', () => request.destroy())
    request.once('error', () => {
      socket.destroy()
      resolve(undefined) // Why it answers nothing is said where the API is asked.
    })
  })
}

function settled(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const fail = (code: string, message: string) => reject(Object.assign(new Error(message), { code }))
  const timer = setTimeout(() => {
    fail('ETIMEDOUT', `no answer within ${TIMEOUT_MS} ms`)
    socket.destroy()
  }, TIMEOUT_MS)
  socket.once(event, resolve)
  // The first counts; what becomes of the connection later is told by who uses it.
  socket.on('error', reject)
  socket.once('close', () => fail('ECONNRESET', 'the connection was closed'))
  return promise.finally(() => clearTimeout(timer))
}
