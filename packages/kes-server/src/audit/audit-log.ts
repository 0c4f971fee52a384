/**
 * The audit log: one event for each request, on stdout by pino, as the stream `/v1/log/audit`, and in a file.
 *
 * KES's fields and names; the stream's `time` of a response is in nanoseconds, as KES's clients read it. With a file,
 * an event is on the disk before its reply goes out, that of a probe aside, and shown elsewhere only then.
 */
import type { Logger } from 'pino'
import type { LogStream } from '../log/broadcast.ts'
import { type AuditEvent, formatDuration } from './audit-event.ts'
import type { HeldReplies } from './held-replies.ts'
import { eventFields } from './lines.ts'

/** What becomes of a request's reply. */
export interface Outcome {
  /** Whether the reply has gone out already. */
  readonly isAnswered?: boolean
  /** Goes out even if the file can't take its event. */
  readonly isUrgent: boolean
  readonly release: () => void
  readonly refuse: () => void
}

export interface AuditLogOptions {
  /** Whether events go to stdout; the stream gets them in any case. */
  readonly isPrinted: boolean
  /** Undefined without a file. */
  readonly file?: HeldReplies | undefined
  readonly stream: LogStream
}

export class AuditLog {
  readonly stream: LogStream
  readonly #logger: Logger
  #isPrinted: boolean
  readonly #file: HeldReplies | undefined

  constructor(logger: Logger, { isPrinted, file, stream }: AuditLogOptions) {
    this.#logger = logger
    this.#isPrinted = isPrinted
    this.#file = file
    this.stream = stream
  }

  /** Whether anybody would see an event: if not, it need not be made. */
  get isListening(): boolean {
    return this.#isPrinted || this.#file !== undefined || this.stream.isWanted
  }

  setPrinted(isPrinted: boolean): void {
    this.#isPrinted = isPrinted
  }

  /** False while an event could not be written to the file. */
  get isAccepting(): boolean {
    return this.#file?.isAccepting !== false
  }

  /** Resolves when every reply that waits for its event now has gone out. */
  released(): Promise<void> {
    return this.#file?.released() ?? Promise.resolve()
  }

  /** Lets the reply go as soon as its event is where it must be: at once without a file. */
  write(event: AuditEvent, { isAnswered, isUrgent, release, refuse }: Outcome): void {
    if (this.#file === undefined) {
      this.#show(event)
      release()
      return
    }
    const show = () => {
      this.#show(event)
      release()
    }
    this.#file.hold({ fields: eventFields(event), isAnswered, isUrgent, release: show, refuse })
  }

  #show(event: AuditEvent): void {
    if (this.#isPrinted) {
      const req = {
        method: event.method,
        path: event.path,
        ip: event.ip,
        identity: event.identity ?? '<unknown>',
        proxy: event.proxy, // Left out if undefined.
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
