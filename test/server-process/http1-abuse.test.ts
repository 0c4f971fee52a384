/** Clients that speak HTTP/1.1, and badly: too slowly, too much, or in two ways at once. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import { type ServerProcess, sleep } from './server-process.ts'
import { withstand } from './withstand.ts'

const POST = 'POST /v1/key/generate/my-key HTTP/1.1\r\nHost: kes\r\n'
const TIMED_OUT = '{"message":"request body was not received in time","code":"RequestTimeout"\n}'

let installation: Installation
let server: ServerProcess

beforeAll(async () => {
  installation = await Installation.make({ keys: ['my-key'], timeouts: { '/v1/key/generate/': '1s' } })
  server = await installation.start()
})

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation[Symbol.dispose]()
})

const open = () => RawConnection.open(server, 'http/1.1')

/** Sends, and returns the statuses once the server has closed the connection. */
async function statusesUntilClosed(text: string): Promise<number[]> {
  const connection = await open()
  await connection.write(text)
  await connection.until()
  return connection.statuses
}

/** The one reply, unless the connection was reset before the client had read it. */
function expectCut(statuses: readonly number[], status: number): void {
  expect([[], [status]]).toContainEqual(statuses)
}

test('bodies that stall or drip are answered 408 within the time of their API, and closed', async () => {
  await withstand(server, async () => {
    const heads = ['Content-Length: 3\r\n', 'Content-Length: 900000\r\n', 'Transfer-Encoding: chunked\r\n']
    const slow = async (head: string, isDripping: boolean) => {
      const connection = await open()
      const startedMs = performance.now()
      await connection.write(`${POST}${head}\r\n${head.startsWith('T') ? '2\r\n{' : '{'}`)
      const dripping = setInterval(() => isDripping && void connection.write(' '), 1_000)
      await connection.until().finally(() => clearInterval(dripping))
      expect(performance.now() - startedMs).toBeLessThan(3_500)
      expect(connection.statuses).toEqual([408])
      expect(connection.text.endsWith(TIMED_OUT)).toBe(true)
    }
    await Promise.all(
      heads.flatMap((head) => Array.from({ length: 10 }, (_, index) => slow(head, index > 4))),
    )
  })
})

describe('too much', () => {
  test('headers of more than 64 KiB are refused', async () => {
    await withstand(server, async () => {
      for (const headers of [`X: ${'a'.repeat(66_000)}\r\n`, 'X: a\r\n'.repeat(12_000)]) {
        expectCut(await statusesUntilClosed(`${POST}${headers}\r\n`), 431)
      }
    })
  })

  test.each([
    ['a body', `${POST}Content-Length: 4000000000\r\n\r\n{`, ' '.repeat(65_536), 400],
    ['a chunk extension', `${POST}Transfer-Encoding: chunked\r\n\r\n2;`, 'a'.repeat(65_536), 400],
    ['trailers', `${POST}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n`, 'X: a\r\n'.repeat(10_000), 431],
    ['a request line', 'GET /', 'a'.repeat(65_536), 431],
  ])('%s without end is cut off', async (_, head, more, status) => {
    await withstand(server, async () => {
      const connection = await open()
      await connection.write(head)
      for (let count = 0; count < 2_000 && !connection.isClosed; count += 1) await connection.write(more)
      await connection.until()
      expectCut(connection.statuses, status)
    })
  })

  test('thousands of pipelined requests, whose replies nobody reads, wait with the client', async () => {
    await withstand(server, async () => {
      const connections = await Promise.all(Array.from({ length: 10 }, open))
      const requests = 'GET /v1/metrics HTTP/1.1\r\nHost: kes\r\n\r\n'.repeat(5_000)
      for (const { socket } of connections) socket.pause().write(requests)
      await sleep(1_000)
      for (const connection of connections) connection.close()
    })
    const metrics = async () => (await server.request('GET', '/v1/metrics')).rawBody.toString()
    await expect.poll(metrics, { timeout: 30_000 }).toContain('\nkes_http_request_active 0\n')
  })
})

describe('a request that two servers could read in two ways is refused, and what follows it is not read', () => {
  const smuggled = 'PUT /v1/key/create/smuggled HTTP/1.1\r\nHost: kes\r\n\r\n'

  test.each([
    ['a length and chunks', 'Content-Length: 6\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'],
    ['chunks and a length', 'Transfer-Encoding: chunked\r\nContent-Length: 4\r\n', '0\r\n\r\n'],
    ['two lengths', 'Content-Length: 2\r\nContent-Length: 4\r\n', '{}'],
    ['one length twice', 'Content-Length: 2\r\nContent-Length: 2\r\n', '{}'],
    ['a list of lengths', 'Content-Length: 2, 2\r\n', '{}'],
    ['a length with a sign', 'Content-Length: +2\r\n', '{}'],
    ['a hexadecimal length', 'Content-Length: 0x2\r\n', '{}'],
    ['a length beyond 64 bits', 'Content-Length: 18446744073709551618\r\n', '{}'],
    ['an unknown coding', 'Transfer-Encoding: xchunked\r\n', '0\r\n\r\n'],
    ['chunks, twice', 'Transfer-Encoding: chunked, chunked\r\n', '0\r\n\r\n'],
    ['chunks that are not last', 'Transfer-Encoding: chunked, identity\r\n', '0\r\n\r\n'],
    ['a coding in two lines', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '0\r\n\r\n'],
    ['a vertical tab', 'Transfer-Encoding: \vchunked\r\n', '0\r\n\r\n'],
    ['a space before the colon', 'Transfer-Encoding : chunked\r\n', '0\r\n\r\n'],
    ['a folded line', 'X: a\r\n Transfer-Encoding: chunked\r\n', ''],
    ['a bare CR', 'X: a\rContent-Length: 2\r\n', ''],
    ['a bare LF', 'X: a\nContent-Length: 2\r\n', ''],
    ['a NUL', 'X: a\0b\r\n', ''],
    ['a chunk size with 0x', 'Transfer-Encoding: chunked\r\n', '0x2\r\n{}\r\n0\r\n\r\n'],
    ['a negative chunk size', 'Transfer-Encoding: chunked\r\n', '-2\r\n{}\r\n0\r\n\r\n'],
    ['a chunk size beyond 64 bits', 'Transfer-Encoding: chunked\r\n', '10000000000000002\r\n{}\r\n0\r\n\r\n'],
    ['a space behind a chunk size', 'Transfer-Encoding: chunked\r\n', '2 \r\n{}\r\n0\r\n\r\n'],
    ['a chunk size that ends in LF', 'Transfer-Encoding: chunked\r\n', '2\n{}\r\n0\r\n\r\n'],
    ['a chunk longer than its size', 'Transfer-Encoding: chunked\r\n', '2\r\n{}{}\r\n0\r\n\r\n'],
    ['LF in a chunk extension', 'Transfer-Encoding: chunked\r\n', '2;a\n\r\n{}\r\n0\r\n\r\n'],
  ])('%s', async (_, headers, body) => {
    expect(await statusesUntilClosed(`${POST}${headers}\r\n${body}${smuggled}`)).toEqual([400])
    expect((await server.request('GET', '/v1/key/describe/smuggled')).status).toBe(404)
  })
})
