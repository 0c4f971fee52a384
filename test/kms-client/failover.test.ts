/** How the client chooses among several servers, goes on to another, and comes back. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  KesApiError,
  KesClient,
  type KesClientOptions,
  KesConnectionError,
  KesTimeoutError,
  RecordDamagedError,
} from '@latchkey/kms-client'
import { describe, expect, test } from 'vitest'
import { type Handler, sendJson } from './fake-server.ts'
import { Group } from './server-group.ts'

const VERSION = { version: '1', commit: 'c' }
const answerVersion: Handler = (_, response) => sendJson(response, VERSION)
const shutDown: Handler = (_, response) =>
  sendJson(response, { message: 'server is shutting down', code: 'ShuttingDown' }, 503)
const hang: Handler = () => {}

/** Fast, and with time for each attempt. */
const QUICK = { timeoutMs: 5_000, retryDelayMs: 10, attemptTimeoutMs: 100 }

const clientOf = (group: Group, options: Partial<KesClientOptions> = {}) =>
  new KesClient({ endpoint: group.endpoints, ca: group.cas, ...QUICK, ...options })

describe('several servers', () => {
  test('share the calls that come one after the other', async () => {
    await using group = await Group.start(3, answerVersion)
    await using client = clientOf(group)
    for (let call = 0; call < 9; call++) await client.version()
    expect(group.counts()).toEqual([3, 3, 3])
  })

  test('get the fewer calls the slower they answer', async () => {
    await using group = await Group.start(2, answerVersion)
    group.handlers[0] = async (request, response) => {
      await sleep(50)
      answerVersion(request, response)
    }
    await using client = clientOf(group)
    const caller = async () => {
      for (let call = 0; call < 20; call++) await client.version()
    }
    await Promise.all([caller(), caller()])
    const [slow = 0, fast = 0] = group.counts()
    expect(slow).toBeLessThan(fast)
  })

  test('are given as a list, or as a text with commas and ranges, each once', async () => {
    await using group = await Group.start(2, answerVersion)
    const [first = '', second = ''] = group.endpoints
    for (const endpoint of [
      [first, second],
      `${first},${second}`,
      ` https://${first}, ${first} ,${second}`,
    ]) {
      await using client = clientOf(group, { endpoint })
      expect(await client.endpoints()).toEqual([
        { endpoint: `https://${first}` },
        { endpoint: `https://${second}` },
      ])
    }
  })

  test('of which one can not be asked are told apart from it', async () => {
    await using group = await Group.start(3, answerVersion)
    group.handlers[1] = (_, response) => sendJson(response, { message: 'nobody may' }, 403)
    await group.stop(2)
    await using client = clientOf(group)
    const [first, second, third] = await client.endpoints()
    expect([first?.problem, second?.problem]).toEqual([undefined, undefined])
    expect(third?.problem).toBeInstanceOf(KesConnectionError)
  })

  test('one of which is down: no call fails, and hardly one asks it', async () => {
    await using group = await Group.start(3, answerVersion)
    await using client = clientOf(group)
    for (let call = 0; call < 6; call++) await client.version()
    await group.stop(1)
    for (let call = 0; call < 20; call++) await expect(client.version()).resolves.toEqual(VERSION)
  })

  test('one of which hangs: no call fails, and one after another only the first waits', async () => {
    await using group = await Group.start(3, answerVersion)
    group.handlers[2] = hang
    await using client = clientOf(group, { attemptTimeoutMs: 500 })
    for (let call = 0; call < 20; call++) await expect(client.version()).resolves.toEqual(VERSION)
    // Looks at it, in the background, are the rest.
    expect(group.counts()[2]).toBeLessThan(4)
  })

  test('one of which is too slow for a hasty call: it is still used by the others', async () => {
    await using group = await Group.start(2, answerVersion)
    await using client = clientOf(group, { attemptTimeoutMs: 2_000 })
    await client.endpoints() // Connected.
    group.handlers[0] = hang
    await Promise.allSettled([client.version({ timeoutMs: 100 }), client.version({ timeoutMs: 100 })])
    group.handlers[0] = answerVersion
    group.reset()
    for (let call = 0; call < 6; call++) await client.version()
    expect(group.counts()).toEqual([3, 3])
  })

  test('one of which goes down and comes back: it is used again once a look has found it', async () => {
    await using group = await Group.start(2, answerVersion)
    group.handlers[0] = shutDown
    await using client = clientOf(group)
    for (let call = 0; call < 4; call++) await client.version()
    const [whileDown = 0] = group.counts()
    expect(whileDown).toBe(1)

    group.handlers[0] = answerVersion
    while ((group.counts()[0] ?? 0) < whileDown + 3) {
      await client.version()
      await sleep(5)
    }
  })

  test('all of which are down: the error names each, and says that nothing was sent', async () => {
    await using group = await Group.start(3, answerVersion)
    for (const number of [0, 1, 2]) await group.stop(number)
    await using client = clientOf(group, { retries: 1 })
    const error = await client.createKey('a').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(KesConnectionError)
    expect(error).toMatchObject({ isUnsent: true, cause: { errors: { length: 6 } } })
    for (const endpoint of group.endpoints) {
      expect(error).toHaveProperty('message', expect.stringContaining(`${endpoint}: connection refused`))
    }
  })

  test('all of which hang: the call ends with its deadline, and every one was asked', async () => {
    await using group = await Group.start(3, hang)
    await using client = clientOf(group, { timeoutMs: 400, attemptTimeoutMs: 50 })
    await expect(client.version()).rejects.toThrow(/: no answer within 400 ms$/)
    expect(Math.min(...group.counts())).toBeGreaterThan(0)
  })

  test('an answer is what the caller is told, even if another server was silent after it', async () => {
    await using group = await Group.start(2, (_, response) =>
      sendJson(response, { message: 'failed to read key', code: 'RecordDamaged' }, 502),
    )
    await group.stop(1)
    await using client = clientOf(group)
    await expect(client.describeKey('a')).rejects.toThrow(RecordDamagedError)
  })
})

describe('a server error that concerns one key', () => {
  test('sends this call elsewhere, and no other', async () => {
    await using group = await Group.start(2, (request, response) =>
      sendJson(response, { name: request.url.split('/').at(-1), algorithm: 'AES256', created_at: 'x' }),
    )
    const good = group.handlers[0] ?? hang
    group.handlers[0] = (request, response) => {
      if (!request.url.endsWith('/bad')) return good(request, response)
      sendJson(response, { message: 'failed to read key', code: 'RecordDamaged' }, 502)
    }
    await using client = clientOf(group)
    for (let call = 0; call < 4; call++)
      expect(await client.describeKey('bad')).toMatchObject({ name: 'bad' })
    group.reset()
    for (let call = 0; call < 10; call++) await client.describeKey('good')
    expect(group.counts()).toEqual([5, 5])
  })

  test('of the only server is told at once', async () => {
    await using group = await Group.start(1, (_, response) =>
      sendJson(response, { message: 'failed to read key', code: 'RecordDamaged' }, 502),
    )
    await using client = clientOf(group)
    await expect(client.describeKey('bad')).rejects.toThrow(RecordDamagedError)
    expect(group.counts()).toEqual([1])
  })
})

describe('repetition', () => {
  test('of a call that failed everywhere ends after so many rounds', async () => {
    await using group = await Group.start(1, shutDown)
    for (const retries of [0, 1, 2]) {
      group.reset()
      await using client = clientOf(group, { retries })
      await expect(client.version()).rejects.toThrow('server is shutting down')
      expect(group.counts()).toEqual([retries + 1])
    }
  })

  test('waits as long as the server asks, if there is time', async () => {
    const times: number[] = []
    await using group = await Group.start(1, (_, response) => {
      times.push(performance.now())
      response.setHeader('retry-after', '1')
      sendJson(
        response,
        times.length === 1 ? { message: 'slow down' } : VERSION,
        times.length === 1 ? 429 : 200,
      )
    })
    await using client = clientOf(group)
    await expect(client.version()).resolves.toEqual(VERSION)
    const [first = 0, second = 0] = times
    expect(second - first).toBeGreaterThanOrEqual(990)
  })

  test('is not waited for beyond the deadline: the answer is told at once', async () => {
    await using group = await Group.start(1, (_, response) => {
      response.setHeader('retry-after', '3600')
      sendJson(response, { message: 'slow down' }, 429)
    })
    await using client = clientOf(group)
    await expect(client.version()).rejects.toThrow(KesApiError)
    expect(group.counts()).toEqual([1])
  })

  test('is broken off by the signal and by closing the client, also while it waits', async () => {
    await using group = await Group.start(1, shutDown)
    const slow = { retryDelayMs: 60_000, timeoutMs: 600_000 }
    await using client = clientOf(group, slow)
    const controller = new AbortController()
    const aborted = client.version({ signal: controller.signal })
    while (group.counts()[0] === 0) await sleep(2)
    await sleep(20)
    controller.abort(new Error('enough'))
    await expect(aborted).rejects.toThrow('enough')

    group.reset()
    const closing = clientOf(group, slow)
    const closed = expect(closing.version()).rejects.toThrow(KesApiError)
    while (group.counts()[0] === 0) await sleep(2)
    await sleep(20)
    await closing.close()
    await closed
  })

  test('of a change is only for what was not sent, or declined', async () => {
    await using group = await Group.start(2, answerVersion)
    group.handlers[0] = (_, response) => response.stream?.session?.destroy()
    group.handlers[1] = (_, response) => response.stream?.session?.destroy()
    await using client = clientOf(group)
    await expect(client.createKey('a')).rejects.toThrow(KesConnectionError)
    expect(group.total()).toBe(1)
  })

  test('with one server begins with a new connection once half of a long time is over', async () => {
    await using group = await Group.start(1, answerVersion)
    let calls = 0
    group.handlers[0] = (request, response) => (++calls === 1 ? undefined : answerVersion(request, response))
    await using client = clientOf(group, { timeoutMs: 600 })
    await expect(client.version()).resolves.toEqual(VERSION)
    await using hasty = clientOf(group, { timeoutMs: 150 })
    calls = 0
    await expect(hasty.version()).rejects.toThrow(KesTimeoutError)
    expect(calls).toBe(1)
  })
})

test('a client that many use at a time while servers come and go loses no call', async () => {
  await using group = await Group.start(3, answerVersion)
  await using client = clientOf(group, { retries: 5 })
  let isOver = false
  let calls = 0
  const caller = async () => {
    while (!isOver) {
      expect(await client.version()).toEqual(VERSION)
      calls++
    }
  }
  const callers = Promise.all(Array.from({ length: 8 }, caller))
  const bad: Handler[] = [shutDown, hang, (_, response) => response.stream?.session?.destroy()]
  for (let change = 0; change < 12; change++) {
    const number = change % 3
    group.handlers[number] = bad[(change + Math.floor(change / 3)) % 3] ?? hang
    await sleep(40)
    group.handlers[number] = answerVersion
  }
  isOver = true
  await callers
  expect(calls).toBeGreaterThan(100)
})
