/** What the audit log tells while it happens: the last events, and how many there were each second. */
import { signal } from '@preact/signals'
import { follow, type StreamState } from '../net/follow.ts'
import type { Requests } from '../net/session.ts'
import { parseTime } from '../text/format.ts'
import type { KeyTable } from './key-table.ts'

export interface AuditEvent {
  /** Counts up; what a list tells rows apart by. */
  readonly id: number
  readonly time: number
  readonly ip: string
  readonly path: string
  readonly identity: string
  readonly status: number
  readonly ms: number
}

/** Of one second. A use is a generate, encrypt, decrypt or hmac. */
export interface SecondCount {
  uses: number
  refusedUses: number
  others: number
}

interface AuditLine {
  readonly time: string
  readonly request: { readonly ip?: string; readonly path: string; readonly identity?: string }
  readonly response: { readonly code: number; readonly time: number }
}

const EVENTS_MAX = 2_000
export const SECONDS_SHOWN = 120
/** Lists and plots are drawn so often, however fast events come. */
const DRAW_MS = 250
const USE = /^\/v1\/key\/(?:generate|encrypt|decrypt|hmac)\/(.+)$/

export class Activity {
  readonly stream = signal<StreamState>({ kind: 'connecting' })
  /** Moves when there is something new to draw. */
  readonly version = signal(0)
  /** All since the login. */
  total = 0
  readonly #session: Requests
  readonly #keys: KeyTable
  readonly #events: AuditEvent[] = []
  readonly #seconds = new Map<number, SecondCount>()
  #isNew = false

  constructor(session: Requests, keys: KeyTable) {
    this.#session = session
    this.#keys = keys
  }

  /** Oldest first. */
  get events(): readonly AuditEvent[] {
    return this.#events
  }

  /** The last {@link SECONDS_SHOWN} whole seconds, the oldest first. */
  seconds(now: number): readonly SecondCount[] {
    const current = Math.floor(now / 1000)
    return Array.from({ length: SECONDS_SHOWN }, (_, index) => {
      const second = current - SECONDS_SHOWN + index
      return this.#seconds.get(second) ?? { uses: 0, refusedUses: 0, others: 0 }
    })
  }

  /** Until the session ends. */
  async start(): Promise<void> {
    const timer = setInterval(() => {
      if (!this.#isNew) return
      this.#isNew = false
      this.version.value++
    }, DRAW_MS)
    try {
      await follow(this.#session, {
        path: '/v1/log/audit',
        onState: (state) => {
          this.stream.value = state
        },
        onLines: (lines) => {
          for (const line of lines) this.#take(JSON.parse(line) as AuditLine)
          if (this.#events.length > EVENTS_MAX) this.#events.splice(0, this.#events.length - EVENTS_MAX)
          this.#isNew = true
        },
      })
    } finally {
      clearInterval(timer)
    }
  }

  #take({ time, request, response }: AuditLine): void {
    const at = parseTime(time) ?? Date.now()
    this.#events.push({
      id: this.total++,
      time: at,
      ip: request.ip ?? '',
      path: request.path,
      identity: request.identity ?? '',
      status: response.code,
      ms: response.time / 1e6,
    })
    const count = this.#countOf(Math.floor(Date.now() / 1000))
    const key = USE.exec(request.path)?.[1]
    if (key === undefined) count.others++
    else if (response.code === 200) {
      count.uses++
      this.#keys.noteUse(key, at)
    } else count.refusedUses++
  }

  /** By this page's clock, so that those of server and visitor may differ. */
  #countOf(second: number): SecondCount {
    const known = this.#seconds.get(second)
    if (known !== undefined) return known
    const count = { uses: 0, refusedUses: 0, others: 0 }
    this.#seconds.set(second, count)
    for (const old of this.#seconds.keys()) {
      if (old < second - 2 * SECONDS_SHOWN) this.#seconds.delete(old)
    }
    return count
  }
}
