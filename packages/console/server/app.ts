/**
 * What a request to the console is answered: which part of it is meant, who asks, whether it may.
 *
 * Each request passes the same stages: host, origin, session, and then the page's files, the console's own calls, or the
 * key server's API.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'
import type { Asset, Assets } from './assets.ts'
import { ConsoleError, refusal } from './errors.ts'
import { type Answer, type Exchange, exchangeOf, sendError, sendJson, sessionOf } from './exchange.ts'
import { checkHost, checkOrigin, setSecurityHeaders } from './guard.ts'
import { ROUTES, type Route, type Services } from './routes.ts'

const ENDLESS = ['/v1/log/', '/v1/key/watch/']
const PROBE_MS = 30_000
const YEAR_SECONDS = 31_536_000

export class App {
  readonly #services: Services
  readonly #assets: Assets

  constructor(services: Services, assets: Assets) {
    this.#services = services
    this.#assets = assets
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const exchange = exchangeOf(request, response)
    request.on('error', () => response.destroy())
    response.on('error', () => response.destroy())
    setSecurityHeaders(response)
    try {
      const { origin } = this.#services
      if (!checkHost(request, origin)) sendToOrigin(exchange, origin)
      else if (exchange.rawPath.startsWith('/v1/')) this.#passOn(exchange)
      else if (exchange.rawPath.startsWith('/console/')) await this.#serve(exchange)
      else this.#sendAsset(exchange)
    } catch (error) {
      this.#refuse(exchange, error)
    }
  }

  #sendAsset(exchange: Exchange): void {
    const { request, rawPath } = exchange
    const asset = this.#assets.find(rawPath)
    if (asset === undefined)
      throw refusal(this.#assets.isBuilt || rawPath !== '/' ? 'NotFound' : 'PageNotBuilt')
    if (request.method !== 'GET' && request.method !== 'HEAD') throw refusal('MethodNotAllowed')
    sendAsset(exchange, asset)
  }

  /** To the key server's own stages. */
  #passOn(exchange: Exchange): void {
    const { request, response, path, ip } = exchange
    checkOrigin(request, this.#services.origin)
    this.#findSession(exchange)
    const session = sessionOf(exchange)
    const isEndless = ENDLESS.some((start) => path.startsWith(start))
    session.hold(response, isEndless)
    if (isEndless) allowSilence(request)
    delete request.headers.authorization
    this.#services.keyServer.handle({ identity: session.identity, ip }, request, response)
  }

  async #serve(exchange: Exchange): Promise<void> {
    const { request, rawPath, response } = exchange
    checkOrigin(request, this.#services.origin)
    const route = findRoute(request.method ?? '', rawPath, response)
    const isAudited = route.isAudited !== false
    try {
      if (route.access !== 'anybody') this.#authorize(exchange, route)
      if (isAudited && !this.#services.keyServer.isAuditing) throw refusal('AuditUnavailable')
      const answer = await route.run(this.#services, exchange)
      if (isAudited) await this.#audit(exchange, answer.status ?? 200, answer.audit)
      await send(exchange, answer)
    } catch (error) {
      if (!isAudited || response.headersSent) throw error
      const refused = this.#asRefusal(exchange, error)
      const hasGone = response.destroyed // What failed then, failed because of it.
      const message = hasGone ? 'the browser has gone' : `refused: ${refused.message} (${refused.code})`
      await this.#audit(exchange, refused.status, message)
      throw refused
    }
  }

  #authorize(exchange: Exchange, route: Route): void {
    this.#findSession(exchange)
    const session = sessionOf(exchange)
    session.hold(exchange.response, false)
    const { identity } = session
    if (route.access !== 'admin') return
    if (!this.#services.keyServer.membershipOf(identity)?.isAdmin) throw refusal('NotAllowed')
  }

  /** A session whose identity has lost its policy meanwhile is none. */
  #findSession(exchange: Exchange): void {
    const [, token] = /^Bearer ([\w-]{1,100})$/i.exec(exchange.request.headers.authorization ?? '') ?? []
    const session = token === undefined ? undefined : this.#services.sessions.use(token)
    if (session === undefined) return
    exchange.identity = session.identity
    if (this.#services.keyServer.membershipOf(session.identity) !== undefined) exchange.session = session
    else this.#services.sessions.close(session)
  }

  async #audit(exchange: Exchange, status: number, message: string): Promise<void> {
    const { request, path, ip, identity, startedMs } = exchange
    const durationMs = performance.now() - startedMs
    const event = { method: request.method ?? '', path, ip, identity, status, durationMs, message }
    await this.#services.keyServer.audit(event).catch(() => {
      throw refusal('AuditUnavailable')
    })
  }

  #refuse(exchange: Exchange, error: unknown): void {
    const { response } = exchange
    if (response.destroyed) return
    const { headersSent } = response
    const refused = this.#asRefusal(exchange, error)
    if (headersSent) response.destroy()
    else sendError(exchange, refused)
  }

  #asRefusal({ request, path, ip, identity }: Exchange, error: unknown): ConsoleError {
    if (error instanceof ConsoleError) return error
    this.#services.keyServer.reportDefect(error, { method: request.method ?? '', path, ip, identity })
    return refusal('InternalError')
  }
}

/** The log of a server that nobody asks for anything is silent: whether the browser is still there, TCP asks then. */
function allowSilence({ socket }: IncomingMessage): void {
  socket.setTimeout(0)
  socket.setKeepAlive(true, PROBE_MS)
}

/** @throws ConsoleError 404, or 405 with the header that says which methods there are. */
function findRoute(method: string, rawPath: string, response: ServerResponse): Route {
  const fitting = ROUTES.filter(({ path }) =>
    path.endsWith('/') ? rawPath.startsWith(path) : rawPath === path,
  )
  const route = fitting.find((each) => each.method === method)
  if (route !== undefined) return route
  if (fitting.length === 0) throw refusal('NotFound')
  response.setHeader('allow', fitting.map((each) => each.method).join(', '))
  throw refusal('MethodNotAllowed')
}

async function send(exchange: Exchange, answer: Answer): Promise<void> {
  const { status = 200 } = answer
  if ('json' in answer) {
    sendJson(exchange, status, answer.json)
    return
  }
  const { response } = exchange
  response.writeHead(status, answer.headers)
  if (answer.body === undefined) response.end()
  else await pipeline(answer.body, response)
}

function sendToOrigin({ response }: Exchange, origin: URL): void {
  response.writeHead(307, { location: `${origin.origin}/` })
  response.end()
}

function sendAsset({ request, response }: Exchange, { type, content, gzipped, isHashed }: Asset): void {
  const takesGzip = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
  const body = takesGzip && gzipped !== undefined ? gzipped : content
  if (isHashed) response.setHeader('cache-control', `public, max-age=${YEAR_SECONDS}, immutable`)
  if (gzipped !== undefined) response.setHeader('vary', 'accept-encoding')
  if (body === gzipped) response.setHeader('content-encoding', 'gzip')
  response.writeHead(200, { 'content-type': type, 'content-length': body.length })
  response.end(request.method === 'HEAD' ? undefined : body)
}
