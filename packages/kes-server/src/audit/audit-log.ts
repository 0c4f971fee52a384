/**
 * The audit log: one event for each request, on stdout by pino and as the stream `/v1/log/audit`.
 *
 * KES's fields and names; the stream's `time` of a response is in nanoseconds, as KES's clients read it.
 */
import type { Logger } from 'pino'
import { Broadcast, type LogStream } from '../log/broadcast.ts'

export interface AuditEvent {
  readonly method: string
  /** Decoded, as the policy saw it. */
  readonly path: string
  readonly ip: string
  readonly identity: string | undefined
  readonly status: number
  readonly durationMs: number
  /** What happened, for a reader; the stream has no place for it. */
  readonly message: string
}

export class AuditLog {
  readonly stream: LogStream
  readonly #logger: Logger
  readonly #isPrinted: boolean

  /** @param isPrinted - whether events go to stdout; the stream gets them in any case. */
  constructor(logger: Logger, isPrinted: boolean, onSent: () => void) {
    this.#logger = logger
    this.#isPrinted = isPrinted
    this.stream = new Broadcast(onSent)
  }

  /** Whether anybody would see an event: if not, it need not be made. */
  get isListening(): boolean {
    return this.#isPrinted || this.stream.isWanted
  }

  write(event: AuditEvent): void {
    if (this.#isPrinted) {
      const req = {
        method: event.method,
        path: event.path,
        ip: event.ip,
        identity: event.identity ?? '<unknown>',
      }
      this.#logger.info(
        { req, res: { code: event.status, time: formatDuration(event.durationMs) } },
        event.message,
      )
    }
    if (this.stream.isWanted) this.stream.send(`${JSON.stringify(streamEvent(event))}\n`)
  }
}

function streamEvent({ ip, path, identity, status, durationMs }: AuditEvent) {
  return {
    time: new Date().toISOString(),
    request: { ...(ip === '' ? {} : { ip }), path, ...(identity === undefined ? {} : { identity }) },
    response: { code: status, time: Math.round(durationMs * 1e6) },
  }
}

/** As Go prints a duration: `627.33µs`, `1.035537ms`, `2.5s`. */
export function formatDuration(ms: number): string {
  if (ms < 1) return `${trim(ms * 1e3, 3)}µs`
  if (ms < 1000) return `${trim(ms, 6)}ms`
  return `${trim(ms / 1e3, 9)}s`
}

function trim(value: number, digits: number): string {
  return String(Number(value.toFixed(digits)))
}
