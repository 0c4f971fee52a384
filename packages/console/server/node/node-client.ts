/** The storage node, asked as its own user: every request is signed here, and the secret key stays here. */
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http'
import type { Readable } from 'node:stream'
import type { SignatureV4 } from '@smithy/signature-v4'
import { ConsoleError, refusal } from '../errors.ts'
import { readAnswer, readNodeError, unreachable } from './node-error.ts'
import { Sha256 } from './sha256.ts'

const { request: requestHttp } = process.getBuiltinModule('node:http')
const { request: requestHttps } = process.getBuiltinModule('node:https')

/** Of a connection on which nothing moves. */
const STALL_TIMEOUT_MS = 60_000
/** How long a node, or what stands before it, may leave open whether it wants a body. */
const CONTINUE_TIMEOUT_MS = 3_000
const REGION = 'us-east-1'

export interface NodeAccess {
  /** Scheme, host and port. */
  readonly endpoint: string
  readonly accessKey: string
  readonly secretKey: string
  /** PEM of the authority of its certificate, if it is not one that the system knows. */
  readonly ca?: string | undefined
}

export interface NodeRequest {
  /** Decoded; what is undefined is left out. */
  readonly query?: Readonly<Record<string, string | undefined>>
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Readable | string
  /** The reply that this is for: a browser that goes away ends the request to the node. */
  readonly for?: { once(event: 'close', listener: () => void): unknown }
}

export class NodeClient {
  readonly endpoint: string
  readonly #access: NodeAccess
  #signer: Promise<SignatureV4> | undefined

  constructor(access: NodeAccess) {
    this.endpoint = access.endpoint
    this.#access = access
  }

  /**
   * @param segments - of the path, decoded.
   * @returns a reply that tells of success, its body unread.
   * @throws ConsoleError 502 if no node answers; for what the node refuses, one with its status and code.
   */
  async send(
    method: string,
    segments: readonly string[],
    options: NodeRequest = {},
  ): Promise<IncomingMessage> {
    const path = `/${segments.map((segment) => encode(segment).replaceAll('%2F', '/')).join('/')}`
    const query = definedOf(options.query ?? {})
    const search = Object.entries(query).map(([name, value]) => `${encode(name)}=${encode(value)}`)
    const headers = await this.#sign(method, path, query, options.headers ?? {})
    const target = search.length === 0 ? path : `${path}?${search.join('&')}`
    const answer = await this.#exchange(method, target, headers, options)
    const status = answer.statusCode ?? 0
    if (status >= 200 && status < 300) return answer
    throw await readNodeError(status, answer)
  }

  /** The JSON that the node's own APIs answer. */
  async view(name: string, query: NonNullable<NodeRequest['query']>): Promise<object> {
    const answer = await this.send('GET', ['minio', 'latchkey', 'v1', name], { query })
    const text = await readAnswer(answer)
    try {
      return JSON.parse(text)
    } catch {
      throw new ConsoleError(502, 'NodeError', 'the storage node answered what is no JSON')
    }
  }

  async #sign(
    method: string,
    path: string,
    query: Record<string, string>,
    headers: Readonly<Record<string, string>>,
  ): Promise<OutgoingHttpHeaders> {
    this.#signer ??= makeSigner(this.#access)
    const { protocol, hostname, host, port } = new URL(this.endpoint)
    const signer = await this.#signer
    const signed = await signer.sign({
      method,
      protocol,
      hostname,
      ...(port === '' ? {} : { port: Number(port) }),
      path,
      query,
      headers: { ...headers, host, 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' },
    })
    return signed.headers
  }

  #exchange(
    method: string,
    target: string,
    headers: OutgoingHttpHeaders,
    { body, for: reply }: NodeRequest,
  ): Promise<IncomingMessage> {
    const { protocol, hostname, port } = new URL(this.endpoint)
    const send = protocol === 'https:' ? requestHttps : requestHttp
    const isStream = typeof body === 'object'
    return new Promise((resolve, reject) => {
      const sent = send({
        method,
        hostname: hostname.replace(/^\[|\]$/g, ''),
        port,
        path: target,
        headers: {
          ...headers,
          // So that the node reads what it does not want, and does not reset the connection under its own reply.
          connection: 'keep-alive',
          ...(isStream ? { expect: '100-continue' } : {}),
        },
        agent: false, // One that is kept may end in the moment in which it is used again.
        timeout: STALL_TIMEOUT_MS,
        ca: this.#access.ca,
      })
      sent.on('timeout', () => sent.destroy(new Error('no answer in time')))
      sent.on('error', (error) => reject(unreachable(error)))
      sent.on('response', resolve)
      reply?.once('close', () => sent.destroy())
      if (isStream) sendBody(body, sent)
      else sent.end(body)
    })
  }
}

/**
 * Sends a body when the node asks for it: it may refuse the object by what it knows before. What it does not want is read
 * all the same, because a browser reads the refusal when it has sent everything.
 */
function sendBody(body: Readable, sent: ClientRequest): void {
  const begin = () => {
    clearTimeout(deadline)
    body.pipe(sent)
  }
  const end = () => {
    clearTimeout(deadline)
    body.unpipe(sent)
    body.resume()
  }
  const deadline = setTimeout(begin, CONTINUE_TIMEOUT_MS)
  sent.once('continue', begin)
  sent.once('response', end)
  sent.once('error', end)
  sent.flushHeaders()
}

/** Loaded with the first request: a console without a node does without. */
async function makeSigner({ accessKey, secretKey }: NodeAccess): Promise<SignatureV4> {
  const { SignatureV4 } = await import('@smithy/signature-v4')
  return new SignatureV4({
    service: 's3',
    region: REGION,
    credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    sha256: Sha256,
    uriEscapePath: false, // It comes escaped, once, as S3 has it.
  })
}

/** As it is signed: everything but the unreserved characters of RFC 3986. @throws ConsoleError 400 */
function encode(text: string): string {
  if (!text.isWellFormed()) throw refusal('InvalidPath')
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function definedOf(query: NonNullable<NodeRequest['query']>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
