/** One request to the console, and what it may be answered. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { type ConsoleError, refusal } from './errors.ts'
import type { Session } from './sessions.ts'

const DRAINED_BYTES_MAX = 64 * 1024 * 1024

export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** As sent, without the query. */
  readonly rawPath: string
  /** Decoded. */
  readonly path: string
  readonly query: URLSearchParams
  /** Of the browser. */
  readonly ip: string
  readonly startedMs: number
  session: Session | undefined
  /** Whoever has proved to be it, also without a session. */
  identity: string | undefined
}

export type Answer = {
  readonly status?: number
  /** What the audit log says of it. */
  readonly audit: string
} & (
  | { readonly json: object }
  | { readonly headers: Readonly<Record<string, string>>; readonly body: Readable | undefined }
)

export function exchangeOf(request: IncomingMessage, response: ServerResponse): Exchange {
  const target = request.url ?? ''
  const question = target.indexOf('?')
  const rawPath = question < 0 ? target : target.slice(0, question)
  return {
    request,
    response,
    rawPath,
    path: decodePath(rawPath) ?? rawPath,
    query: new URLSearchParams(question < 0 ? '' : target.slice(question + 1)),
    ip: (request.socket.remoteAddress ?? '').replace(/^::ffff:/, ''),
    startedMs: performance.now(),
    session: undefined,
    identity: undefined,
  }
}

/** @returns undefined if an escape is malformed. */
export function decodePath(rawPath: string): string | undefined {
  try {
    return decodeURIComponent(rawPath)
  } catch {
    return undefined
  }
}

/** @throws ConsoleError 401 */
export function sessionOf({ session }: Exchange): Session {
  if (session === undefined) throw refusal('SessionRequired')
  return session
}

export function sendJson({ request, response }: Exchange, status: number, value: object): void {
  const body = Buffer.from(JSON.stringify(value))
  if (isTooMuchLeft(request)) response.setHeader('connection', 'close')
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(request.method === 'HEAD' ? undefined : body)
}

/**
 * Most browsers read a reply only when they have sent all of their request, so an upload that is refused is read to its
 * end, and thrown away; but for very long ones, and those of which nobody knows how long they are.
 */
function isTooMuchLeft({ complete, headers }: IncomingMessage): boolean {
  if (complete) return false
  return (
    headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > DRAINED_BYTES_MAX
  )
}

export function sendError(exchange: Exchange, { status, code, message, fields }: ConsoleError): void {
  // What has not come in time is not waited for after the reply either.
  if (status === 408) exchange.response.setHeader('connection', 'close')
  sendJson(exchange, status, { message, code, ...fields })
}
