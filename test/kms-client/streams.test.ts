/** Logs and the watch on a network or a server that falls silent: none of them may wait for ever without a reason. */
import type { Http2ServerResponse } from 'node:http2'
import { createServer } from 'node:net'
import {
  type AuditEvent,
  KesClient,
  type KesClientOptions,
  KesTimeoutError,
  type LogOptions,
} from '@latchkey/kms-client'
import { describe, expect, test } from 'vitest'
import { type FakeServer, type Handler, sendJson, startFakeServer } from './fake-server.ts'
import { TcpProxy } from './tcp-proxy.ts'

const EVENT: AuditEvent = { time: '2026-11-26T00:00:00Z', path: '/1', status: 200, responseTime: 1 }
const EVENT_LINE =
  '{"time":"2026-11-26T00:00:00Z","request":{"path":"/1"},"response":{"code":200,"time":1}}\n'
const SNAPSHOT_END = '{"event":"snapshot-end","epoch":1}\n'

const STREAMS = {
  auditLog: (client: KesClient, options: LogOptions) => client.auditLog(options),
  errorLog: (client: KesClient, options: LogOptions) => client.errorLog(options),
  watchKeys: (client: KesClient, options: LogOptions) => client.watchKeys('', options),
} as const
type StreamName = keyof typeof STREAMS
const NAMES = Object.keys(STREAMS) as StreamName[]

/** Long enough that the test's own process, which is client and server, answers a question in a quarter of it. */
const SILENCE_MS_MAX = 600

const neverAnswer: Handler = () => undefined

function portOf({ endpoint }: FakeServer): number {
  return Number(endpoint.split(':')[1])
}

function openClient({ endpoint, ca }: FakeServer, options: Partial<KesClientOptions> = {}): KesClient {
  return new KesClient({ endpoint, ca, retries: 0, ...options })
}

/** @returns how many events came before the end. */
async function drain(events: AsyncIterable<unknown>): Promise<number> {
  let count = 0
  for await (const _ of events) count++
  return count
}

describe.each(['h2', 'http/1.1'] as const)('over %s', (protocol) => {
  test.each(NAMES)('%s that is not accepted within `timeoutMs` is a timeout', async (name) => {
    await using server = await startFakeServer(neverAnswer)
    await using client = openClient(server, { protocol })
    const stream = STREAMS[name](client, { timeoutMs: 100 })
    await expect(drain(stream)).rejects.toThrow(KesTimeoutError)
  })

  test("a watch that is not accepted within the client's own time is a timeout", async () => {
    await using server = await startFakeServer(neverAnswer)
    await using client = openClient(server, { protocol, timeoutMs: 100 })
    await expect(drain(client.watchKeys())).rejects.toThrow(KesTimeoutError)
  })

  test('once it is accepted, a log may be silent for longer than `timeoutMs`', async () => {
    await using server = await startFakeServer((_, response) => {
      response.writeHead(200)
      response.write('\n')
      setTimeout(() => response.end(EVENT_LINE), 1_500)
    })
    await using client = openClient(server, { protocol })
    expect(await drain(client.auditLog({ timeoutMs: 1_000 }))).toBe(1)
  })

  test('a watch that has fallen silent leaves no dead connection to the next call', async () => {
    await using server = await startFakeServer(({ url }, response) => {
      if (url === '/version') return sendJson(response, { version: '1', commit: 'c' })
      response.writeHead(200)
      response.write(SNAPSHOT_END)
    })
    await using proxy = await TcpProxy.start(portOf(server))
    await using client = openClient(server, { endpoint: proxy.endpoint, protocol })
    const watch = drain(client.watchKeys('', { silenceMsMax: 200, onOpen: () => proxy.cut() }))
    await expect(watch).rejects.toThrow(KesTimeoutError)
    const next = client.version()
    proxy.heal()
    expect(await next).toMatchObject({ version: '1' })
    expect(server.sockets).toHaveLength(2)
  })
})

describe('over h2', () => {
  test('a log of a Go KES, which accepts it with the first event, may be silent from the beginning', async () => {
    await using server = await startFakeServer((_, response) => {
      setTimeout(() => response.end(EVENT_LINE), 2 * SILENCE_MS_MAX)
    })
    await using client = openClient(server)
    const events = await Array.fromAsync(client.auditLog({ silenceMsMax: SILENCE_MS_MAX }))
    expect(events).toEqual([EVENT])
  })

  test.each(['before', 'after'])('logs end when the network does, %s they were accepted', async (when) => {
    const accepted: Http2ServerResponse[] = []
    const isComplete = Promise.withResolvers<void>()
    await using server = await startFakeServer((_, response) => {
      if (when === 'after') response.write(EVENT_LINE.replace('}\n', '}\n{'))
      if (accepted.push(response) === 2) isComplete.resolve()
    })
    await using proxy = await TcpProxy.start(portOf(server))
    await using client = openClient(server, { endpoint: proxy.endpoint })
    const logs = ['auditLog', 'errorLog'] as const
    const ends = logs.map((name) =>
      drain(STREAMS[name](client, { silenceMsMax: SILENCE_MS_MAX })).catch((error) => error),
    )
    await isComplete.promise
    proxy.cut()
    for (const end of await Promise.all(ends)) {
      expect(end).toBeInstanceOf(KesTimeoutError)
      expect(end).toMatchObject({ endpoint: `https://${proxy.endpoint}`, timeoutMs: SILENCE_MS_MAX })
    }
    expect(server.sockets).toHaveLength(1)
  })

  test('a dozen logs on one connection end with the network, too', async () => {
    const logs = 12
    let accepted = 0
    const isComplete = Promise.withResolvers<void>()
    await using server = await startFakeServer((_, response) => {
      response.write(EVENT_LINE)
      if (++accepted === logs) isComplete.resolve()
    })
    await using proxy = await TcpProxy.start(portOf(server))
    await using client = openClient(server, { endpoint: proxy.endpoint })
    const ends = Array.from({ length: logs }, () =>
      drain(client.auditLog({ silenceMsMax: SILENCE_MS_MAX })).catch((error) => error),
    )
    await isComplete.promise
    proxy.cut()
    for (const end of await Promise.all(ends)) expect(end).toBeInstanceOf(KesTimeoutError)
    expect(server.sockets).toHaveLength(1)
  })

  test('a dozen logs on one connection may all be silent', async () => {
    await using server = await startFakeServer((_, response) => {
      response.write('\n')
      setTimeout(() => response.end(EVENT_LINE), 3 * SILENCE_MS_MAX)
    })
    await using client = openClient(server)
    const logs = Array.from({ length: 12 }, () => client.auditLog({ silenceMsMax: SILENCE_MS_MAX }))
    expect(await Promise.all(logs.map(drain))).toEqual(logs.map(() => 1))
  })

  test('a log goes on though its server takes no further request on the connection', async () => {
    await using server = await startFakeServer((_, response) => {
      response.write(EVENT_LINE)
      response.stream.session?.close()
      setTimeout(() => response.end(EVENT_LINE), 3 * SILENCE_MS_MAX)
    })
    await using client = openClient(server)
    expect(await drain(client.auditLog({ silenceMsMax: SILENCE_MS_MAX }))).toBe(2)
  })

  test('a process that was busy for longer than a server may be silent has not lost its log', async () => {
    let answer: Http2ServerResponse | undefined
    await using server = await startFakeServer((_, response) => {
      response.write(EVENT_LINE)
      answer = response
    })
    await using client = openClient(server)
    let count = 0
    for await (const _ of client.auditLog({ silenceMsMax: SILENCE_MS_MAX })) {
      if (++count === 2) break
      const untilMs = performance.now() + 2 * SILENCE_MS_MAX
      while (performance.now() < untilMs); // Nothing else runs meanwhile.
      setTimeout(() => answer?.write(EVENT_LINE), 50)
    }
    expect(count).toBe(2)
  })
})

test('of several servers, one that hangs keeps no watch from the others', async () => {
  await using server = await startFakeServer((_, response) => {
    response.writeHead(200)
    response.write(SNAPSHOT_END)
  })
  const mute = createServer(() => undefined).listen(0, '127.0.0.1')
  try {
    await new Promise((resolve) => mute.once('listening', resolve))
    const address = mute.address()
    const port = address !== null && typeof address === 'object' ? address.port : 0
    for (const endpoint of [
      [`127.0.0.1:${port}`, server.endpoint],
      [server.endpoint, `127.0.0.1:${port}`],
    ]) {
      await using client = new KesClient({ endpoint, ca: server.ca, attemptTimeoutMs: 1_000 })
      for await (const { event } of client.watchKeys()) {
        expect(event).toBe('snapshot-end')
        break
      }
    }
  } finally {
    mute.close()
  }
})

test.each([-1, Number.NaN])('%d ms of silence are refused', async (silenceMsMax) => {
  await using client = new KesClient({ endpoint: 'https://127.0.0.1:1' })
  for (const name of NAMES) {
    await expect(drain(STREAMS[name](client, { silenceMsMax }))).rejects.toThrow('`silenceMsMax`')
  }
})

test('silence without a limit is silence without a limit', async () => {
  await using server = await startFakeServer((_, response) => {
    response.writeHead(200)
    response.write('\n')
    setTimeout(() => response.end(EVENT_LINE), 200)
  })
  await using client = openClient(server)
  expect(await drain(client.auditLog({ silenceMsMax: Number.POSITIVE_INFINITY }))).toBe(1)
})
