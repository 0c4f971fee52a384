import { once } from 'node:events'
import { type ClientHttp2Stream, connect, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { serverOf } from '../../../../test/sandbox/certificates.ts'
import { endWithoutError } from './http2-exchange.ts'

/** One request over TLS, answered with so many bytes. */
async function exchange(length: number) {
  const server = createSecureServer(await serverOf())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  const request = session.request({ ':method': 'PUT', ':path': '/' })
  request.on('error', () => undefined)
  request.end('a body')
  const [stream] = (await once(server, 'stream')) as [ServerHttp2Stream]
  /** What Node says of the stream, and of its end. */
  const seen: unknown[] = []
  endWithoutError(stream)
  stream.on('error', (error) => seen.push(error))
  stream.resume()
  await once(stream, 'end')
  stream.respond({ ':status': 200 })
  stream.end(Buffer.alloc(length), (error?: Error | null) => seen.push(error))
  return {
    request,
    stream,
    seen,
    closed: once(stream, 'close'),
    [Symbol.dispose]() {
      session.destroy()
      server.close()
    },
  }
}

async function lengthOf(request: ClientHttp2Stream): Promise<number> {
  let length = 0
  for await (const chunk of request) length += chunk.length
  return length
}

test('the end of a reply does not cost an error', async () => {
  using exchanged = await exchange(100)
  expect(await lengthOf(exchanged.request)).toBe(100)
  await exchanged.closed
  // Otherwise Node makes one with a stack trace here, ERR_STREAM_DESTROYED.
  expect(exchanged.seen).toEqual([new Error('the reply has ended')])
})

test('a reply that is longer than the client takes at a time arrives whole', async () => {
  using exchanged = await exchange(1_000_000)
  expect(await lengthOf(exchanged.request)).toBe(1_000_000)
})

test('a stream that fails tells of it', async () => {
  using exchanged = await exchange(1_000_000)
  const failure = new Error('broken')
  exchanged.stream.destroy(failure)
  await exchanged.closed.catch(() => undefined)
  expect(exchanged.seen).toContain(failure)
})
