/**
 * What each call of the client makes of each fault: of the only server, whenever it is asked; of the only server, once;
 * of one of three. A cell says how the call ended, and how many requests the servers saw for it.
 */
import type { Http2ServerResponse } from 'node:http2'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { type HttpProtocol, KesClient } from '@latchkey/kms-client'
import { beforeAll, describe, expect, test } from 'vitest'
import { answerEverything, bodyOf, type CallKind, EVERY_CALL, type Limits } from './every-call.ts'
import { type Handler, sendJson, startFakeServer } from './fake-server.ts'
import { Group } from './server-group.ts'

const COLUMNS = ['the only server, always', 'the only server, once', 'one of three'] as const
type Column = (typeof COLUMNS)[number]

const BOTH = ['h2', 'http/1.1'] as const

/** What the kinds of calls have in common; a change that may be repeated is as good as a read. */
type Row = 'repeatable' | 'change' | 'stream'

const ROWS: Readonly<Record<CallKind, Row>> = {
  read: 'repeatable',
  use: 'repeatable',
  'repeatable change': 'repeatable',
  change: 'change',
  stream: 'stream',
}

interface Fault {
  /** Instead of an answer. */
  readonly handler: Handler
  /** In the order of {@link COLUMNS}. */
  readonly outcomes: Readonly<Record<Row, readonly [string, string, string]>>
  /** Ends with the deadline, so it is short there. */
  readonly isSilent?: boolean
  /** Other calls of the same client notice nothing: neither is its connection harmed, nor its server shelved. */
  readonly isHarmless?: boolean
  /** Default: HTTP/2 alone, because an answer says the same over both. */
  readonly protocols?: readonly HttpProtocol[]
}

const refuse =
  (status: number, code: string | undefined, message: string, headers = {}): Handler =>
  (_, response) => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, String(value))
    sendJson(response, code === undefined ? { message } : { message, code }, status)
  }

/** As a proxy does whose server is gone. */
const gateway =
  (status: number): Handler =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'text/html' })
    response.end('<html>no server</html>')
  }

function cut(response: Http2ServerResponse): void {
  const connection = response.stream?.session ?? response.socket
  connection?.destroy()
}

const halfOf: Handler = (request, response) => {
  const body = bodyOf(request.url)
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) })
  response.write(body.slice(0, body.length / 2))
}

const whatever =
  (body: string): Handler =>
  (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(body)
  }

/** The same for every call, because the server has refused to act, or has not even seen it. */
const everywhere = (...outcomes: [string, string, string]): Fault['outcomes'] => ({
  repeatable: outcomes,
  change: outcomes,
  stream: outcomes,
})

const FAULTS: Readonly<Record<string, Fault>> = {
  'the connection is reset before the answer': {
    protocols: BOTH,
    handler: (_, response) => cut(response),
    outcomes: {
      repeatable: ['KesConnectionError 2', 'ok 2', 'ok 2'],
      change: ['KesConnectionError 1', 'KesConnectionError 1', 'KesConnectionError 1'],
      stream: ['KesConnectionError 2', 'ok 2', 'ok 2'],
    },
  },
  'the connection is reset in mid-answer': {
    protocols: BOTH,
    handler(request, response) {
      halfOf(request, response)
      setTimeout(() => cut(response), 20)
    },
    outcomes: {
      repeatable: ['KesConnectionError 2', 'ok 2', 'ok 2'],
      change: ['KesConnectionError 1', 'KesConnectionError 1', 'KesConnectionError 1'],
      stream: ['KesConnectionError 1', 'KesConnectionError 1', 'KesConnectionError 1'],
    },
  },
  'the stream is reset by the server, as at the deadline of a Go KES': {
    handler: (_, response) => response.stream.close(8),
    outcomes: {
      repeatable: ['KesConnectionError 2', 'ok 2', 'ok 2'],
      change: ['KesConnectionError 1', 'KesConnectionError 1', 'KesConnectionError 1'],
      stream: ['KesConnectionError 2', 'ok 2', 'ok 2'],
    },
  },
  'the server has not processed the stream, and says so': {
    handler: (_, response) => response.stream.close(7),
    outcomes: everywhere('KesConnectionError 4', 'ok 2', 'ok 3'),
  },
  'no answer': {
    protocols: BOTH,
    handler: () => {},
    isSilent: true,
    outcomes: {
      repeatable: ['KesTimeoutError 2', 'ok 2', 'ok 2'],
      change: ['KesTimeoutError 1', 'KesTimeoutError 1', 'KesTimeoutError 1'],
      stream: ['KesTimeoutError 2', 'ok 2', 'ok 2'],
    },
  },
  'an answer that stops in the middle': {
    protocols: BOTH,
    handler: halfOf,
    isSilent: true,
    outcomes: {
      repeatable: ['KesTimeoutError 2', 'ok 2', 'ok 2'],
      change: ['KesTimeoutError 1', 'KesTimeoutError 1', 'KesTimeoutError 1'],
      stream: ['TimeoutError 1', 'TimeoutError 1', 'TimeoutError 1'],
    },
  },
  'a slow answer': {
    isHarmless: true,
    protocols: BOTH,
    handler: (request, response) => void setTimeout(() => answerEverything(request, response), 30),
    outcomes: everywhere('ok 1', 'ok 1', 'ok 1'),
  },
  '500': {
    isHarmless: true,
    handler: refuse(500, 'InternalError', 'internal server error'),
    outcomes: {
      repeatable: ['KesApiError 1', 'KesApiError 1', 'ok 2'],
      change: ['KesApiError 1', 'KesApiError 1', 'KesApiError 1'],
      stream: ['KesApiError 1', 'KesApiError 1', 'ok 2'],
    },
  },
  '502 of one key': {
    isHarmless: true,
    handler: refuse(502, 'RecordDamaged', 'failed to read key'),
    outcomes: {
      repeatable: ['RecordDamagedError 1', 'RecordDamagedError 1', 'ok 2'],
      change: ['RecordDamagedError 1', 'RecordDamagedError 1', 'RecordDamagedError 1'],
      stream: ['RecordDamagedError 1', 'RecordDamagedError 1', 'ok 2'],
    },
  },
  '502 of a proxy': {
    handler: gateway(502),
    outcomes: {
      repeatable: ['KesApiError 2', 'ok 2', 'ok 2'],
      change: ['KesApiError 1', 'KesApiError 1', 'KesApiError 1'],
      stream: ['KesApiError 2', 'ok 2', 'ok 2'],
    },
  },
  '503 of a server that goes down': {
    handler: refuse(503, 'ShuttingDown', 'server is shutting down'),
    outcomes: everywhere('ShuttingDownError 2', 'ok 2', 'ok 2'),
  },
  '504 of a store': {
    isHarmless: true,
    handler: refuse(504, 'StoreUnreachable', 'key store is not reachable'),
    outcomes: {
      repeatable: ['StoreUnreachableError 1', 'StoreUnreachableError 1', 'ok 2'],
      change: ['StoreUnreachableError 1', 'StoreUnreachableError 1', 'StoreUnreachableError 1'],
      stream: ['StoreUnreachableError 1', 'StoreUnreachableError 1', 'ok 2'],
    },
  },
  '429': {
    isHarmless: true,
    handler: refuse(429, undefined, 'slow down'),
    outcomes: everywhere('KesApiError 2', 'ok 2', 'ok 2'),
  },
  '429 for longer than the call has time': {
    isHarmless: true,
    handler: refuse(429, undefined, 'slow down', { 'retry-after': 3600 }),
    outcomes: everywhere('KesApiError 1', 'KesApiError 1', 'ok 2'),
  },
  '403': {
    isHarmless: true,
    handler: refuse(403, undefined, 'not authorized: insufficient permissions'),
    outcomes: everywhere('NotAllowedError 1', 'NotAllowedError 1', 'NotAllowedError 1'),
  },
  '403 of a locked key': {
    isHarmless: true,
    handler: refuse(403, 'KeyDisabled', 'not authorized: insufficient permissions'),
    outcomes: everywhere('KeyDisabledError 1', 'KeyDisabledError 1', 'KeyDisabledError 1'),
  },
  '404': {
    isHarmless: true,
    handler: refuse(404, undefined, 'key does not exist'),
    outcomes: everywhere('KeyNotFoundError 1', 'KeyNotFoundError 1', 'KeyNotFoundError 1'),
  },
  '501': {
    isHarmless: true,
    handler: refuse(501, undefined, 'not implemented'),
    outcomes: everywhere('KesApiError 1', 'KesApiError 1', 'KesApiError 1'),
  },
  'a redirect to somewhere else': {
    isHarmless: true,
    handler(_, response) {
      response.writeHead(307, { location: 'https://192.0.2.1/' })
      response.end()
    },
    outcomes: {
      repeatable: ['KesProtocolError 1', 'KesProtocolError 1', 'ok 2'],
      change: ['KesProtocolError 1', 'KesProtocolError 1', 'KesProtocolError 1'],
      stream: ['KesProtocolError 1', 'KesProtocolError 1', 'ok 2'],
    },
  },
  'an answer without end': {
    protocols: BOTH,
    handler: whatever(' '.repeat(2 * 1024 * 1024)),
    outcomes: {
      repeatable: ['KesProtocolError 1', 'KesProtocolError 1', 'ok 2'],
      change: ['KesProtocolError 1', 'KesProtocolError 1', 'KesProtocolError 1'],
      stream: ['KesProtocolError 1', 'KesProtocolError 1', 'KesProtocolError 1'],
    },
  },
}

const RETRY = { retries: 1, retryDelayMs: 5 }
/** Room enough for a busy machine: nothing waits for these. */
const ANSWERED = { ...RETRY, timeoutMs: 20_000, attemptTimeoutMs: 10_000 }
/** Somebody does wait for these: for the time of one attempt, or of the call if it can't be repeated. */
const SILENT: Readonly<Record<Column, typeof ANSWERED>> = {
  'the only server, always': { ...RETRY, timeoutMs: 2_000, attemptTimeoutMs: 500 },
  'the only server, once': { ...RETRY, timeoutMs: 3_000, attemptTimeoutMs: 500 },
  'one of three': { ...RETRY, timeoutMs: 10_000, attemptTimeoutMs: 700 },
}
const NOT_REPEATED_MS = 700
/** For a stream that was accepted, and has no other limit. */
const SILENT_STREAM_MS = 4_000
/** For a call that begins with a handshake. */
const HANDSHAKE_MS = 4_000

function optionsOf(column: Column, row: Row, isSilent: boolean): typeof ANSWERED {
  if (!isSilent) return ANSWERED
  return row === 'change' ? { ...SILENT[column], timeoutMs: NOT_REPEATED_MS } : SILENT[column]
}

function limitsOf({ timeoutMs }: { readonly timeoutMs: number }, streamMs = 2 * timeoutMs): Limits {
  return { timeoutMs, signal: AbortSignal.timeout(streamMs) }
}

async function endOf(call: Promise<unknown>): Promise<string> {
  try {
    await call
    return 'ok'
  } catch (error) {
    return error instanceof Error ? error.name : String(error)
  }
}

/** What each call asks for, by its name. */
const urls = new Map<string, string>()

beforeAll(async () => {
  const asked: string[] = []
  await using group = await Group.start(1, (request, response) => {
    asked.push(request.url)
    answerEverything(request, response)
  })
  await using client = new KesClient({ endpoint: group.endpoints, ca: group.cas })
  for (const [name, { run }] of Object.entries(EVERY_CALL)) {
    const before = asked.length
    await run(client, limitsOf({ timeoutMs: 10_000 }))
    urls.set(name, asked[before] ?? '')
  }
  expect(new Set(urls.values()).size).toBe(Object.keys(EVERY_CALL).length)
  // Who stops reading a backup drops it.
  expect(asked.filter((url) => url !== '/v1/backup/drop/00')).toEqual([...urls.values()])
})

/** How each call ended, and how many requests it took. */
async function endsOf(
  { handler, isSilent = false, isHarmless = false }: Fault,
  column: Column,
  protocol: HttpProtocol,
): Promise<Record<string, string>> {
  await using group = await Group.start(column === 'one of three' ? 3 : 1, answerEverything)
  const open = (options: typeof ANSWERED) =>
    new KesClient({ endpoint: group.endpoints, ca: group.cas, protocol, ...options })
  await using shared = open(ANSWERED)
  const calls = Object.entries(EVERY_CALL).map(([name, { kind, run }]) => {
    const options = optionsOf(column, ROWS[kind], isSilent)
    const client = isHarmless ? shared : open(options)
    return {
      name,
      client,
      run: () => run(client, limitsOf(options, isSilent ? SILENT_STREAM_MS : undefined)),
    }
  })
  const clients = [...new Set(calls.map(({ client }) => client))]
  await Promise.all(clients.map((client) => client.endpoints({ timeoutMs: 20_000 }))) // The time for the handshakes is not the call's.

  const counts = new Map<string, number>()
  const firstAsked = new Map<string, number>()
  for (const number of group.handlers.keys()) {
    group.handlers[number] = (request, response) => {
      const { url } = request
      const count = (counts.get(url) ?? 0) + 1
      counts.set(url, count)
      if (!firstAsked.has(url)) firstAsked.set(url, number) // Whichever that is, it is the one with the fault.
      const isFaulty = column === 'the only server, once' ? count === 1 : firstAsked.get(url) === number
      return isFaulty ? handler(request, response) : answerEverything(request, response)
    }
  }
  const ends = calls.map(async ({ name, run, client }) => {
    const end = await endOf(run())
    if (client !== shared) await client.close()
    return [name, `${end} ${counts.get(urls.get(name) ?? '')}`] as const
  })
  return Object.fromEntries(await Promise.all(ends))
}

describe.each(BOTH)('over %s', (protocol) => {
  const faults = Object.entries(FAULTS).filter(([, { protocols = ['h2'] }]) => protocols.includes(protocol))

  describe.each(faults)('%s', (_, fault) => {
    test.each(COLUMNS)('of %s', async (column) => {
      const expected = Object.entries(EVERY_CALL).map(([name, { kind }]) => [
        name,
        fault.outcomes[ROWS[kind]][COLUMNS.indexOf(column)],
      ])
      expect(await endsOf(fault, column, protocol)).toEqual(Object.fromEntries(expected))
    })
  })
})

/** Faults that keep a connection from being made: how each of three calls ends, one after the other. */
const NO_CONNECTION: Readonly<
  Record<string, { readonly open: () => Promise<BadEndpoint>; readonly one: string; readonly silence?: true }>
> = {
  'nobody listens': { open: openRefused, one: 'KesConnectionError' },
  'the certificate is not trusted': { open: openUntrusted, one: 'KesConnectionError' },
  'something else than TLS answers': {
    open: () => openTcp((socket) => socket.end('HTTP/1.0 400 Bad Request\r\n\r\n')),
    one: 'KesConnectionError',
  },
  'the handshake does not end': {
    open: () => openTcp((socket) => socket.resume()),
    one: 'KesTimeoutError',
    silence: true,
  },
}

interface BadEndpoint extends AsyncDisposable {
  readonly endpoint: string
}

async function openTcp(listener: (socket: Socket) => void): Promise<BadEndpoint> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    listener(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    endpoint: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

async function openRefused(): Promise<BadEndpoint> {
  const bad = await openTcp(() => {})
  await bad[Symbol.asyncDispose]()
  return { endpoint: bad.endpoint, async [Symbol.asyncDispose]() {} }
}

function openUntrusted(): Promise<BadEndpoint> {
  return startFakeServer(answerEverything)
}

describe.each(Object.entries(NO_CONNECTION))('%s', (_, { open, one, silence = false }) => {
  /** As many calls one after the other as there are servers: each is the first to be asked once. */
  async function endsAt(endpoints: readonly string[], cas: readonly string[]) {
    const column = endpoints.length === 1 ? 'the only server, always' : 'one of three'
    const found = Object.entries(EVERY_CALL).map(async ([name, { kind, run }]) => {
      const { timeoutMs, ...rest } = optionsOf(column, ROWS[kind], silence)
      const options = { ...rest, timeoutMs: Math.max(timeoutMs, HANDSHAKE_MS) }
      await using client = new KesClient({ endpoint: endpoints, ca: cas, ...options })
      const ends: string[] = []
      for (const _ of endpoints) ends.push(await endOf(run(client, limitsOf(options))))
      return [name, ends.sort()] as const
    })
    return Object.fromEntries(await Promise.all(found))
  }

  const expected = (...ends: string[]) =>
    Object.fromEntries(Object.keys(EVERY_CALL).map((name) => [name, ends]))

  test('of the only server', async () => {
    await using bad = await open()
    await using other = await startFakeServer(answerEverything) // Its certificate is trusted, that is all.
    const found = await endsAt([bad.endpoint], [other.ca])
    expect(found).toEqual(expected(one))
  })

  test('of one of three', async () => {
    await using bad = await open()
    await using good = await Group.start(2, answerEverything)
    const found = await endsAt([bad.endpoint, ...good.endpoints], good.cas)
    expect(found).toEqual(expected('ok', 'ok', 'ok'))
  })
})
