/**
 * The HTTP side of the server on fastify: which API a request means, who asks, whether it may, and what it is
 * answered. Each request passes the same stages in KES's order: path, method, identity, policy, body, operation.
 */
import assert from 'node:assert/strict'
import type { IncomingHttpHeaders, Server } from 'node:http'
import type { Socket } from 'node:net'
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import type { AuditLog, Outcome } from '../audit/audit-log.ts'
import {
  AuditUnavailableError,
  InternalError,
  InvalidPathError,
  KesError,
  MethodNotAllowedError,
  NotFoundError,
  RequestTimeoutError,
  ShuttingDownError,
} from '../errors.ts'
import type { LogStream } from '../log/broadcast.ts'
import type { ErrorLog, LoggedRequest } from '../log/error-log.ts'
import { messageOf } from '../message-of.ts'
import { parseListPrefix } from '../names.ts'
import { KeyWatch } from '../operations/watch-keys.ts'
import { Http1Request } from '../tls/http1-request.ts'
import { Http2Request } from '../tls/http2-exchange.ts'
import {
  createListener,
  type Listener,
  type ListenerOptions,
  type RequestHandler,
  type ServedRequest,
} from '../tls/listener.ts'
import type { Peer } from '../tls/peer.ts'
import type { ListenerSettings } from '../tls/secure-context.ts'
import { authorize } from './access.ts'
import { type Intercept, intercepted } from './interception.ts'
import { errorReply } from './json-reply.ts'
import { OpenExchanges, STOP_TIMEOUT_MS } from './open-exchanges.ts'
import { cleanPath, decodePath, normalizeTarget, queryOf, rawPathOf } from './path.ts'
import { abandonBody, isTooMuchLeft, readBody } from './request-body.ts'
import { APIS, type Api, type Call, type Reply, type Services, timeoutOf } from './routes.ts'

const { METHODS } = process.getBuiltinModule('node:http')

export interface LoggedServices {
  readonly services: Services
  readonly auditLog: AuditLog
  readonly errorLog: ErrorLog
}

export interface AppOptions extends LoggedServices {
  readonly listener: Omit<ListenerOptions, 'onNotice' | 'isStreamed'>
  readonly intercept?: Intercept | undefined
}

export interface App {
  readonly listener: Listener
  /** After the rules of the services were replaced: ends the log streams of those who may read them no more. */
  readonly reload: (listener: ListenerSettings) => void
  /** Refuses new requests and connections, waits for the requests that run, and closes what is open then. */
  readonly stop: () => Promise<void>
  /** Of an app that has served nobody. */
  readonly close: () => void
}

export interface StagesOptions extends LoggedServices {
  /** Makes the server whose requests are given to the handler. */
  readonly makeServer: (handler: RequestHandler) => Server
  /** Who has sent a request. */
  readonly peerOf: (request: ServedRequest, headers: IncomingHttpHeaders) => Peer
  /** @throws KesError for an API that is not to be had this way. */
  readonly checkOffered?: (api: Api) => void
}

/** What a request passes, whichever way it came. */
export interface Stages {
  /** After the rules of the services were replaced. */
  readonly reload: () => void
  /** Refuses new requests, and waits for those that run. */
  readonly stop: (stopAccepting: () => void) => Promise<void>
  /** Of stages that have served nobody, or have been stopped. */
  readonly close: () => void
}

/** What the stages learn of one request. */
interface Exchange {
  readonly startedMs: number
  readonly raw: ServedRequest
  readonly headers: IncomingHttpHeaders
  readonly reply: FastifyReply
  readonly peer: Peer
  readonly rawPath: string
  /** Decoded. */
  path: string
  isCounted: boolean
  isReplied: boolean
  /** Whether its operation has begun. */
  isUnderWay: boolean
  /** Whether the reply goes out even if the audit file can't take its event. */
  isUrgent: boolean
  expiresMs: number
}

/** A request that came behind one whose answer takes a while. */
interface Waiting {
  readonly exchange: Exchange
  readonly begin: () => void
}

declare module 'fastify' {
  interface FastifyRequest {
    exchange: Exchange
  }
}

const EMPTY_QUERY = new URLSearchParams()
const ALREADY_SENT: Outcome = {
  isAnswered: true,
  isUrgent: false,
  release: () => undefined,
  refuse: () => undefined,
}
const NO_HEADERS: IncomingHttpHeaders = Object.freeze({})

/** For requests that no API answers, such as those of a path that does not exist. */
const UNROUTED_TIMEOUT_MS = 15_000

/** A connection of HTTP/1.1 that has more requests waiting behind one of its own is not read. */
const WAITING_REQUESTS_MAX = 16

/** Routes by their path, for requests that fastify does not know: a wrong method, or a missing slash. */
const API_BY_PATH = new Map(APIS.map((api) => [api.path, api]))
const STREAMS = APIS.filter(({ stream }) => stream !== undefined)

/** The stages behind the TLS listener. */
export async function createApp({ listener: options, intercept, ...rest }: AppOptions): Promise<App> {
  let made: Listener | undefined
  const madeListener = (): Listener => {
    if (made === undefined) throw new Error('fastify made no server')
    return made
  }
  const stages = await createStages({
    ...rest,
    peerOf: ({ socket }, headers) => madeListener().callerOf(socket, headers),
    makeServer(handler) {
      made = createListener(
        {
          ...options,
          onNotice: (message) => rest.errorLog.info(message),
          isStreamed: intercept === undefined ? isStreamed : undefined,
        },
        intercept === undefined ? handler : intercepted(handler, intercept),
      )
      return made.server
    },
  })
  const listener = madeListener()
  return {
    listener,
    reload(settings) {
      listener.reconfigure(settings)
      stages.reload()
    },
    async stop() {
      await stages.stop(() => listener.stopAccepting())
      listener.destroyConnections()
      stages.close()
    },
    close: () => stages.close(),
  }
}

export async function createStages({
  services,
  auditLog,
  errorLog,
  makeServer,
  peerOf,
  checkOffered,
}: StagesOptions): Promise<Stages> {
  const exchanges = new OpenExchanges<Exchange>((exchange) => {
    // An operation that runs still may well happen: nothing that could be said of it would be known to be true.
    if (exchange.isReplied || exchange.isUnderWay) {
      closeExchange(exchange)
      return
    }
    refuse(exchange, new RequestTimeoutError())
    exchange.expiresMs = performance.now() + UNROUTED_TIMEOUT_MS // For the client to read its reply.
  })
  const watch = new KeyWatch(services.ring, services.journal, (error) =>
    errorLog.error(`a watch of keys was cut: ${messageOf(error)}`),
  )
  services.hub.onChange(() => watch.wake())
  /**
   * What a connection of HTTP/1.1 has sent behind a request that is not answered in its turn. It is begun one after the
   * other, as its replies go out, so that no client has more than one such request under way.
   */
  const waitingBehind = new WeakMap<object, Waiting[]>()
  /** The requests whose reply is a log. */
  const logReaders = new Map<Exchange, Api>()
  let isRefusing = false

  const app = fastify<Server>({
    logger: false,
    exposeHeadRoutes: false,
    rewriteUrl: ({ url = '' }) => normalizeTarget(url),
    routerOptions: { caseSensitive: true, ignoreTrailingSlash: false, maxParamLength: 16_384 },
    // Otherwise fastify loads its compilers for them, which takes as long as all the rest of it.
    schemaController: { compilersFactory: { buildValidator: refuseSchema, buildSerializer: refuseSchema } },
    serverFactory: makeServer,
    clientErrorHandler: refuseUnreadable,
    frameworkErrors(_error, request, reply) {
      const exchange = begin(request, reply)
      refuse(exchange, new InvalidPathError())
    },
  })

  app.decorateRequest('exchange')
  // So that a method that fits no API gets KES's 405, however odd it is.
  for (const method of METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  }
  app.addHook('onRequest', (request, reply, done) => {
    const exchange = begin(request, reply)
    const clean = cleanPath(exchange.rawPath)
    if (isRefusing) throw new ShuttingDownError()
    if (clean === undefined) done()
    else redirect(exchange, withItsSlash(clean) ?? clean)
  })
  app.setErrorHandler((error, request) => {
    const { exchange } = request
    if (!exchange.isReplied) {
      refuse(exchange, error)
      return
    }
    failReply(exchange, error)
  })
  app.setNotFoundHandler((request) => answerUnknown(request.exchange))

  for (const api of APIS) {
    app.route({
      method: api.method === 'PUT' ? ['PUT', 'POST'] : api.method,
      url: api.path.endsWith('/') ? `${api.path}*` : api.path,
      onRequest(request, _reply, done) {
        admit(request.exchange, api)
        done()
      },
      handler(request) {
        serve(request.exchange, api)
      },
    })
  }
  await app.ready()

  /** Opens the books on a request; they are closed when its response is. */
  function begin(request: FastifyRequest, reply: FastifyReply): Exchange {
    const raw = request.raw as unknown as ServedRequest
    const rawPath = rawPathOf(raw.url ?? '')
    const startedMs = performance.now()
    const exchange: Exchange = {
      startedMs,
      raw,
      headers: raw.headers,
      reply,
      peer: peerOf(raw, raw.headers),
      rawPath,
      path: decodePath(rawPath) ?? rawPath,
      isCounted: false,
      isReplied: false,
      isUnderWay: false,
      isUrgent: false,
      expiresMs: startedMs + UNROUTED_TIMEOUT_MS,
    }
    // This server reads bodies itself: KES ignores their declared type, and fastify refuses by it.
    raw.headers = NO_HEADERS
    request.exchange = exchange
    exchanges.add(exchange)
    reply.raw.on('close', () => end(exchange))
    return exchange
  }

  function end(exchange: Exchange): void {
    exchanges.remove(exchange)
    logReaders.delete(exchange)
    letGo(exchange.raw)
    if (exchange.isCounted) services.metrics.requestEnded()
    exchange.isCounted = false
  }

  function admit(exchange: Exchange, api: Api): void {
    // The router has read the target by rules of its own. Where it disagrees with what the policy would see,
    // nobody gets anything.
    if (!isPathOf(api, exchange.path)) throw new NotFoundError()
    checkOffered?.(api)
    const { identity, problem } = exchange.peer
    authorize(services, api, { identity, problem, argument: exchange.path.slice(api.path.length) })
    if (api.isCounted) {
      exchange.isCounted = true
      services.metrics.requestStarted()
    }
  }

  function serve(exchange: Exchange, api: Api): void {
    if (api.stream !== undefined) {
      openStream(exchange, api)
      return
    }
    exchange.expiresMs = exchange.startedMs + timeoutOf(api, services.overrides)
    if (api.maxBody === 0) answer(exchange, api, undefined)
    else readBody(exchange.raw, exchange.headers, api.maxBody, (body) => answer(exchange, api, body))
  }

  /** The synchronous turn: state, cryptography and reply, with nothing in between. */
  function answer(exchange: Exchange, api: Api, body: Buffer | undefined): void {
    if (exchange.isReplied) return
    const waiting = waitingBehind.get(exchange.raw.socket)
    if (waiting !== undefined) {
      // Its time is over when that of the one before it is.
      exchange.expiresMs = Number.POSITIVE_INFINITY
      const begin = () => {
        exchange.expiresMs = performance.now() + timeoutOf(api, services.overrides)
        answer(exchange, api, body)
      }
      waiting.push({ exchange, begin })
      if (waiting.length === WAITING_REQUESTS_MAX) exchange.raw.socket.pause()
      return
    }
    exchange.isUnderWay = true
    exchange.isUrgent = api.change === 'restricts'
    try {
      // What can't be audited is not done; refusing only its reply would be too late.
      if (!auditLog.isAccepting && !exchange.isUrgent) throw new AuditUnavailableError()
      const call = callOf(exchange, api, body)
      const result =
        api.change === undefined ? api.run(services, call) : services.hub.change(services, api, call)
      if (result instanceof Promise) awaitReply(exchange, result)
      else succeed(exchange, result)
    } catch (error) {
      refuse(exchange, error)
    }
  }

  function callOf(
    { raw, headers, path, peer, expiresMs }: Exchange,
    api: Api,
    body: Buffer | undefined,
  ): Call {
    const query = queryOf(raw.url ?? '')
    return {
      argument: path.slice(api.path.length),
      query: query === '' ? EMPTY_QUERY : new URLSearchParams(query),
      accept: headers.accept ?? '',
      body,
      identity: peer.identity,
      ip: peer.ip,
      latestMs: expiresMs,
    }
  }

  function awaitReply(exchange: Exchange, result: Promise<Reply>): void {
    const { raw } = exchange
    if (!(raw instanceof Http2Request)) waitingBehind.set(raw.socket, [])
    result
      .then((reply) => {
        if (!exchange.isReplied) succeed(exchange, reply)
      })
      .catch((error) => refuse(exchange, error))
      .finally(() => {
        if (!(raw instanceof Http2Request)) answerNext(raw.socket)
      })
  }

  /** Requests of HTTP/1.1 that came behind one whose answer took a while, until the next of that kind. */
  function answerNext(socket: Socket): void {
    const waiting = waitingBehind.get(socket) ?? []
    waitingBehind.delete(socket)
    if (socket.destroyed) {
      // Node closes the response that is under way, and says nothing of those behind it.
      for (const { exchange } of waiting) end(exchange)
      return
    }
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      next.begin()
      if (waitingBehind.has(socket)) {
        waitingBehind.set(socket, waiting)
        return
      }
    }
    if (!socket.isPaused()) return
    if (socket.writableNeedDrain) socket.once('drain', () => socket.resume())
    else socket.resume()
  }

  function succeed(exchange: Exchange, result: Reply): void {
    settle(exchange, 200, result.audit, () => {
      const { reply } = exchange
      reply.code(200)
      if (isTooMuchLeft(exchange.raw, exchange.headers)) reply.header('connection', 'close')
      if ('body' in result) reply.header('content-type', result.contentType).send(result.body)
      else reply.send()
      abandonBody(exchange.raw)
    })
  }

  function refuse(exchange: Exchange, thrown: unknown): void {
    if (exchange.isReplied) return
    const error = thrown instanceof KesError ? thrown : new InternalError({ cause: thrown })
    logRefusal(exchange, error)
    const message = `refused: ${error.loggedMessage} (${error.code})`
    settle(exchange, error.status, message, () => sendRefusal(exchange, error))
  }

  function sendRefusal({ reply, raw, headers }: Exchange, error: KesError): void {
    if (error instanceof MethodNotAllowedError) {
      const allowed = error.expected === 'PUT' ? 'PUT, POST' : error.expected
      reply.header('accept', error.expected).header('allow', allowed)
    }
    // What has not come in time is not waited for after the reply either.
    const isCut = error instanceof RequestTimeoutError && !(raw instanceof Http2Request)
    if (isCut || isTooMuchLeft(raw, headers)) reply.header('connection', 'close')
    if (error instanceof NotFoundError) {
      reply.header('content-type', 'text/plain; charset=utf-8').header('x-content-type-options', 'nosniff')
      reply.code(error.status).send(`${error.message}\n`)
    } else {
      reply.code(error.status).header('content-type', 'application/json').send(errorReply(error))
    }
    abandonBody(raw)
  }

  /** A request that matches no route of its method: a missing slash, another method, or nothing at all. */
  function answerUnknown(exchange: Exchange): void {
    const { rawPath, raw } = exchange
    const path = withItsSlash(rawPath)
    if (path !== undefined) {
      redirect(exchange, path)
      return
    }
    const api =
      API_BY_PATH.get(rawPath) ?? APIS.find(({ path }) => path.endsWith('/') && rawPath.startsWith(path))
    refuse(
      exchange,
      api === undefined ? new NotFoundError() : new MethodNotAllowedError(raw.method ?? '', api.method),
    )
  }

  function redirect(exchange: Exchange, path: string): void {
    const { raw, reply } = exchange
    const query = queryOf(raw.url ?? '')
    // Browsers read `/\` as `//`, behind which stands a host.
    const location = (query === '' ? path : `${path}?${query}`).replaceAll('\\', '%5C')
    settle(exchange, 307, 'redirected', () => {
      reply.code(307).header('location', location)
      if (raw.method === 'GET') {
        const link = location.replaceAll('&', '&amp;').replaceAll('"', '&#34;').replaceAll('<', '&lt;')
        reply
          .header('content-type', 'text/html; charset=utf-8')
          .send(`<a href="${link.replaceAll('>', '&gt;')}">Temporary Redirect</a>.\n\n`)
      } else reply.send()
      abandonBody(raw)
    })
  }

  function openStream(exchange: Exchange, api: Api): void {
    const call = callOf(exchange, api, undefined)
    const opened = api.run(services, call)
    assert(!(opened instanceof Promise))
    exchange.expiresMs = Number.POSITIVE_INFINITY
    const source = sourceOf(exchange, api, call)
    const reader = exchange.raw instanceof Http2Request ? exchange.raw.stream : exchange.reply.raw
    const begin = () => {
      const { reply, raw } = exchange
      if (reply.raw.destroyed) return
      if (isRefusing) {
        closeExchange(exchange)
        return
      }
      reply.hijack()
      reply.raw.writeHead(200, { 'content-type': 'application/x-ndjson' })
      if (!(raw instanceof Http2Request)) {
        reply.raw.flushHeaders()
        raw.socket.setTimeout(0)
      }
      if (api.stream !== 'keys') logReaders.set(exchange, api)
      if (!isStillAllowed(exchange, api)) {
        closeExchange(exchange)
        return
      }
      source.add(reader)
    }
    source
      .open(reader)
      .then(() => {
        if (isRefusing) throw new ShuttingDownError()
        if (!exchange.reply.raw.destroyed) settle(exchange, 200, opened.audit, begin)
      })
      .catch((error) => refuse(exchange, error))
  }

  /** Where the lines of a stream come from. */
  function sourceOf(exchange: Exchange, api: Api, call: Call): Pick<LogStream, 'open' | 'add'> {
    if (api.stream === 'audit') return auditLog.stream
    if (api.stream === 'error') return errorLog.stream
    const mayGoOn = () => isStillAllowed(exchange, api)
    return {
      open: () => Promise.resolve(),
      add: (reader) => watch.add(reader, { prefix: parseListPrefix(call.argument), mayGoOn }),
    }
  }

  /** A stream outlives the rules that it was opened under, and so may its caller the proxy that has named it. */
  function isStillAllowed({ raw, headers, path }: Exchange, api: Api): boolean {
    return (
      services.overrides.get(api.path)?.skipAuth === true ||
      services.policies.isAllowed(peerOf(raw, headers).identity, path)
    )
  }

  /**
   * Audits a request. Its reply is handed to the socket by `send`, and counted, as soon as the event is where it must
   * be: at once without an audit file.
   */
  function settle(exchange: Exchange, status: number, message: string, send: () => void): void {
    exchange.isReplied = true
    const durationMs = performance.now() - exchange.startedMs
    const reply = (finalStatus: number, sendIt: () => void) => {
      if (exchange.isCounted) services.metrics.replied(finalStatus, durationMs / 1000)
      try {
        sendIt()
      } catch (error) {
        // Others wait behind this one.
        failReply(exchange, error)
      }
    }
    if (!auditLog.isListening) {
      reply(status, send)
      return
    }
    const event = { ...loggedRequest(exchange), status, durationMs, message }
    if (isProbe(exchange)) {
      auditLog.write(event, ALREADY_SENT)
      reply(status, send)
      return
    }
    auditLog.write(event, {
      isUrgent: exchange.isUrgent,
      release: () => reply(status, send),
      refuse: () => {
        const error = new AuditUnavailableError()
        reply(error.status, () => sendRefusal(exchange, error))
      },
    })
  }

  /** A reply that has begun can't become another one. */
  function failReply(exchange: Exchange, error: unknown): void {
    errorLog.error(
      error instanceof Error ? (error.stack ?? error.message) : String(error),
      loggedRequest(exchange),
    )
    closeExchange(exchange)
  }

  function logRefusal(exchange: Exchange, error: KesError): void {
    if (error instanceof AuditUnavailableError) return // Said once, by the writer of the file, not for each request.
    const cause = error.cause instanceof Error ? error.cause : undefined
    if (error.status >= 500) {
      const reason = error instanceof InternalError ? (cause?.stack ?? String(error.cause)) : cause?.message
      const text = [error.loggedMessage, error.detail, reason].filter((part) => part !== undefined).join(': ')
      errorLog[isProbe(exchange) ? 'warn' : 'error'](text, loggedRequest(exchange))
    } else if (error.detail !== undefined) {
      errorLog.info(`${error.loggedMessage}: ${error.detail}`, loggedRequest(exchange))
    }
  }

  return {
    reload() {
      for (const [exchange, api] of logReaders) {
        if (!isStillAllowed(exchange, api)) closeExchange(exchange)
      }
    },
    async stop(stopAccepting) {
      isRefusing = true
      watch.close()
      auditLog.stream.close()
      errorLog.stream.close()
      stopAccepting()
      await until(() => exchanges.count === 0, STOP_TIMEOUT_MS)
      await auditLog.released()
    },
    close: () => exchanges.close(),
  }
}

/** No API has a schema. */
function refuseSchema(): never {
  throw new Error('schemas are not supported')
}

/** Whether the reply goes out before its event is in the audit file. */
function isProbe({ rawPath }: Exchange): boolean {
  return API_BY_PATH.get(rawPath)?.isProbe === true
}

function isStreamed(target: string): boolean {
  const path = rawPathOf(target)
  return STREAMS.some((api) => isPathOf(api, path))
}

/** @returns undefined if no API's path lacks but its slash. */
function withItsSlash(path: string): string | undefined {
  const withSlash = `${path}/`
  return API_BY_PATH.has(withSlash) ? withSlash : undefined
}

function isPathOf(api: Api, path: string): boolean {
  return api.path.endsWith('/') ? path.startsWith(api.path) : path === api.path
}

function loggedRequest({ raw, path, peer }: Exchange): LoggedRequest {
  const request = { method: raw.method ?? '', path, ip: peer.ip, identity: peer.identity }
  return peer.proxy === undefined ? request : { ...request, proxy: peer.proxy }
}

/**
 * What is no HTTP/1.1 request gets a status and plain text, as from KES. Nothing is said to one that never came, nor
 * where the handshake failed.
 */
function refuseUnreadable({ code }: NodeJS.ErrnoException, socket: Socket): void {
  const isParseError = code?.startsWith('HPE_') === true
  if (!isParseError || !socket.writable) {
    socket.destroy()
    return
  }
  const status = code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n${status}`,
  )
}

/**
 * Cuts a finished request off from all that was made to answer it. Node's native side holds on to streams and
 * requests until V8's next full collection; with their listeners they would keep everything else alive, too, and
 * the collector would copy it around (a sixth of all CPU time under load).
 */
function letGo(raw: ServedRequest): void {
  if (raw instanceof Http2Request) {
    raw.stream.removeAllListeners('removeListener') // Otherwise it is told of each of the others.
    raw.stream.removeAllListeners()
  } else if (!(raw instanceof Http1Request) && raw.complete) raw.removeAllListeners()
}

/** Ends what a client does not read: over HTTP/2 its stream, over HTTP/1.1 its connection. */
function closeExchange({ raw }: Exchange): void {
  if (raw instanceof Http2Request) raw.stream.destroy()
  else raw.socket.destroy()
}

async function until(isReached: () => boolean, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!isReached() && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
