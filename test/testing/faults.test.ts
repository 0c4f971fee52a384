/** Every fault of a sandbox, over both versions of HTTP, with the server in this process and in a child. */
import { once } from 'node:events'
import { connect as connectTcp, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type AuditEvent,
  KesApiError,
  KesClient,
  KesConnectionError,
  KesTimeoutError,
} from '@latchkey/kms-client'
import { type KesSandbox, startKes } from '@latchkey/kms-client/testing'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { exchange, PROTOCOLS, type Protocol } from './exchange.ts'

const GENERATE = '/v1/key/generate/orders'
const STATUS = '/v1/status'

describe.each(['same', 'child'] as const)('a server in the %s process', (place) => {
  let kes: KesSandbox

  beforeAll(async () => {
    kes = await startKes({ keys: ['orders'], process: place })
  })

  afterEach(async () => {
    await kes.reset()
  })

  afterAll(async () => {
    await kes.stop()
  })

  describe.each(PROTOCOLS)('over %s', (protocol) => {
    test('without faults answers, and every request is recorded', async () => {
      const answer = await exchange(kes, protocol, GENERATE, { method: 'PUT', body: '{}' })

      expect(answer).toMatchObject({ status: 200, error: undefined })
      expect(await kes.requests()).toEqual([
        {
          method: 'PUT',
          path: GENERATE,
          query: '',
          protocol,
          identity: kes.identity,
          status: 200,
          startedAt: expect.any(Number),
          durationMs: expect.any(Number),
          fault: null,
        },
      ])
    })

    test('latency delays the answer, and nothing else', async () => {
      await kes.faults.latency({ ms: 80, jitterMs: 20, paths: STATUS })
      const late = await exchange(kes, protocol, STATUS)
      const [recorded] = await kes.requests()

      expect(late).toMatchObject({ status: 200, error: undefined })
      expect(recorded).toMatchObject({ fault: 'latency', status: 200 })
      expect(recorded?.durationMs).toBeGreaterThan(75)
    })

    test('what a lock has refused meanwhile, latency does not let through', async () => {
      await kes.faults.latency({ ms: 60, paths: GENERATE })
      const late = exchange(kes, protocol, GENERATE, { method: 'PUT', body: '{}' })
      await untilRecorded(kes, 1)
      await kes.lock('orders')

      expect(await late).toMatchObject({ status: 403, body: expect.stringContaining('KeyDisabled') })
    })

    test('an error is answered in place of the server, with the body that was asked for', async () => {
      const body = { message: 'out of order', code: 'Broken' }
      await kes.faults.error({ status: 503, body, headers: { 'retry-after': '3' }, times: 1 })
      await kes.faults.error({ status: 500, body: '<html>', times: 1 })
      await kes.faults.error({ status: 502, times: 1 })
      const path = '/v1/key/create/never'
      const answers = []
      for (let time = 0; time < 3; time += 1) {
        answers.push(await exchange(kes, protocol, path, { method: 'PUT', body: 'x'.repeat(100_000) }))
      }

      expect(answers).toMatchObject([
        { status: 503, contentType: 'application/json', body: JSON.stringify(body), error: undefined },
        { status: 500, contentType: 'text/plain; charset=utf-8', body: '<html>', error: undefined },
        { status: 502, contentType: 'application/json', body: '{"message":"bad gateway"}', error: undefined },
      ])
      expect((await kes.requests()).map(({ status, fault }) => [status, fault])).toEqual([
        [503, 'error'],
        [500, 'error'],
        [502, 'error'],
      ])
      expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['orders'])
    })

    test('an error with headers and a body of any kind is sent as it is', async () => {
      await kes.faults.error({
        status: 429,
        body: '',
        headers: { 'content-type': 'x/y', 'retry-after': '1' },
      })
      const answer = await exchange(kes, protocol, STATUS)

      expect(answer).toMatchObject({ status: 429, contentType: 'x/y', body: '', error: undefined })
    })

    test('a reset in mid-answer comes after the headers and half of the body', async () => {
      const whole = await exchange(kes, protocol, '/v1/api')
      await kes.faults.reset({ times: 1 })
      const half = await exchange(kes, protocol, '/v1/api')

      expect(half).toMatchObject({ status: 200, error: expect.stringMatching(/ECONNRESET|closed/) })
      expect(half.body).toBe(whole.body.slice(0, Math.floor(whole.body.length / 2)))
      expect((await exchange(kes, protocol, '/v1/api')).body).toBe(whole.body)
    })

    test('a reset in mid-answer of a call without a body leaves it incomplete, and done', async () => {
      await kes.faults.reset({ times: 1 })
      const answer = await exchange(kes, protocol, '/v1/key/create/done', { method: 'PUT' })

      expect(answer.error).toMatch(/ECONNRESET|closed/)
      expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['done', 'orders'])
    })

    test('a reset at the request comes before the server has acted', async () => {
      await kes.faults.reset({ at: 'request', times: 1 })
      const answer = await exchange(kes, protocol, '/v1/key/create/never', { method: 'PUT' })

      expect(answer).toMatchObject({ status: undefined, error: expect.stringMatching(/ECONNRESET|closed/) })
      expect(await Array.fromAsync(kes.client.listKeys())).toEqual(['orders'])
    })

    test('a request that hangs is answered when the fault is cleared, and no other one hangs', async () => {
      const fault = await kes.faults.hang({ paths: STATUS })
      let isAnswered = false
      const hanging = exchange(kes, protocol, STATUS).finally(() => {
        isAnswered = true
      })
      await untilRecorded(kes, 1)

      expect(await exchange(kes, protocol, '/version')).toMatchObject({ status: 200 })
      expect(isAnswered).toBe(false)
      expect(await kes.requests({ paths: STATUS })).toMatchObject([
        { status: null, durationMs: null, fault: 'hang' },
      ])

      await fault.clear()
      expect(await hanging).toMatchObject({ status: 200, error: undefined })
    })

    test('a client that gives up on a request that hangs, or is late, does no harm', async () => {
      await using client = clientOf(kes, protocol)
      const hang = await kes.faults.hang({ times: 1 })
      await kes.faults.latency({ ms: 100, times: 2 })

      await expect(client.generateKey('orders', undefined, { timeoutMs: 150 })).rejects.toThrow(
        KesTimeoutError,
      )
      await expect(client.generateKey('orders', undefined, { timeoutMs: 50 })).rejects.toThrow(
        KesTimeoutError,
      )
      await hang.clear()
      await sleep(80)
      expect(await client.generateKey('orders')).toHaveProperty('plaintext')
    })

    test('at connections a hang keeps everything from everybody, and what waited goes on when it is cleared', async () => {
      await using client = clientOf(kes, protocol)
      await client.status()
      const fault = await kes.faults.hang({ at: 'connection' })

      await expect(client.status({ timeoutMs: 100 })).rejects.toThrow(KesTimeoutError)
      const fresh = exchange(kes, protocol, STATUS)
      await sleep(50)
      const before = await kes.requests()
      await fault.clear()

      expect(await fresh).toMatchObject({ status: 200, error: undefined })
      expect(before).toHaveLength(1)
    })

    test('while the server refuses, its port is closed, and open connections end', async () => {
      await using client = clientOf(kes, protocol)
      await client.status()
      const fault = await kes.faults.refuse()

      await expect(client.status()).rejects.toThrow(KesConnectionError)
      expect(await connectCode(kes)).toBe('ECONNREFUSED')

      await fault.clear()
      expect(await client.status()).toHaveProperty('version')
    })

    test('throttled, the body of an answer takes its time, and is whole', async () => {
      const whole = await exchange(kes, protocol, '/v1/api')
      const seconds = 0.15
      await kes.faults.throttle({ bytesPerSecond: whole.body.length / seconds, times: 1 })
      const slow = await exchange(kes, protocol, '/v1/api')

      expect(slow).toMatchObject({ status: 200, error: undefined, body: whole.body })
      expect(slow.bodyMs).toBeGreaterThan(80)
    })

    test('faults hit the paths and methods they name, and as many requests as they say', async () => {
      const fault = await kes.faults.error({ status: 500, paths: '/v1/key/*', methods: 'GET', times: 2 })
      const statusOf = async (method: string, path: string) =>
        (await exchange(kes, protocol, path, { method })).status
      const course = [
        await statusOf('GET', STATUS),
        await statusOf('PUT', GENERATE),
        await statusOf('GET', '/v1/key/list/'),
        await statusOf('GET', '/v1/key/describe/orders?x=1'),
        await statusOf('GET', '/v1/key/list/'),
      ]

      expect(course).toEqual([200, 200, 500, 500, 200])
      expect(await fault.hits()).toBe(2)
    })

    test('a log that is throttled is read in the end', async () => {
      await kes.faults.throttle({ bytesPerSecond: 10_000 })
      await using client = clientOf(kes, protocol)

      expect(await firstAuditEvent(client, () => kes.lock('orders'))).toMatchObject({
        path: '/v1/key/disable/orders',
        status: 200,
      })
    })

    test('a log that is reset in mid-answer breaks off', async () => {
      await kes.faults.reset()
      await using client = clientOf(kes, protocol)

      await expect(firstAuditEvent(client, () => kes.lock('orders'))).rejects.toThrow(KesConnectionError)
    })
  })

  test('the same seed gives the same course of chance', async () => {
    const course = async () => {
      await kes.faults.error({ status: 503, probability: 0.5 })
      const outcomes = []
      for (let time = 0; time < 16; time += 1) {
        outcomes.push(await kes.client.version().then(() => 'ok', statusOf))
      }
      return outcomes
    }
    const first = await course()
    await kes.reset()

    expect(new Set(first)).toEqual(new Set(['ok', 503]))
    expect(await course()).toEqual(first)
  })

  test('a malformed fault is refused, and none is added', async () => {
    await expect(kes.faults.latency({ ms: -1 })).rejects.toThrow(TypeError)
    await expect(kes.faults.error({ status: 200 })).rejects.toThrow(TypeError)
    expect(await kes.faults.list()).toEqual([])
  })

  test('a fault that is disposed of is over', async () => {
    {
      await using fault = await kes.faults.error({ status: 500 })
      expect(fault.kind).toBe('error')
      await expect(kes.client.version()).rejects.toThrow(KesApiError)
    }
    expect(await kes.client.version()).toHaveProperty('version')
  })
})

test('a port that refuses is kept from being given to anybody else', async () => {
  await using kes = await startKes()
  for (let time = 0; time < 20; time += 1) {
    await using _refusal = await kes.faults.refuse()
    const others = await Promise.all(Array.from({ length: 20 }, freePort))
    expect(others).not.toContain(Number(new URL(kes.endpoint).port))
  }
  expect(await kes.client.version()).toHaveProperty('version')
})

test('a refusal cannot be cleared while somebody has taken the port by force, and can afterwards', async () => {
  await using kes = await startKes()
  const refusal = await kes.faults.refuse()
  const thief = createServer().listen(Number(new URL(kes.endpoint).port), '127.0.0.1')
  await once(thief, 'listening')

  await expect(refusal.clear()).rejects.toThrow('EADDRINUSE')
  thief.close()
  await kes.faults.clear()
  expect(await kes.client.version()).toHaveProperty('version')
})

test('faults that follow each other at once end in the last state', async () => {
  await using kes = await startKes()
  const refusals = await Promise.all([
    kes.faults.refuse(),
    kes.faults.hang({ at: 'connection' }),
    kes.faults.refuse(),
  ])
  await Promise.all(refusals.map((fault) => fault.clear()))

  expect(await kes.client.version()).toHaveProperty('version')
})

function clientOf(kes: KesSandbox, protocol: Protocol): KesClient {
  return new KesClient({ ...kes.clientOptions, protocol, retries: 0 })
}

async function untilRecorded(kes: KesSandbox, count: number): Promise<void> {
  while ((await kes.requests()).length < count) await sleep(5)
}

function statusOf(error: unknown): number {
  if (error instanceof KesApiError) return error.status
  throw error
}

function connectCode(kes: KesSandbox): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connectTcp(Number(new URL(kes.endpoint).port), '127.0.0.1')
    socket.on('connect', () => {
      socket.destroy()
      resolve('connected')
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code))
  })
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}

async function firstAuditEvent(
  client: KesClient,
  provoke: () => Promise<void>,
): Promise<AuditEvent | undefined> {
  for await (const event of client.auditLog({ onOpen: () => void provoke() })) return event
  return undefined
}
