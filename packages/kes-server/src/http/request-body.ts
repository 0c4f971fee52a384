/** Request bodies: read whole, up to a limit; the same for both versions of HTTP. */
import type { IncomingHttpHeaders } from 'node:http'
import { constants } from 'node:http2'
import { Http1Request } from '../tls/http1-request.ts'
import { Http2Request } from '../tls/http2-exchange.ts'
import type { ServedRequest } from '../tls/listener.ts'

const EMPTY = Buffer.alloc(0)

/** Over HTTP/1.1, a body of at most this many bytes is read to its end rather than the connection closed. */
const DRAINED_BYTES_MAX = 65_536

const GROWN_BYTES_MIN = 16_384

/** Whether the headers say that there is no body, which is not the same as a body of no bytes. */
function hasNoBody(request: Exclude<ServedRequest, Http1Request>, headers: IncomingHttpHeaders): boolean {
  if (request instanceof Http2Request) return request.hasNoBody || headers['content-length'] === '0'
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
}

/**
 * Reads a body and calls back once, or never if the client goes away before the body has ended.
 *
 * @param limit - bytes; of a longer body only so many are given, as KES reads only so many.
 * @param done - gets undefined if there is no body.
 */
export function readBody(
  request: ServedRequest,
  headers: IncomingHttpHeaders,
  limit: number,
  done: (bytes: Buffer | undefined) => void,
): void {
  if (request instanceof Http1Request) {
    done(request.body?.subarray(0, limit))
    return
  }
  if (hasNoBody(request, headers)) {
    done(undefined)
    return
  }
  const source = request instanceof Http2Request ? request.stream : request
  let body: Buffer = EMPTY
  let length = 0
  let isDone = false

  function finish(): void {
    if (isDone) return
    isDone = true
    done(body.subarray(0, length))
  }

  /**
   * Copies what does not come in one piece, because a piece of one byte may hold on to far more. It leaves zeros behind:
   * whoever wipes the body has wiped all of it.
   */
  function append(chunk: Buffer): void {
    if (length + chunk.length > body.length) {
      const larger = Buffer.allocUnsafe(
        Math.min(limit, Math.max(GROWN_BYTES_MIN, 2 * (length + chunk.length))),
      )
      body.copy(larger, 0, 0, length)
      body.fill(0)
      body = larger
    }
    chunk.copy(body, length)
    length += chunk.length
    chunk.fill(0)
  }

  source.on('data', (chunk: Buffer) => {
    if (isDone) return
    const isTooLong = length + chunk.length > limit
    const kept = isTooLong ? chunk.subarray(0, limit - length) : chunk
    if (length > 0) append(kept)
    else {
      body = kept
      length = kept.length
    }
    if (isTooLong) finish()
  })
  source.on('end', () => {
    // Node ends a stream that the client has cancelled as if its body were whole.
    const isCancelled = request instanceof Http2Request && request.stream.closed
    if (!isCancelled) finish()
  })
}

/** Whether an HTTP/1.1 connection is better closed than kept for what is left of this request's body. */
export function isTooMuchLeft(request: ServedRequest, headers: IncomingHttpHeaders): boolean {
  if (request instanceof Http2Request || request.complete) return false
  return (
    headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > DRAINED_BYTES_MAX
  )
}

/**
 * Makes sure that a body which nobody reads to its end does not hold its connection: over HTTP/2 the stream is
 * reset without an error once the reply is out; over HTTP/1.1 `node:http` reads the rest, or the connection ends.
 */
export function abandonBody(request: ServedRequest): void {
  if (!(request instanceof Http2Request) || request.hasNoBody) return
  const { stream } = request
  if (stream.readableEnded || stream.destroyed) return
  stream.resume()
  stream.once('finish', () => {
    // Not in this turn: the headers of a reply without body have yet to be written, and a reset would take them back.
    setImmediate(() => {
      if (!stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR)
    })
  })
}
