/**
 * The HTTP side of the node: each request is read, its signature checked, its command found and run, and its reply
 * written, in this order. What a command throws becomes a reply here and nowhere else.
 */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { bodyOf, type Call, type Reply, type StreamedBody } from './call.ts'
import { type ErrorPlace, headErrorReply, jsonErrorReply, xmlErrorReply } from './error-reply.ts'
import { S3Error } from './errors.ts'
import { asNodeError } from './node-errors.ts'
import { type SecretOf, verifySignature } from './signature-v4.ts'
import { readTarget, type Target } from './target.ts'

export type Command = (call: Call) => Promise<Reply>

export interface FrontOptions {
  readonly secretOf: SecretOf
  /** Domains whose first label may be a bucket. */
  readonly domains: readonly string[]
  /** Names this node in its errors. */
  readonly hostId: string
  readonly now: () => number
  /** What needs no signature, such as health checks; undefined for everything else. */
  readonly open: (method: string, target: Target) => (() => Promise<Reply>) | undefined
  /** A form upload, whose signature is in the form. */
  readonly formUpload: (call: Omit<Call, 'signed'>) => Promise<Reply>
  /** @throws S3Error if there is no command for the call. */
  readonly route: (method: string, target: Target, headers: Call['headers']) => Command
  readonly onRequest: (event: RequestEvent) => void
}

/** What the log tells of a request, once it is answered. */
export interface RequestEvent {
  readonly requestId: string
  readonly method: string
  /** Decoded; without the query, which may hold a signature. */
  readonly path: string
  readonly ip: string
  readonly status: number
  readonly durationMs: number
  readonly error: S3Error | undefined
}

/** How long, and how much, of a body that nobody wants is read so that the client gets to its reply. */
const DRAIN_MS = 5_000
const ADMIN_PREFIX = '/minio/'

export function createFront(options: FrontOptions) {
  /** @param sendContinue - if the client waits for leave to send its body. */
  async function handle(
    request: IncomingMessage,
    response: ServerResponse,
    sendContinue?: () => void,
  ): Promise<void> {
    const startedMs = performance.now()
    const requestId = newRequestId()
    const method = request.method ?? ''
    const ip = request.socket.remoteAddress ?? '' // It has none any more once it is closed.
    response.setHeader('Server', 'Latchkey')
    response.setHeader('Accept-Ranges', 'bytes')
    response.setHeader('X-Amz-Request-Id', requestId)
    let place: ErrorPlace = { bucket: '', key: '', path: '/', requestId, hostId: options.hostId }
    let failure: S3Error | undefined
    try {
      let reply: Reply
      try {
        const target = readTarget(request.url ?? '', request.headers.host ?? '', options.domains)
        place = { ...place, ...placeOf(target) }
        reply = await answer(method, target, request, sendContinue)
      } catch (thrown) {
        failure = isAbandoned(request) ? S3Error.of('IncompleteBody', { cause: thrown }) : asNodeError(thrown)
        reply = errorReply(method, failure, place)
      }
      await send(response, method, reply)
      if (reply.afterwards !== undefined) response.once('close', reply.afterwards)
    } catch (thrown) {
      // The reply has begun and can't become another one: the client sees its connection end.
      failure = asNodeError(thrown)
      response.destroy()
    } finally {
      drain(request)
      options.onRequest({
        requestId,
        method,
        path: place.path,
        ip,
        status: response.statusCode,
        durationMs: performance.now() - startedMs,
        error: failure,
      })
    }
  }

  async function answer(
    method: string,
    target: Target,
    request: IncomingMessage,
    sendContinue: (() => void) | undefined,
  ): Promise<Reply> {
    const open = options.open(method, target)
    if (open !== undefined) return open()
    const { headers } = request
    const isSecure = (request.socket as Partial<TLSSocket>).encrypted === true
    if (!isSecure && Object.keys(headers).some(isCustomerKeyHeader)) {
      throw S3Error.of('InvalidRequest', {
        message:
          'Requests specifying Server Side Encryption with Customer provided keys must be made over a secure connection.',
      })
    }
    const unsigned = {
      method,
      target,
      headers,
      isSecure,
      origin: `${isSecure ? 'https' : 'http'}://${headers.host ?? ''}`,
      body: bodyOf(request, sendContinue),
    }
    if (isFormUpload(method, target, headers)) return options.formUpload(unsigned)
    const { path, query } = target
    const signed = verifySignature(
      { method, path, query, rawHeaders: request.rawHeaders },
      options.secretOf,
      options.now(),
    )
    return options.route(method, target, headers)({ ...unsigned, signed })
  }

  return handle
}

/** 64 random bits, of those that Node keeps in stock. */
function newRequestId(): string {
  const uuid = randomUUID()
  return `${uuid.slice(0, 8)}${uuid.slice(-8)}`.toUpperCase()
}

/** The client went away before its body had come: nobody reads the answer, and nothing is wrong with the node. */
function isAbandoned(request: IncomingMessage): boolean {
  return request.destroyed && !request.complete
}

function placeOf({ bucket, key, path }: Target): Pick<ErrorPlace, 'bucket' | 'key' | 'path'> {
  // The KMS and admin APIs have no bucket, whatever their path looks like.
  return path.startsWith(ADMIN_PREFIX) ? { bucket: '', key: '', path } : { bucket, key, path }
}

function errorReply(method: string, error: S3Error, place: ErrorPlace): Reply {
  if (method === 'HEAD') return headErrorReply(error)
  const isAdmin = /^\/minio\/(?:kms|admin)\//.test(place.path) && error.code !== 'BadRequest'
  return isAdmin ? jsonErrorReply(error, place) : xmlErrorReply(error, place)
}

function isCustomerKeyHeader(name: string): boolean {
  return /^x-amz-(?:copy-source-)?server-side-encryption-customer-/.test(name)
}

function isFormUpload(method: string, { key, query }: Target, headers: Call['headers']): boolean {
  return (
    method === 'POST' &&
    key === '' &&
    !query.has('delete') &&
    headers['content-type']?.startsWith('multipart/form-data') === true
  )
}

async function send(response: ServerResponse, method: string, reply: Reply): Promise<void> {
  const { status, headers = {}, body = '' } = reply
  response.statusCode = status
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) response.setHeader(name, encodeHeader(value))
  }
  const length = typeof body === 'string' ? Buffer.byteLength(body) : body.length
  // A HEAD says how long the body of a GET would be: its command has set that itself.
  if (status !== 204 && status !== 304 && !response.hasHeader('content-length')) {
    response.setHeader('content-length', length)
  }
  if (method === 'HEAD' || status === 204 || status === 304) response.end()
  else if (typeof body === 'string') response.end(body)
  else await sendStream(response, body)
}

/** node:http writes header texts as Latin-1; clients expect UTF-8. */
function encodeHeader(value: string): string {
  return /[\u0080-\uffff]/.test(value) ? Buffer.from(value).toString('latin1') : value
}

/** Each buffer is waited for, so the socket keeps no copy, and has no other to send when the signal comes. */
async function sendStream(response: ServerResponse, { content, signal }: StreamedBody): Promise<void> {
  for await (const bytes of content) {
    if (isGone(response)) return
    signal?.throwIfAborted()
    await written(response, bytes, signal)
    // Not asked for the next one, the content knows that the last may not be done with.
    if (isGone(response)) return
  }
  response.end()
}

function isGone(response: ServerResponse): boolean {
  return response.destroyed || response.closed
}

function written(
  response: ServerResponse,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (end: () => void) => {
      response.off('close', onDone)
      signal?.removeEventListener('abort', onAbort)
      end()
    }
    const onDone = () => settle(resolve)
    const onAbort = () => settle(() => reject(signal?.reason))
    response.once('close', onDone)
    signal?.addEventListener('abort', onAbort)
    response.write(bytes, onDone)
  })
}

/** Reads away what the client still sends, for a while: one that sends on regardless loses its connection. */
function drain(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return
  request.resume()
  const timer = setTimeout(() => request.socket.destroy(), DRAIN_MS)
  request.once('close', () => clearTimeout(timer))
}
