/**
 * Disable and enable, flipped while many clients use the key: what was sent after a disable had been answered, and was
 * answered before the next enable was sent, must have been refused.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Connection, openConnection, PROTOCOLS, type Protocol } from '../sandbox/connection.ts'
import { END_HEADERS, END_STREAM, FrameType, frame, headerBlock, requestFields } from './http2-frames.ts'
import { Installation } from './installation.ts'
import { RawConnection } from './raw-exchange.ts'
import { type ServerProcess, sleep } from './server-process.ts'

const USERS = 32
const FLIPS = 200
/** Uses that begin and end between two changes, at least. */
const USES_BETWEEN = 2
const DISABLED = '{"message":"not authorized: insufficient permissions","code":"KeyDisabled"\n}'

let installation: Installation
let server: ServerProcess

beforeAll(async () => {
  installation = await Installation.make({ keys: ['my-key', 'other'] })
  server = await installation.start()
})

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation[Symbol.dispose]()
})

interface Use {
  readonly sentMs: number
  readonly answeredMs: number
  readonly status: number
  readonly text: string
}

/** Milliseconds at which a change was sent and answered. */
interface Change {
  readonly verb: 'disable' | 'enable'
  readonly sentMs: number
  readonly answeredMs: number
}

async function change(verb: Change['verb']): Promise<Change> {
  const sentMs = performance.now()
  const { status } = await server.request('PUT', `/v1/key/${verb}/my-key`)
  expect(status).toBe(200)
  return { verb, sentMs, answeredMs: performance.now() }
}

function connectUser(protocol: Protocol): Connection {
  return openConnection(protocol, server.tlsOptions())
}

test('no use that begins after a disable has been answered succeeds, and all do after an enable', async () => {
  const { rawBody } = await server.request('PUT', '/v1/key/generate/my-key')
  const { plaintext, ciphertext } = JSON.parse(rawBody.toString())
  const body = Buffer.from(JSON.stringify({ ciphertext }))
  const uses: Use[] = []
  let isOver = false
  const hammer = async (user: number) => {
    const connection = connectUser(PROTOCOLS[user % PROTOCOLS.length] ?? 'h2')
    const isDecrypting = user % 4 > 1
    const path = `/v1/key/${isDecrypting ? 'decrypt' : 'generate'}/my-key`
    while (!isOver) {
      const sentMs = performance.now()
      const reply = await connection.send({
        method: 'PUT',
        path,
        headers: {},
        body: isDecrypting ? body : undefined,
      })
      uses.push({
        sentMs,
        answeredMs: performance.now(),
        status: reply.status,
        text: reply.rawBody.toString(),
      })
    }
    connection.close()
  }
  const hammering = Array.from({ length: USERS }, (_, user) => hammer(user))
  const changes: Change[] = []
  for (let flip = 0; flip < FLIPS; flip += 1) {
    for (const verb of ['disable', 'enable'] as const) {
      const made = await change(verb)
      changes.push(made)
      const isNew = ({ sentMs }: Use) => sentMs > made.answeredMs
      while (uses.slice(-2 * USERS).filter(isNew).length < USES_BETWEEN) await sleep(1)
    }
  }
  isOver = true
  await Promise.all(hammering)

  const counts = { disable: 0, enable: 0 }
  for (const [index, { verb, answeredMs }] of changes.entries()) {
    const untilMs = changes[index + 1]?.sentMs ?? Number.POSITIVE_INFINITY
    for (const use of uses) {
      if (use.sentMs <= answeredMs || use.answeredMs >= untilMs) continue
      counts[verb] += 1
      if (verb === 'disable') expect([use.status, use.text]).toEqual([403, DISABLED])
      else expect(use.status).toBe(200)
    }
  }
  // So that the test has tested something.
  expect(Math.min(counts.disable, counts.enable)).toBeGreaterThanOrEqual(USES_BETWEEN * FLIPS)
  for (const { status, text } of uses) {
    if (status === 403) expect(text).toBe(DISABLED)
    else if (!text.includes('"ciphertext"')) expect(JSON.parse(text)).toEqual({ plaintext })
  }
})

test('requests that were begun before a disable, and ended after it, are refused', async () => {
  const generate = requestFields('PUT', '/v1/key/generate/my-key')
  const http2 = await RawConnection.open(server, 'h2')
  const http1 = await RawConnection.open(server, 'http/1.1')
  for (const stream of [1, 3, 5])
    await http2.write(frame(FrameType.headers, END_HEADERS, stream, headerBlock(generate)))
  await http2.write(frame(FrameType.data, 0, 3, Buffer.from('{}')))
  await http1.write('PUT /v1/key/generate/my-key HTTP/1.1\r\nHost: kes\r\nContent-Length: 2\r\n\r\n{')
  await sleep(100)
  await change('disable')
  for (const stream of [1, 3, 5])
    await http2.write(frame(FrameType.data, END_STREAM, stream, Buffer.from('{}')))
  await http1.write('}')
  await http2.until(() => http2.bodyOf(5) !== '')
  await http1.until(() => http1.text.endsWith('}'))
  for (const stream of [1, 3, 5]) expect(http2.bodyOf(stream)).toBe(DISABLED)
  expect(http1.statuses).toEqual([403])
  await change('enable')
  for (const connection of [http1, http2]) connection.close()
})

test('a disable by pattern holds for connections that were open before it, as a disable by name does', async () => {
  const users = Array.from({ length: 8 }, (_, user) =>
    connectUser(PROTOCOLS[user % PROTOCOLS.length] ?? 'h2'),
  )
  const use = (name: string) => {
    const sent = { method: 'PUT', path: `/v1/key/generate/${name}`, headers: {}, body: undefined }
    return Promise.all(users.map(async (user) => (await user.send(sent)).status))
  }
  for (let flip = 0; flip < 20; flip += 1) {
    expect(new Set(await use('my-key'))).toEqual(new Set([200]))
    expect((await server.request('PUT', '/v1/key/disable/my*')).status).toBe(200)
    expect(new Set(await use('my-key'))).toEqual(new Set([403]))
    expect(new Set(await use('other'))).toEqual(new Set([200]))
    expect((await server.request('PUT', '/v1/key/enable/*')).status).toBe(200)
  }
  for (const user of users) user.close()
})
