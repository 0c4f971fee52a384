/**
 * The server's error log: to stderr by pino, and as a stream of KES's log lines to whoever asks for
 * `/v1/log/error`.
 */
import type { DestinationStream, Logger } from 'pino'
import pino from 'pino'
import type { LogStream } from './broadcast.ts'

/** Levels as the config has them: slog's numbers, with room between. */
export const LogLevel = { debug: -4, info: 0, warn: 4, error: 8 } as const

export interface LoggedRequest {
  readonly method: string
  readonly path: string
  readonly ip: string
  readonly identity: string | undefined
  /** The TLS proxy that the request came through. */
  readonly proxy?: string
}

/**
 * One pino logger, as both logs use it: level names as KES prints them, ISO time in UTC.
 */
export function createLogger(destination: DestinationStream): Logger {
  return pino(
    {
      level: 'debug',
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    destination,
  )
}

export class ErrorLog {
  readonly stream: LogStream
  readonly #logger: Logger
  #level: number

  /** @param level - events below it are dropped, on stderr and in the stream alike. */
  constructor(logger: Logger, level: number, stream: LogStream) {
    this.#logger = logger
    this.#level = level
    this.stream = stream
  }

  setLevel(level: number): void {
    this.#level = level
  }

  error(message: string, request?: LoggedRequest): void {
    this.#log('error', message, request)
  }

  warn(message: string, request?: LoggedRequest): void {
    this.#log('warn', message, request)
  }

  info(message: string, request?: LoggedRequest): void {
    this.#log('info', message, request)
  }

  debug(message: string, request?: LoggedRequest): void {
    this.#log('debug', message, request)
  }

  #log(severity: keyof typeof LogLevel, message: string, request: LoggedRequest | undefined): void {
    if (LogLevel[severity] < this.#level) return
    const req = request && { ...request, identity: request.identity ?? '<unknown>' }
    this.#logger[severity](req ? { req } : {}, message)
    if (!this.stream.isWanted) return
    this.stream.send(`${JSON.stringify({ message: logfmt(severity, message, req) })}\n`)
  }
}

/** A line as KES prints it: `time=… level=ERROR msg="…" req.method=POST …`. */
function logfmt(severity: string, message: string, request: LoggedRequest | undefined): string {
  const fields: [string, string][] = [
    ['time', new Date().toISOString()],
    ['level', severity.toUpperCase()],
    ['msg', message],
  ]
  for (const [name, value] of Object.entries(request ?? {})) fields.push([`req.${name}`, String(value)])
  return fields.map(([name, value]) => `${name}=${quoteIfNeeded(value)}`).join(' ')
}

function quoteIfNeeded(value: string): string {
  return value === '' || /[\s"=\\]|[^\x20-\x7e]/.test(value) ? JSON.stringify(value) : value
}
