/** Clients that speak HTTP/2, and badly: floods of frames, streams without end, windows that never open. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  END_HEADERS,
  END_STREAM,
  FrameType,
  frame,
  headerBlock,
  request,
  requestFields,
  rstStream,
  settingsFrame,
} from './http2-frames.ts'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import { type AuditLine, type ServerProcess, sleep } from './server-process.ts'
import { withstand } from './withstand.ts'

const GENERATE = requestFields('POST', '/v1/key/generate/my-key')
const PRIORITY = 2
const SETTING_INITIAL_WINDOW = 4
const STREAMS_MAX = 250

let installation: Installation
let server: ServerProcess

beforeAll(async () => {
  installation = await Installation.make({
    keys: ['my-key', 'locked'],
    timeouts: { '/v1/key/generate/': '1s', '/v1/metrics': '1s' },
  })
  server = await installation.start()
  expect((await server.request('PUT', '/v1/key/disable/locked')).status).toBe(200)
})

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation[Symbol.dispose]()
})

const open = () => RawConnection.open(server, 'h2')
const repeat = (count: number, bytes: Buffer) => Buffer.concat(Array(count).fill(bytes))
const streams = (count: number, of: (stream: number) => Buffer) =>
  Array.from({ length: count }, (_, index) => of(2 * index + 1))
const openStream = (stream: number) => frame(FrameType.headers, END_HEADERS, stream, headerBlock(GENERATE))

/** Whether the server ends the connection of a client that goes on and on. */
async function endsFlood(first: Buffer, chunks: readonly Buffer[], isReading = true): Promise<boolean> {
  const connection = await open()
  if (!isReading) connection.socket.pause()
  await connection.write(first)
  for (const chunk of chunks) {
    if (connection.isClosed) break
    await connection.write(chunk)
  }
  if (!isReading) connection.socket.resume()
  await connection.until(() => false, 2_000).catch(() => undefined)
  const { isClosed } = connection
  connection.close()
  return isClosed
}

test.each<[name: string, first: Buffer, chunks: Buffer[]]>([
  [
    '10,000 streams, each reset at once',
    Buffer.alloc(0),
    streams(10_000, (stream) => Buffer.concat([openStream(stream), rstStream(stream)])),
  ],
  [
    '10,000 requests, each reset at once',
    Buffer.alloc(0),
    streams(10_000, (stream) =>
      Buffer.concat([request(stream, requestFields('GET', '/version')), rstStream(stream)]),
    ),
  ],
  ['empty DATA frames', openStream(1), Array(300).fill(repeat(1_000, frame(FrameType.data, 0, 1)))],
  [
    'CONTINUATION frames',
    frame(FrameType.headers, 0, 1, headerBlock(GENERATE)),
    Array(300).fill(repeat(10, frame(FrameType.continuation, 0, 1, headerBlock([['x', 'a'.repeat(1_000)]])))),
  ],
  [
    'empty CONTINUATION frames',
    frame(FrameType.headers, 0, 1, headerBlock(GENERATE)),
    Array(300).fill(repeat(1_000, frame(FrameType.continuation, 0, 1))),
  ],
  [
    'PRIORITY frames',
    Buffer.alloc(0),
    Array(300).fill(repeat(1_000, frame(PRIORITY, 0, 1, Buffer.from([0, 0, 0, 0, 5])))),
  ],
  ['garbage', Buffer.from('GARBAGE'.repeat(1_000)), []],
])('a flood of %s ends its own connection alone', async (_, first, chunks) => {
  await withstand(server, async () => {
    expect(await endsFlood(first, chunks)).toBe(true)
  })
})

test.each<[name: string, chunk: Buffer]>([
  ['PING', repeat(1_000, frame(FrameType.ping, 0, 0, Buffer.alloc(8)))],
  ['SETTINGS', repeat(1_000, settingsFrame([3, 100]))],
])('%s frames whose acknowledgements nobody reads end their own connection alone', async (_, chunk) => {
  await withstand(server, async () => {
    expect(await endsFlood(Buffer.alloc(0), Array(300).fill(chunk), false)).toBe(true)
  })
})

test('of more streams than the server takes, those within the limit are served', async () => {
  await withstand(server, async () => {
    const connection = await open()
    await connection.write(Buffer.concat(streams(STREAMS_MAX + 50, openStream)))
    const refused = () =>
      connection.frames.filter(({ type, payload }) => type === FrameType.rstStream && payload[3] === 7)
    await connection.until(() => refused().length === 50)
    expect(refused().map(({ stream }) => stream)).toEqual(
      Array.from({ length: 50 }, (_, index) => 2 * (STREAMS_MAX + index) + 1),
    )
    await connection.write(
      Buffer.concat(
        streams(STREAMS_MAX, (stream) => frame(FrameType.data, END_STREAM, stream, Buffer.from('{}'))),
      ),
    )
    await connection.until(() => connection.bodyOf(2 * STREAMS_MAX - 1) !== '')
    for (const stream of [1, 2 * STREAMS_MAX - 1]) expect(connection.bodyOf(stream)).toContain('"plaintext"')
    connection.close()
  })
})

test('bodies that stall on every stream are answered 408 within the time of their API', async () => {
  await withstand(server, async () => {
    const connection = await open()
    await connection.write(Buffer.concat(streams(200, openStream)))
    await connection.until(() => connection.bodyOf(399) !== '', 4_000)
    for (const stream of [1, 199, 399]) expect(connection.bodyOf(stream)).toContain('"code":"RequestTimeout"')
    connection.close()
  })
})

test('replies for which the client opens no window are given up after the time of their API', async () => {
  await withstand(server, async () => {
    const connection = await open()
    await connection.write(settingsFrame([SETTING_INITIAL_WINDOW, 0]))
    await connection.write(
      Buffer.concat(streams(STREAMS_MAX, (stream) => request(stream, requestFields('GET', '/v1/metrics')))),
    )
    const resets = () => connection.frames.filter(({ type }) => type === FrameType.rstStream)
    await connection.until(() => resets().length === STREAMS_MAX, 5_000)
    connection.close()
  })
  const metrics = async () => (await server.request('GET', '/v1/metrics')).rawBody.toString()
  await expect.poll(metrics).toContain('\nkes_http_request_active 0\n')
})

test('headers that grow when they are unpacked are refused', async () => {
  await withstand(server, async () => {
    const connection = await open()
    const [, ...literal] = headerBlock([['x-big', 'b'.repeat(3_900)]])
    const [insert, refer] = [0x40, 0x80 | 62]
    const bomb = Buffer.concat([
      headerBlock(requestFields('GET', '/version')),
      Buffer.of(insert, ...literal),
      Buffer.alloc(10_000, refer),
    ])
    await connection.write(frame(FrameType.headers, END_STREAM | END_HEADERS, 1, bomb))
    await sleep(200)
    expect(connection.bodyOf(1)).toBe('')
    connection.close()
  })
})

test('a body that the client cancels is no request', async () => {
  const uses = () => server.auditLog().filter(({ req }) => req.path === '/v1/key/generate/my-key')
  await sleep(200) // The audit log is written a little later.
  const before = uses().length
  const body = Buffer.from('{"context":"AAAA"}')
  for (const code of [0, 2, 8]) {
    const connection = await open()
    await connection.write(Buffer.concat([openStream(1), frame(FrameType.data, 0, 1, body)]))
    await sleep(50)
    await connection.write(rstStream(1, code))
    await sleep(50)
    expect(connection.bodyOf(1)).toBe('')
    connection.close()
  }
  await sleep(200)
  expect(uses()).toHaveLength(before)
})

test('10,000 uses of a disabled key are refused, each with an event of its own', async () => {
  const count = 10_000
  const isRefusal = ({ req, res }: AuditLine) => req.path === '/v1/key/generate/locked' && res.code === 403
  await withstand(server, async () => {
    for (let sent = 0; sent < count; sent += 200) {
      const batch = Array.from({ length: 200 }, () => server.request('PUT', '/v1/key/generate/locked'))
      for (const { status } of await Promise.all(batch)) expect(status).toBe(403)
    }
  })
  await expect.poll(() => server.auditLog().filter(isRefusal).length, { timeout: 5_000 }).toBe(count)
})
