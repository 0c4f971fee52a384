/** `watchKeys` against the real server, and against one that falls silent. */

import type { Http2ServerResponse } from 'node:http2'
import {
  KesClient,
  KesConnectionError,
  KesProtocolError,
  KesTimeoutError,
  type KeyEvent,
  KeyPendingDeletionError,
  NotFoundError,
  WaitingPeriodTooShortError,
  WrongStateError,
} from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { sendJson, startFakeServer } from './fake-server.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer()
})

afterAll(() => server.stop())

describe.each(['h2', 'http/1.1'] as const)('over %s', (protocol) => {
  const open = () => new KesClient({ endpoint: server.url, apiKey: server.apiKey, ca: server.ca, protocol })
  const nameOf = (text: string) => `${protocol.replace(/\W/g, '')}-${text}`

  test('a watch gives the keys, their end, and each change, until its signal ends it', async () => {
    await using client = open()
    await client.createKey(nameOf('a'))
    const stop = new AbortController()
    const events: KeyEvent[] = []
    const watching = (async () => {
      for await (const event of client.watchKeys(nameOf(''), { signal: stop.signal })) {
        events.push(event)
        if (event.event === 'snapshot-end') {
          await client.disableKey(nameOf('a'))
          await client.deleteKey(nameOf('a'), { after: '7d' })
        }
        if (event.event === 'change' && event.state === 'pending') stop.abort(new Error('enough'))
      }
    })()
    await expect(watching).rejects.toThrow('enough')
    expect(events).toMatchObject([
      { event: 'snapshot', name: nameOf('a'), state: 'enabled' },
      { event: 'snapshot-end' },
      { event: 'change', name: nameOf('a'), state: 'disabled', action: 'disable' },
      { event: 'change', name: nameOf('a'), state: 'pending', action: 'schedule' },
    ])
    expect((await client.describeKey(nameOf('a'))).deletionAt).toBe(
      events.flatMap((event) => ('deletionAt' in event ? [event.deletionAt] : [])).at(-1),
    )
  })

  test('a scheduled deletion has classes of its own for what it refuses', async () => {
    await using client = open()
    const name = nameOf('b')
    await client.createKey(name)
    const waiting = await client.deleteKey(name, { after: '36h' })
    expect(waiting).toMatchObject({ name, state: 'pending', revision: 2 })
    await expect(client.generateKey(name)).rejects.toThrow(KeyPendingDeletionError)
    await expect(client.enableKey(name)).rejects.toThrow(WrongStateError)
    await expect(client.deleteKey(name)).rejects.toThrow(WrongStateError)
    expect(await client.disableKeys(`${name}*`)).toEqual({ matched: 1, changed: 0, damaged: 0, pending: 1 })
    await client.cancelKeyDeletion(name)
    await expect(client.cancelKeyDeletion(name)).rejects.toThrow(WrongStateError)
    expect(await client.deleteKey(name)).toBeUndefined()
  })
})

test('a server with a waiting period refuses a shorter one', async () => {
  await using patient = await startTestServer({ waitingPeriodMs: 86_400_000 })
  await using client = new KesClient({ endpoint: patient.url, apiKey: patient.apiKey, ca: patient.ca })
  await client.createKey('a')
  await expect(client.deleteKey('a', { after: '23h' })).rejects.toThrow(WaitingPeriodTooShortError)
  expect(await client.deleteKey('a')).toMatchObject({ state: 'pending' })
})

test('a Go KES, which would erase at once, is not asked for a delete that waits', async () => {
  const methods: string[] = []
  await using goKes = await startFakeServer((request, response) => {
    methods.push(request.method)
    sendJson(response, { name: 'a', algorithm: 'AES256', created_at: '2026-11-26T00:00:00Z' })
  })
  await using client = new KesClient({ endpoint: goKes.endpoint, ca: goKes.ca })
  await expect(client.deleteKey('a', { after: '7d' })).rejects.toThrow(KesProtocolError)
  expect(methods).toEqual(['GET'])
})

describe('a server that', () => {
  const watchOf = async (
    answer: Parameters<typeof startFakeServer>[0],
    use: (client: KesClient) => Promise<void>,
  ) => {
    await using fake = await startFakeServer(answer)
    await using client = new KesClient({ endpoint: fake.endpoint, ca: fake.ca })
    await use(client)
  }
  const first = (client: KesClient, silenceMsMax = 200) =>
    (async () => {
      const events: KeyEvent[] = []
      for await (const event of client.watchKeys('', { silenceMsMax })) events.push(event)
      return events
    })()

  test('falls silent ends the watch', async () => {
    await watchOf(
      (_, response) => {
        response.writeHead(200)
        response.write('{"event":"snapshot-end","epoch":1}\n')
      },
      (client) => expect(first(client)).rejects.toThrow(KesTimeoutError),
    )
  })

  test('gives a sign of life does not, and a caller may take its time', async () => {
    await watchOf(
      (_, response) => {
        response.writeHead(200)
        const timer = setInterval(() => response.write('{"event":"heartbeat","epoch":1}\n'), 20)
        setTimeout(() => response.write('{"event":"snapshot-end","epoch":1}\n'), 1_500)
        response.on('close', () => clearInterval(timer))
      },
      async (client) => {
        for await (const event of client.watchKeys('', { silenceMsMax: 1_000 })) {
          expect(event).toEqual({ event: 'snapshot-end', epoch: 1 })
          await new Promise((resolve) => setTimeout(resolve, 1_200))
          break
        }
      },
    )
  })

  test('is left in the middle of a line by the signal gives the reason of that, and no broken line', async () => {
    const { promise: hasBegun, resolve: begin } = Promise.withResolvers<void>()
    const answer = (_: unknown, response: Http2ServerResponse) => {
      response.writeHead(200)
      response.write('{"event":"snapshot-end","epoch":1}\n{"event":"cha')
      begin()
    }
    for (const protocol of ['h2', 'http/1.1'] as const) {
      await using fake = await startFakeServer(answer)
      await using client = new KesClient({ endpoint: fake.endpoint, ca: fake.ca, protocol })
      const stop = new AbortController()
      const events: KeyEvent[] = []
      const watching = (async () => {
        for await (const event of client.watchKeys('', { signal: stop.signal })) {
          events.push(event)
          setTimeout(() => stop.abort(new Error('enough')), 50) // While the next line is waited for.
        }
      })()
      await hasBegun
      await expect(watching).rejects.toThrow('enough')
      expect(events).toEqual([{ event: 'snapshot-end', epoch: 1 }])
    }
  })

  test.each(['', '{"event":"cha'])(
    'ends the stream after %j has its watch fail: there is no end of news',
    async (rest) => {
      await watchOf(
        (_, response) => {
          response.writeHead(200)
          response.end(rest)
        },
        (client) => expect(first(client)).rejects.toThrow(KesConnectionError),
      )
    },
  )

  test('is a Go KES has no such API', async () => {
    await watchOf(
      (_, response) => {
        response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' })
        response.end('404 page not found\n')
      },
      (client) => expect(first(client)).rejects.toThrow(NotFoundError),
    )
  })
})
