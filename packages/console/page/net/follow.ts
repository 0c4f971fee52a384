/** Keeps a stream of lines open: begins anew when it ends, with pauses that grow while it can't be had. */
import { ApiError, explainError } from './api-error.ts'
import { readLines } from './lines.ts'
import type { Requests } from './session.ts'

export type StreamState =
  | { readonly kind: 'connecting' }
  | { readonly kind: 'open' }
  /** It is tried again. */
  | { readonly kind: 'lost'; readonly reason: string }
  /** It is not tried again: the policy does not allow it. */
  | { readonly kind: 'refused'; readonly reason: string }

export interface Follower {
  readonly path: string
  /** Silence after which the connection is taken for dead; undefined if silence says nothing. */
  readonly silenceMsMax?: number
  readonly onState: (state: StreamState) => void
  /** Called before the first lines of each connection. */
  readonly onOpen?: () => void
  readonly onLines: (lines: readonly string[]) => void
}

const PAUSE_MS_MIN = 250
const PAUSE_MS_MAX = 5_000

/** Returns when the session has ended, or the stream is refused. */
export async function follow(session: Requests, follower: Follower): Promise<void> {
  let pauseMs = PAUSE_MS_MIN
  follower.onState({ kind: 'connecting' })
  while (!session.ended.aborted) {
    try {
      await readOnce(session, follower, () => {
        pauseMs = PAUSE_MS_MIN
      })
      follower.onState({ kind: 'lost', reason: 'The server has closed the stream.' })
    } catch (error) {
      if (session.ended.aborted) return
      if (error instanceof ApiError && error.status === 403) {
        follower.onState({ kind: 'refused', reason: explainError(error) })
        return
      }
      follower.onState({ kind: 'lost', reason: explainError(error) })
    }
    await pause(pauseMs, session.ended)
    pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)
  }
}

async function readOnce(session: Requests, follower: Follower, onAlive: () => void): Promise<void> {
  const silence = new AbortController()
  let timer: ReturnType<typeof setTimeout> | undefined
  const heard = () => {
    clearTimeout(timer)
    if (follower.silenceMsMax === undefined) return
    timer = setTimeout(() => silence.abort(new Error('The server is silent.')), follower.silenceMsMax)
  }
  try {
    heard()
    const { body } = await session.fetch(follower.path, { signal: silence.signal })
    if (body === null) return
    follower.onOpen?.()
    follower.onState({ kind: 'open' })
    for await (const lines of readLines(body)) {
      heard()
      onAlive()
      follower.onLines(lines)
    }
  } finally {
    clearTimeout(timer)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
