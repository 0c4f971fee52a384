/** One request on its way through the front, and what it is answered with. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { S3Error } from './errors.ts'
import { Payload } from './payload.ts'
import type { Verified } from './signature-v4.ts'
import type { Target } from './target.ts'

export interface Call {
  readonly method: string
  readonly target: Target
  readonly headers: IncomingHttpHeaders
  readonly isSecure: boolean
  /** `https://host:port`, as the client named it. */
  readonly origin: string
  readonly signed: Verified
  /** The body as it was sent. Who asks for it lets the client send it (100 Continue). */
  readonly body: () => AsyncIterable<Buffer>
}

export type ReplyHeaders = Readonly<Record<string, string | undefined>>

/** Content of a known length, sent as it comes. */
export interface StreamedBody {
  readonly length: number
  /** A buffer holds its bytes until the next one is asked for. */
  readonly content: AsyncIterable<Uint8Array>
  /** Ends the reply at once, also one that its client does not take. */
  readonly signal?: AbortSignal | undefined
}

export interface Reply {
  readonly status: number
  readonly headers?: ReplyHeaders
  readonly body?: string | StreamedBody
  /** Called once the reply is out. */
  readonly afterwards?: () => void
}

export const EMPTY_OK: Reply = { status: 200 }
export const NO_CONTENT: Reply = { status: 204 }

export function xmlReply(body: string, headers: ReplyHeaders = {}): Reply {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body }
}

/** A header that has one value. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

/**
 * Reads a small body whole, with all that the client has promised of it checked.
 *
 * @throws S3Error 400 if it is larger.
 */
export async function readSmallBody(call: Call, bytesMax: number): Promise<Buffer> {
  const payload = new Payload(call.headers, call.signed)
  if ((payload.size ?? 0) > bytesMax) throw S3Error.of('EntityTooLarge')
  const slices: Buffer[] = []
  let bytes = 0
  for await (const slice of payload.read(call.body(), { needsMd5: false })) {
    bytes += slice.length
    if (bytes > bytesMax) throw S3Error.of('EntityTooLarge')
    slices.push(Buffer.from(slice))
  }
  return Buffer.concat(slices)
}

/** The body of a request, and the leave to send it where the client waits for that. */
export function bodyOf(request: IncomingMessage, sendContinue: (() => void) | undefined): Call['body'] {
  let isAsked = false
  return () => {
    if (!isAsked) sendContinue?.()
    isAsked = true
    // Whoever leaves it in the middle leaves the connection, too: the reply says why.
    return request.iterator({ destroyOnReturn: false })
  }
}
