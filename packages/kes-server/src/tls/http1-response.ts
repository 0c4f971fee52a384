/** The reply to a request that was read whole, in the shape of `node:http`'s response: what fastify and this server touch. */
import { EventEmitter } from 'node:events'
import type { TLSSocket } from 'node:tls'
import { ReplyHeaders } from './reply-headers.ts'

/** Not an import: see *Decisions* in ARCHITECTURE.md. */
const { STATUS_CODES } = process.getBuiltinModule('node:http')

const UNFIT_FOR_HEADER = /[^\t\x20-\x7e]/
const SECOND_MS = 1_000

export interface Http1ResponseOptions {
  /** For `Keep-Alive`. */
  readonly idleTimeoutMs: number
  /** The reply is written; whether it is the last one of its connection. */
  readonly onEnd: (isLast: boolean) => void
  /** The system has it, or nobody will. */
  readonly onClose: () => void
}

/** Emits `finish` and `close` when the system has taken the reply, `close` alone if the connection ends before that. */
export class Http1Response extends ReplyHeaders {
  statusCode = 200
  headersSent = false
  writableEnded = false
  /** Whether the connection ends with this reply. */
  isLast = false
  readonly #socket: TLSSocket
  readonly #options: Http1ResponseOptions
  readonly #events = new EventEmitter()
  #head = ''
  #isClosed = false

  constructor(socket: TLSSocket, options: Http1ResponseOptions) {
    super()
    this.#socket = socket
    this.#options = options
  }

  get destroyed(): boolean {
    return this.#socket.destroyed
  }

  /** Nothing is sent before the end of the reply. */
  writeHead(status: number, headers: Readonly<Record<string, string | number>> = {}): this {
    this.statusCode = status
    this.headersSent = true
    let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`
    for (const name in this.headers) if (!(name in headers)) text += this.#line(name, this.headers[name])
    for (const name in headers) text += this.#line(name, headers[name])
    this.#head = text
    return this
  }

  /** `connection` is said at the end, of each reply. */
  #line(name: string, value: string | number | undefined): string {
    if (name.toLowerCase() === 'connection') {
      this.isLast ||= value === 'close'
      return ''
    }
    const text = String(value)
    if (UNFIT_FOR_HEADER.test(text))
      throw new TypeError(`the header ${name} has characters that it may not have`)
    return `${name}: ${text}\r\n`
  }

  /** @param body - as long as the headers say, if they do. */
  end(body?: Buffer | string | null): this {
    if (this.writableEnded || !this.#socket.writable) return this
    const length = body === undefined || body === null ? 0 : Buffer.byteLength(body)
    if (!this.headersSent) this.writeHead(this.statusCode, { 'content-length': length })
    this.writableEnded = true
    const kept = `keep-alive\r\nKeep-Alive: timeout=${this.#options.idleTimeoutMs / 1_000}`
    const head = `${this.#head}Date: ${dateNow()}\r\nConnection: ${this.isLast ? 'close' : kept}\r\n\r\n`
    // In one piece, for each piece is a write to the socket, or a copy in Node.
    const bytes = Buffer.allocUnsafe(head.length + length)
    bytes.write(head, 'latin1')
    if (typeof body === 'string') bytes.write(body, head.length)
    else if (body !== undefined && body !== null) bytes.set(body, head.length)
    this.#socket.write(bytes, (error) => {
      if (error === undefined || error === null) this.#events.emit('finish')
      this.close()
    })
    this.#options.onEnd(this.isLast)
    return this
  }

  /** The connection has closed, or has taken the reply. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#events.emit('close')
    this.#options.onClose()
  }

  on(event: string, listener: () => void): this {
    this.#events.on(event, listener)
    return this
  }

  /** Where a reply can't be finished. */
  destroy(error?: Error): this {
    this.#socket.destroy(error)
    return this
  }
}

let date = ''
let dateEndMs = 0

function dateNow(): string {
  const nowMs = Date.now()
  // The clock may have been set back, too.
  if (nowMs >= dateEndMs || nowMs < dateEndMs - SECOND_MS) {
    date = new Date(nowMs).toUTCString()
    dateEndMs = nowMs - (nowMs % SECOND_MS) + SECOND_MS
  }
  return date
}
