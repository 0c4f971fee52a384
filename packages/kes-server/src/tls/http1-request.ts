/**
 * Requests of HTTP/1.1 that need no parser with a state: each came whole, in one piece, and looks like those that
 * the clients of a key server send. Whatever does not is left to `node:http`, which reads the same bytes from their
 * beginning; so nothing here has to be forgiving, and what is read here is read in one way only.
 *
 * @see RFC 9112, whose grammar allows far more.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { TLSSocket } from 'node:tls'

/** A request whose body is all there, in the shape of `node:http`'s for fastify. */
export class Http1Request {
  readonly httpVersionMajor = 1
  readonly httpVersion = '1.1'
  readonly complete = true
  readonly method: string
  /** fastify writes the target here as its router reads it. */
  url: string
  headers: IncomingHttpHeaders
  /** Undefined if the headers say that there is none, which is not the same as a body of no bytes. */
  readonly body: Buffer | undefined
  readonly socket: TLSSocket

  constructor(read: ReadRequest, socket: TLSSocket) {
    this.method = read.method
    this.url = read.target
    this.headers = read.headers
    this.body = read.body
    this.socket = socket
  }
}

export interface ReadRequest {
  readonly method: string
  readonly target: string
  /** Shared by requests with the same header lines. Names are in lower case. */
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer | undefined
}

const HEAD_BYTES_MAX = 8_192
const HEAD_END = Buffer.from('\r\n\r\n')
/** No escapes and no empty segments, so that a path has one spelling. */
const REQUEST_LINE = /^(GET|PUT|POST|DELETE) (\/(?:[\w.~*-]+\/)*[\w.~*-]*(?:\?[\w.~*=&-]*)?) HTTP\/1\.1$/
const HEADER_LINE = /^([\w!#$%&'*+.^`|~-]+):([\t\x20-\x7e]*)$/
const LENGTH = /^\d{1,6}$/
/** A body of one chunk, or of none. */
const CHUNK_SIZE_LINE = /^([\da-fA-F]{1,5})\r\n/
const LAST_CHUNK = '0\r\n\r\n'
/** They ask for more than a reply, or change what the message is. */
const HEADERS_LEFT_TO_NODE: ReadonlySet<string> = new Set([
  'accept-version', // fastify takes it away from the headers, which others share.
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'set-cookie', // A list in Node, and no header of a request.
  'te',
  'trailer',
  'upgrade',
])

/** What header lines say, apart from who sends what. */
interface Fields {
  readonly headers: IncomingHttpHeaders
  /** Bytes; undefined of a body in chunks. */
  readonly length: number | undefined
}

/** Reads the requests of one connection: a client sends the same header lines again and again. */
export class Http1Reader {
  #lastText = ''
  #last: Fields | undefined

  /** @returns undefined if `bytes` are not just one such request. */
  read(bytes: Buffer): ReadRequest | undefined {
    const headEnd = bytes.indexOf(HEAD_END)
    if (headEnd === -1 || headEnd > HEAD_BYTES_MAX) return undefined
    const head = bytes.toString('latin1', 0, headEnd)
    const lineEnd = head.indexOf('\r\n')
    if (lineEnd === -1) return undefined
    const [, method, target] = REQUEST_LINE.exec(head.slice(0, lineEnd)) ?? []
    if (method === undefined || target === undefined) return undefined
    const fields = this.#fieldsOf(head.slice(lineEnd + 2))
    if (fields === undefined) return undefined
    const { headers, length } = fields
    const rest = bytes.subarray(headEnd + HEAD_END.length)
    if (length === undefined) {
      const body = onlyChunkOf(rest)
      return body === undefined ? undefined : { method, target, headers, body }
    }
    if (rest.length !== length) return undefined
    return { method, target, headers, body: length === 0 ? undefined : rest }
  }

  #fieldsOf(text: string): Fields | undefined {
    if (text === this.#lastText) return this.#last
    this.#last = readFields(text)
    this.#lastText = text
    return this.#last
  }
}

function readFields(text: string): Fields | undefined {
  const headers: Record<string, string> = {}
  for (const line of text.split('\r\n')) {
    const [, written, value] = HEADER_LINE.exec(line) ?? []
    if (written === undefined || value === undefined) return undefined
    const name = written.toLowerCase()
    if (Object.hasOwn(headers, name) || name in Object.prototype || HEADERS_LEFT_TO_NODE.has(name))
      return undefined
    headers[name] = value.trim()
  }
  Object.freeze(headers) // They are shared.
  const { host, connection, 'content-length': length, 'transfer-encoding': coding } = headers
  if (host === undefined || host === '') return undefined
  if (connection !== undefined && connection.toLowerCase() !== 'keep-alive') return undefined
  if (coding !== undefined) {
    return coding === 'chunked' && length === undefined ? { headers, length: undefined } : undefined
  }
  if (length === undefined) return { headers, length: 0 }
  return LENGTH.test(length) ? { headers, length: Number(length) } : undefined
}

/** The content of a chunked body that ends with its first chunk and these bytes. */
function onlyChunkOf(bytes: Buffer): Buffer | undefined {
  const text = bytes.toString('latin1', 0, 7)
  if (text === LAST_CHUNK) return bytes.subarray(0, 0)
  const [line, digits = ''] = CHUNK_SIZE_LINE.exec(text) ?? []
  if (line === undefined) return undefined
  const end = line.length + Number.parseInt(digits, 16)
  if (end === line.length || bytes.length !== end + 2 + LAST_CHUNK.length) return undefined
  return bytes.toString('latin1', end) === `\r\n${LAST_CHUNK}` ? bytes.subarray(line.length, end) : undefined
}
