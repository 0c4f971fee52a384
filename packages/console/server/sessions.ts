/** Who is logged in. Sessions are in memory alone: they end with the process. */
import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'

/** Without a request for so long, a session ends. */
export const IDLE_SECONDS = 15 * 60
const LIFETIME_MS = 8 * 3_600_000
const SESSIONS_MAX = 1000
/** Of one identity. */
const OWN_SESSIONS_MAX = 20
const SWEEP_MS = 1000

export class Session {
  /** Of its token. */
  readonly hash: string
  readonly identity: string
  readonly endsMs: number
  usedMs: number
  /** Replies under way. Those that go on without end don't count as use. */
  readonly #open = new Map<ServerResponse, { readonly isEndless: boolean }>()

  constructor(hash: string, identity: string, nowMs: number) {
    this.hash = hash
    this.identity = identity
    this.usedMs = nowMs
    this.endsMs = nowMs + LIFETIME_MS
  }

  /** Ends a reply with the session, if it is under way then. */
  hold(response: ServerResponse, isEndless: boolean): void {
    this.#open.set(response, { isEndless })
    response.once('close', () => this.#open.delete(response))
  }

  isOver(nowMs: number): boolean {
    if (nowMs >= this.endsMs) return true
    if ([...this.#open.values()].some(({ isEndless }) => !isEndless)) return false
    return nowMs >= this.usedMs + IDLE_SECONDS * 1000
  }

  cut(spared?: ServerResponse): void {
    for (const response of this.#open.keys()) if (response !== spared) response.destroy()
  }

  cutEndless(): void {
    for (const [response, { isEndless }] of this.#open) if (isEndless) response.destroy()
  }
}

export class Sessions {
  readonly #now: () => number
  /** By the hash of their token, least recently used first. */
  readonly #sessions = new Map<string, Session>()
  readonly #timer: NodeJS.Timeout

  /** @param now - milliseconds that never go back. */
  constructor(now: () => number) {
    this.#now = now
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  get count(): number {
    return this.#sessions.size
  }

  /** @returns the token, which nobody else has. */
  open(identity: string): string {
    this.#makeRoom(identity)
    const token = randomBytes(32).toString('base64url')
    const hash = hashOf(token)
    this.#sessions.set(hash, new Session(hash, identity, this.#now()))
    return token
  }

  /** The session of a token, which has been used now; undefined if there is none, or it has ended. */
  use(token: string): Session | undefined {
    const session = this.#sessions.get(hashOf(token))
    if (session === undefined) return undefined
    const now = this.#now()
    if (session.isOver(now)) {
      this.close(session)
      return undefined
    }
    session.usedMs = now
    this.#sessions.delete(session.hash)
    this.#sessions.set(session.hash, session)
    return session
  }

  /** @param spared - the reply that says so; the session's others end with it. */
  close(session: Session, spared?: ServerResponse): void {
    this.#sessions.delete(session.hash)
    session.cut(spared)
  }

  /** The one that was not used for longest goes: of the same identity, if that has so many. */
  #makeRoom(identity: string): void {
    const all = [...this.#sessions.values()]
    const own = all.filter((session) => session.identity === identity)
    const [oldest] = own.length >= OWN_SESSIONS_MAX ? own : all.length >= SESSIONS_MAX ? all : []
    if (oldest !== undefined) this.close(oldest)
  }

  /** Cuts what would keep the process from stopping; what ends by itself may. */
  stop(): void {
    clearInterval(this.#timer)
    for (const session of this.#sessions.values()) session.cutEndless()
  }

  #sweep(): void {
    const now = this.#now()
    for (const session of this.#sessions.values()) if (session.isOver(now)) this.close(session)
  }
}

/** So that the time of a look-up says nothing of the tokens that there are. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
