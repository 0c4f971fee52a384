/** Slow clients: what waits, for how long, and what they are told. */
import { connect, constants } from 'node:http2'
import { describe, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { readUntil, statusesOf, untilClosed } from './raw-http.ts'
import { errorBody } from './replies.ts'

const TIMEOUT_MS = 300
/** A deadline is looked at once a second. */
const LATE_MS = 1_700
const TIMED_OUT = errorBody('request body was not received in time', 'RequestTimeout')

const start = () =>
  startTestServer({
    keys: ['a'],
    api: { '/v1/key/encrypt/': { timeoutMs: TIMEOUT_MS }, '/v1/log/audit': { timeoutMs: TIMEOUT_MS } },
  })

async function openHttp1(server: TestServer) {
  return server.connect({ ALPNProtocols: ['http/1.1'] })
}

describe.concurrent('a body that does not come in time', () => {
  test.each([
    ['none of it', 'Content-Length: 20\r\n\r\n'],
    ['half of it', 'Content-Length: 20\r\n\r\n{"plaintext":'],
    ['half of a large one', 'Content-Length: 900000\r\n\r\n{"plaintext":'],
    ['no last chunk', 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n'],
  ])('is 408 over HTTP/1.1, and the end of the connection: %s', async (_, rest) => {
    await using server = await start()
    const socket = await openHttp1(server)
    const startedMs = performance.now()
    socket.write(`PUT /v1/key/encrypt/a HTTP/1.1\r\nHost: kes\r\n${rest}`)
    const received = await readUntil(socket, () => false)
    expect(statusesOf(received)).toEqual([408])
    expect(received.endsWith(TIMED_OUT)).toBe(true)
    expect(received.toLowerCase()).toContain('\r\nconnection: close\r\n')
    const tookMs = performance.now() - startedMs
    expect(tookMs).toBeGreaterThanOrEqual(TIMEOUT_MS - 20)
    expect(tookMs).toBeLessThan(LATE_MS)
    expect(server.auditLog().at(-1)?.res?.code).toBe(408)
  })

  test('is 408 over HTTP/2, where other requests go on', async () => {
    await using server = await start()
    const session = connect(server.url, { ca: server.ca, key: server.admin.key, cert: server.admin.cert })
    const stream = session.request({ ':path': '/v1/key/encrypt/a', ':method': 'PUT' })
    stream.write('{"plaintext":')
    let body = ''
    stream.setEncoding('utf8').on('data', (text: string) => {
      body += text
    })
    const headers = new Promise((resolve) => stream.on('response', resolve))
    const status = await new Promise((resolve) => {
      session
        .request({ ':path': '/version' })
        .on('response', (reply) => resolve(reply[':status']))
        .resume()
    })
    expect(status).toBe(200)
    expect(await headers).toMatchObject({ ':status': 408 })
    await new Promise((resolve) => stream.on('close', resolve))
    expect(body).toBe(TIMED_OUT)
    session.destroy()
  })

  test('is not cut while another API has more time', async () => {
    await using server = await start()
    const socket = await openHttp1(server)
    socket.write(
      'PUT /v1/key/generate/a HTTP/1.1\r\nHost: kes\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{',
    )
    setTimeout(() => socket.write('}'), LATE_MS)
    expect(statusesOf(await readUntil(socket, () => false))).toEqual([200])
  })

  test('has no effect: nothing was encrypted, and the rest of it is no request', async () => {
    await using server = await start()
    const socket = await openHttp1(server)
    socket.write('PUT /v1/key/encrypt/a HTTP/1.1\r\nHost: kes\r\nContent-Length: 100\r\n\r\n')
    const late = 'DELETE /v1/key/delete/a HTTP/1.1\r\nHost: kes\r\n\r\n'
    setTimeout(() => socket.write(late), TIMEOUT_MS)
    setTimeout(() => socket.write(late), TIMEOUT_MS + 1_000)
    await untilClosed(socket)
    expect((await server.request('GET', '/v1/key/describe/a')).status).toBe(200)
  })
})

test.concurrent('a client that goes away while it sends leaves nothing behind', async () => {
  await using server = await start()
  for (const rest of ['Content-Length: 20\r\n\r\n{"plain', 'Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n']) {
    const socket = await openHttp1(server)
    socket.write(`PUT /v1/key/generate/a HTTP/1.1\r\nHost: kes\r\n${rest}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
    socket.destroy()
  }
  const startedMs = performance.now()
  await server.stop()
  expect(performance.now() - startedMs).toBeLessThan(1_000)
})

test.concurrent('streams that a client resets leave nothing behind', async () => {
  await using server = await start()
  const session = connect(server.url, { ca: server.ca, key: server.admin.key, cert: server.admin.cert })
  for (let round = 0; round < 200; round += 1) {
    const stream = session.request({ ':path': '/v1/key/generate/a', ':method': 'PUT' })
    stream.on('error', () => {})
    stream.write('{"context":')
    if (round % 2 === 0) setImmediate(() => stream.close(constants.NGHTTP2_CANCEL))
    else stream.close(constants.NGHTTP2_CANCEL)
    if (round % 20 === 0) await new Promise((resolve) => stream.on('close', resolve))
  }
  const usable = await new Promise((resolve) => {
    session
      .request({ ':path': '/version' })
      .on('response', (reply) => resolve(reply[':status']))
      .resume()
  })
  expect(usable).toBe(200)
  session.destroy()
  await expect.poll(() => activeRequests(server)).toBe(0)
  const startedMs = performance.now()
  await server.stop()
  expect(performance.now() - startedMs).toBeLessThan(1_000)
})

async function activeRequests(server: TestServer): Promise<number> {
  const { rawBody } = await server.request('GET', '/v1/metrics')
  return Number(/^kes_http_request_active (\d+)$/m.exec(rawBody.toString('utf8'))?.[1])
}

test.concurrent('a log stream has no deadline', async () => {
  await using server = await start()
  const socket = await openHttp1(server)
  socket.write('GET /v1/log/audit HTTP/1.1\r\nHost: kes\r\n\r\n')
  let isClosed = false
  socket.resume().on('close', () => {
    isClosed = true
  })
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  expect(isClosed).toBe(false)
  socket.destroy()
})

test.concurrent('a stop answers what has begun, and refuses what comes after', async () => {
  await using server = await start()
  const socket = await openHttp1(server)
  socket.write('PUT /v1/key/generate/a HTTP/1.1\r\nHost: kes\r\nContent-Length: 2\r\n\r\n')
  const other = await openHttp1(server)
  await new Promise((resolve) => setTimeout(resolve, 30))
  const received = Promise.all([readUntil(socket, () => false), readUntil(other, () => false)])
  const stopped = server.stop()
  await expect(openHttp1(server)).rejects.toThrow()
  other.write('GET /version HTTP/1.1\r\nHost: kes\r\n\r\n')
  socket.write('{}')
  const [begun, late] = await received
  expect(statusesOf(begun)).toEqual([200])
  expect([[], [503]]).toContainEqual(statusesOf(late))
  await stopped
})
