/**
 * Sends each request to the best of several endpoints, and to another one, or again, if that may help.
 *
 * A *round* is one attempt on each endpoint, without a pause: nearest first, then the one with the fewest requests
 * under way. A round that failed is followed by a pause and another one. How far it goes is for the request and for
 * the {@link Verdict} on each failure to say; in no case beyond the request's time.
 *
 * An endpoint that is out is shelved: it gets requests only if the others fail, until a look at it (`GET /version`, in
 * the background, beside a request that goes elsewhere) finds it back.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { KesApiError } from '../api-error.ts'
import { KesClientError, KesConnectionError, KesTimeoutError } from '../errors.ts'
import type { ClientTls } from './client-tls.ts'
import type { Endpoint } from './endpoint.ts'
import { EndpointHealth } from './endpoint-health.ts'
import { EndpointTransport } from './endpoint-transport.ts'
import { type Nearness, nearnessOf } from './nearness.ts'
import type { HttpProtocol } from './tls-connector.ts'
import type {
  EndpointAnswer,
  Transport,
  TransportReply,
  TransportRequest,
  TransportStream,
} from './transport.ts'
import { judge, type Verdict } from './verdict.ts'

export interface FailoverOptions {
  readonly protocol?: HttpProtocol | undefined
  /** How many rounds may follow the first. */
  readonly retries: number
  /** About how long to pause before the second round; before the third, three times as long. */
  readonly retryDelayMs: number
  /** How long one of several endpoints may take: to connect and, if the request can be repeated, to answer. */
  readonly attemptTimeoutMs: number
  /** From 0 to 1. Default: Math.random. */
  readonly random?: () => number
}

interface Member {
  readonly transport: EndpointTransport
  readonly nearness: Nearness
  readonly health: EndpointHealth
  underWay: number
  isLookedAt: boolean
}

type Attempt<Reply> = (transport: EndpointTransport, request: TransportRequest) => Promise<Reply>

const LOOK_TIMEOUT_MS = 2_000
const DELAY_GROWTH = 3
/** That a server does not answer in less time says nothing about it. */
const HASTE_MS = 250
/** If a server asks for more, the caller is told, who may have something better to do than to wait. */
const RETRY_AFTER_MAX_MS = 30_000

export class FailoverTransport implements Transport {
  readonly #members: readonly Member[]
  readonly #tls: ClientTls
  readonly #options: FailoverOptions
  readonly #random: () => number
  readonly #closing = new AbortController()
  #turn: number

  /** @param endpoints - at least one. */
  constructor(endpoints: readonly Endpoint[], tls: ClientTls, options: FailoverOptions) {
    this.#random = options.random ?? Math.random
    this.#members = endpoints.map((endpoint) => ({
      transport: new EndpointTransport(endpoint, tls, options.protocol),
      nearness: nearnessOf(endpoint.host),
      health: new EndpointHealth(this.#random),
      underWay: 0,
      isLookedAt: false,
    }))
    this.#tls = tls
    this.#options = options
    this.#turn = Math.floor(this.#random() * endpoints.length)
  }

  send(request: TransportRequest): Promise<TransportReply> {
    return this.#run(request, (transport, attempt) => transport.send(attempt))
  }

  stream(request: TransportRequest): Promise<TransportStream> {
    return this.#run(request, (transport, attempt) => transport.stream(attempt))
  }

  async sendToEach(request: TransportRequest): Promise<EndpointAnswer[]> {
    this.#tls.refresh()
    return await Promise.all(
      this.#members.map(async (member) => {
        const endpoint = member.transport.origin
        try {
          return { endpoint, reply: await this.#attempt(member, request, (each, one) => each.send(one)) }
        } catch (error) {
          if (error instanceof KesClientError) return { endpoint, reply: error }
          throw error
        }
      }),
    )
  }

  reload(): void {
    this.#tls.reload()
  }

  close(): void {
    this.#closing.abort()
    for (const { transport } of this.#members) transport.close()
  }

  async #run<Reply>(request: TransportRequest, attempt: Attempt<Reply>): Promise<Reply> {
    this.#tls.refresh()
    this.#lookAtShelved()
    const course = new Course(request)
    for (let round = 0; ; round++) {
      const asked = new Set(course.givenUp)
      for (let member = this.#choose(asked); member !== undefined; member = this.#choose(asked)) {
        asked.add(member)
        const isLast = round === this.#options.retries && asked.size === this.#members.length
        const timeoutMs = this.#timeoutOf(course, isLast)
        // Until it has a connection, even a request that can't be repeated may go elsewhere.
        const connectTimeoutMs =
          isLast || this.#members.length === 1 ? undefined : this.#options.attemptTimeoutMs
        try {
          return await this.#attempt(member, { ...request, timeoutMs, connectTimeoutMs }, attempt)
        } catch (error) {
          const verdict = judge(error)
          course.add(error, member, verdict)
          if (this.#isOver(course, verdict)) throw course.error()
        }
      }
      const pauseMs = this.#pauseAfter(round, course)
      if (round === this.#options.retries || course.givenUp.size === this.#members.length)
        throw course.error()
      if (pauseMs >= course.remainingMs() || course.retryAfterMs > RETRY_AFTER_MAX_MS) throw course.error()
      await this.#pause(pauseMs, request.signal)
    }
  }

  async #attempt<Reply>(member: Member, request: TransportRequest, attempt: Attempt<Reply>): Promise<Reply> {
    member.underWay++
    try {
      const reply = await attempt(member.transport, request)
      member.health.succeeded()
      return reply
    } catch (error) {
      if (!this.#isClosed && !request.signal?.aborted) this.#note(member, error)
      throw error
    } finally {
      member.underWay--
    }
  }

  #note({ health }: Member, error: unknown): void {
    const isHaste =
      error instanceof KesTimeoutError && error.timeoutMs < Math.min(HASTE_MS, this.#options.attemptTimeoutMs)
    if (isHaste) return
    if (judge(error).isOutage) health.failed(performance.now())
    else health.succeeded()
  }

  /** The best endpoint that has not been asked. */
  #choose(asked: ReadonlySet<Member>): Member | undefined {
    const count = this.#members.length
    const turn = this.#turn++ // Equal ones take turns.
    let best: Member | undefined
    for (let offset = 0; offset < count; offset++) {
      const member = this.#members[(turn + offset) % count]
      if (member === undefined || asked.has(member)) continue
      if (best === undefined || isBetter(member, best)) best = member
    }
    return best
  }

  /**
   * What an attempt may take, so that there is time for another one. With a single endpoint that is of use only if
   * the connection is dead, so it gets half of a long time.
   */
  #timeoutOf(course: Course, isLast: boolean): number | undefined {
    const remainingMs = course.remainingMs()
    if (remainingMs === Number.POSITIVE_INFINITY) return undefined
    if (isLast || !course.isRepeatable) return remainingMs
    const half = Math.ceil(remainingMs / 2)
    if (this.#members.length > 1) return Math.min(half, this.#options.attemptTimeoutMs)
    return half >= this.#options.attemptTimeoutMs ? half : remainingMs
  }

  #isOver(course: Course, { mayHaveActed, retry }: Verdict): boolean {
    if (this.#isClosed || course.isAborted || retry === 'nowhere') return true
    return (mayHaveActed && !course.isRepeatable) || course.remainingMs() <= 0
  }

  #pauseAfter(round: number, course: Course): number {
    const ms = this.#options.retryDelayMs * DELAY_GROWTH ** round * (0.5 + this.#random())
    return Math.max(ms, course.retryAfterMs)
  }

  async #pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const signals = signal === undefined ? [this.#closing.signal] : [this.#closing.signal, signal]
    try {
      await sleep(ms, undefined, { signal: AbortSignal.any(signals) })
    } catch (error) {
      signal?.throwIfAborted()
      // The next attempt says that the client is closed.
      if (!this.#isClosed) throw error
    }
  }

  #lookAtShelved(): void {
    if (this.#members.length === 1) return
    const nowMs = performance.now()
    for (const member of this.#members) {
      if (!member.isLookedAt && member.health.isDue(nowMs)) void this.#lookAt(member)
    }
  }

  async #lookAt(member: Member): Promise<void> {
    member.isLookedAt = true
    try {
      const look = { method: 'GET', path: '/version', timeoutMs: LOOK_TIMEOUT_MS } as const
      await this.#attempt(member, look, (transport, request) => transport.send(request))
    } catch (error) {
      if (!(error instanceof KesClientError)) throw error
      // It was noted that the endpoint is still out.
    } finally {
      member.isLookedAt = false
    }
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted
  }
}

/** A look at a shelved one comes in the background, so among these any other is better. */
function isBetter(one: Member, other: Member): boolean {
  if (one.health.isShelved !== other.health.isShelved) return other.health.isShelved
  if (one.nearness !== other.nearness) return one.nearness < other.nearness
  return one.underWay < other.underWay
}

interface Failure {
  readonly error: unknown
  readonly member: Member
}

/** What became of one request so far. */
class Course {
  readonly isRepeatable: boolean
  /** Not to be asked again. */
  readonly givenUp = new Set<Member>()
  readonly #request: TransportRequest
  readonly #deadlineMs: number
  readonly #failures: Failure[] = []

  constructor(request: TransportRequest) {
    this.#request = request
    this.isRepeatable = request.isRepeatable ?? false
    this.#deadlineMs =
      request.timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + request.timeoutMs
  }

  add(error: unknown, member: Member, { retry }: Verdict): void {
    this.#failures.push({ error, member })
    if (retry === 'elsewhere') this.givenUp.add(member)
  }

  get isAborted(): boolean {
    return this.#request.signal?.aborted ?? false
  }

  /** As the last server that was asked demands; 0 if it does not. */
  get retryAfterMs(): number {
    const error = this.#failures.at(-1)?.error
    return error instanceof KesApiError ? (error.retryAfterMs ?? 0) : 0
  }

  remainingMs(): number {
    return Math.ceil(this.#deadlineMs - performance.now())
  }

  /** What the caller is told: what a server answered, if one did; else why none could, for each that was asked. */
  error(): unknown {
    const errors = this.#failures.map(({ error }) => error)
    const last = errors.at(-1)
    if (this.isAborted) return last
    return errors.findLast((error) => error instanceof KesApiError) ?? this.#inWhole(last, errors)
  }

  #inWhole(last: unknown, errors: readonly unknown[]): unknown {
    const { timeoutMs } = this.#request
    const options = errors.length === 1 ? {} : { cause: new AggregateError(errors, 'every attempt failed') }
    if (last instanceof KesTimeoutError && timeoutMs !== undefined && last.timeoutMs !== timeoutMs) {
      return new KesTimeoutError(last.endpoint, timeoutMs, options)
    }
    if (!(last instanceof KesConnectionError)) return last
    const others = this.#latestOfOthers(last.endpoint)
    if (others.length === 0) return last
    const isUnsent = errors.every((error) => error instanceof KesConnectionError && error.isUnsent)
    return new KesConnectionError(last.endpoint, [last.problem, ...others].join('; '), {
      ...options,
      isUnsent,
    })
  }

  #latestOfOthers(endpoint: string): string[] {
    const messages = new Map<string, string>()
    for (const { error, member } of this.#failures) {
      if (error instanceof Error) messages.set(member.transport.origin, error.message)
    }
    messages.delete(endpoint)
    return [...messages.values()]
  }
}
