/** A session of the console: every request of the page after the login. The token is here, and nowhere else. */
import { ApiError, errorOfReply, errorOfText, UnreachableError } from './api-error.ts'
import type { LoggedIn } from './login.ts'

export interface RequestOptions {
  readonly method?: 'GET' | 'PUT' | 'POST' | 'DELETE' | 'HEAD'
  /** Sent as JSON. */
  readonly body?: object
  readonly signal?: AbortSignal
}

/** For what is no stream and no object. */
const ANSWER_MS_MAX = 60_000

function withDeadline(options: RequestOptions): RequestOptions {
  const deadline = AbortSignal.timeout(ANSWER_MS_MAX)
  return { ...options, signal: options.signal ? AbortSignal.any([options.signal, deadline]) : deadline }
}

/** What most of the page needs of a session. */
export type Requests = Pick<Session, 'fetch' | 'json' | 'send' | 'ended'>

const ENDED = () => new ApiError(401, 'SessionEnded', 'the session has ended')

export class Session {
  readonly identity: string
  readonly isAdmin: boolean
  readonly policy: string | undefined
  readonly idleSeconds: number
  readonly #token: string
  readonly #end = new AbortController()
  readonly #onEnd: (reason: string | undefined) => void
  #transfers = 0

  /** @param onEnd - called once, with the reason if the visitor did not want it. */
  constructor(loggedIn: LoggedIn, onEnd: (reason: string | undefined) => void) {
    this.identity = loggedIn.identity
    this.isAdmin = loggedIn.admin
    this.policy = loggedIn.policy ?? undefined
    this.idleSeconds = loggedIn.expires_in
    this.#token = loggedIn.token
    this.#onEnd = onEnd
  }

  /** Fires when the session has ended; streams end with it. */
  get ended(): AbortSignal {
    return this.#end.signal
  }

  /** Whether an object is on its way, which may take longer than anybody waits in front of the page. */
  get isTransferring(): boolean {
    return this.#transfers > 0
  }

  async #transfer<T>(run: () => Promise<T>): Promise<T> {
    this.#transfers++
    try {
      return await run()
    } finally {
      this.#transfers--
    }
  }

  /** @throws ApiError for every status but 2xx, UnreachableError, or what `signal` was aborted with. */
  async fetch(path: string, { method = 'GET', body, signal }: RequestOptions = {}): Promise<Response> {
    if (this.ended.aborted) throw ENDED()
    const reply = await fetch(path, {
      method,
      headers: {
        ...this.#authorization(),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal === undefined ? this.ended : AbortSignal.any([signal, this.ended]),
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
    }).catch((error: unknown) => {
      if (this.ended.aborted) throw ENDED()
      if (signal?.aborted) throw error
      throw new UnreachableError(error)
    })
    if (reply.status === 401) {
      this.end('Your session has ended. Log in again to go on.')
      throw ENDED()
    }
    if (!reply.ok) throw await errorOfReply(reply)
    return reply
  }

  /** @throws as {@link fetch}, and TimeoutError. */
  async json<T>(path: string, options: RequestOptions = {}): Promise<T> {
    const reply = await this.fetch(path, withDeadline(options))
    return (await reply.json()) as T
  }

  /** For changes whose answer may be empty. */
  async send(path: string, options: RequestOptions): Promise<void> {
    const reply = await this.fetch(path, withDeadline(options))
    await reply.body?.cancel()
  }

  /** @throws as {@link fetch} */
  download(path: string): Promise<Blob> {
    return this.#transfer(async () => (await this.fetch(path)).blob())
  }

  /** @throws as {@link fetch} */
  upload(
    path: string,
    content: Blob,
    headers: Readonly<Record<string, string>>,
    onProgress: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#transfer(() => this.#put(path, content, headers, onProgress, signal))
  }

  /** Not with fetch(), which tells nothing of how far an upload has come. */
  #put(
    path: string,
    content: Blob,
    headers: Readonly<Record<string, string>>,
    onProgress: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest()
      request.open('PUT', path)
      for (const [name, value] of Object.entries({ ...this.#authorization(), ...headers })) {
        request.setRequestHeader(name, value)
      }
      request.upload.addEventListener('progress', ({ loaded }) => onProgress(loaded))
      request.addEventListener('load', () => {
        if (request.status === 401) this.end('Your session has ended. Log in again to go on.')
        if (request.status >= 200 && request.status < 300) resolve()
        else reject(errorOfText(request.status, request.responseText))
      })
      request.addEventListener('error', () => reject(new UnreachableError(undefined)))
      request.addEventListener('abort', () => reject(signal.reason ?? ENDED()))
      for (const each of [signal, this.ended]) each.addEventListener('abort', () => request.abort())
      request.send(content)
    })
  }

  /**
   * Tells the server, too, that nobody may go on with this session; also while the page is going away.
   *
   * @param reason - if the visitor did not want it.
   */
  async logOut(reason?: string): Promise<void> {
    const request = fetch('/console/logout', {
      method: 'POST',
      headers: this.#authorization(),
      keepalive: true,
    })
    this.end(reason)
    await request
  }

  end(reason: string | undefined): void {
    if (this.ended.aborted) return
    this.#end.abort(ENDED())
    this.#onEnd(reason)
  }

  #authorization(): Record<string, string> {
    return { authorization: `Bearer ${this.#token}` }
  }
}
