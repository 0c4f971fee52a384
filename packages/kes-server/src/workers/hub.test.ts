import { describe, expect, test, vi } from 'vitest'
import type { Api, Call, Services } from '../http/routes.ts'
import { Metrics } from '../metrics/metrics.ts'
import { SingleProcess } from './hub.ts'

const SERVICES = { store: { whenWritable: () => undefined } } as unknown as Services
const NO_CALL = {} as Call

function apiThat(change: Api['change'], run: () => { audit: string }): Api {
  return { change, run, access: 'policy', path: '/v1/key/create/' } as unknown as Api
}

test('what restricts is answered when all that was done before has left the process, refused or not', async () => {
  const hub = new SingleProcess(new Metrics())
  const events: string[] = []
  hub.onChange(() => events.push('told'))
  for (const refuses of [false, true]) {
    setImmediate(() => events.push('written')) // As Node's HTTP/2 does at the end of a turn.
    const api = apiThat('restricts', () => {
      events.push('changed')
      if (refuses) throw new Error('refused')
      return { audit: '' }
    })
    await Promise.resolve(hub.change(SERVICES, api, NO_CALL)).catch(() => events.push('refused'))
    events.push('answered')
  }
  const once = ['changed', 'told', 'written']
  expect(events).toEqual([...once, 'answered', ...once, 'refused', 'answered'])
})

test('a barrier is passed when all that was done before, held replies among it, has left the process', async () => {
  const hub = new SingleProcess(new Metrics())
  const events: string[] = []
  hub.onChange(() => events.push('told'))
  hub.beforeAcknowledging(async () => {
    events.push('let go')
    setImmediate(() => events.push('written'))
  })
  setImmediate(() => events.push('written'))
  await hub.barrier()
  expect(events).toEqual(['told', 'written', 'let go', 'written'])
})

test('what extends is answered at once', () => {
  const hub = new SingleProcess(new Metrics())
  expect(
    hub.change(
      SERVICES,
      apiThat('extends', () => ({ audit: 'x' })),
      NO_CALL,
    ),
  ).toEqual({ audit: 'x' })
})

/** A store that opens later, and rules that may change meanwhile. */
function closedStore() {
  const opening = Promise.withResolvers<void>()
  const rules = { isAllowed: true }
  const authorize = () => {
    if (!rules.isAllowed) throw new Error('not allowed')
  }
  const store = { whenWritable: () => opening.promise }
  const services = { store, policies: { authorize }, overrides: new Map() } as unknown as Services
  return { opening, rules, services }
}

const callUntil = (latestMs: number): Call => ({ ...NO_CALL, argument: 'my-key', latestMs })

describe.each(['extends', 'restricts'] as const)('what %s', (change) => {
  test('waits until the store can be written', async () => {
    const { opening, services } = closedStore()
    const run = vi.fn(() => ({ audit: 'x' }))
    const call = callUntil(Number.POSITIVE_INFINITY)
    const reply = new SingleProcess(new Metrics()).change(services, apiThat(change, run), call)
    await new Promise(setImmediate)
    expect(run).not.toHaveBeenCalled()
    opening.resolve()
    expect(await reply).toEqual({ audit: 'x' })
  })

  test.each([
    { reason: 'the store can not be written', message: 'it hangs' },
    { reason: 'its caller may not make it any more', message: 'not allowed' },
    { reason: 'its client has been answered otherwise', message: 'not received in time' },
  ])('is not done when $reason, and leaves no key in memory', async ({ message }) => {
    const { opening, rules, services } = closedStore()
    const run = vi.fn(() => ({ audit: 'x' }))
    const body = Buffer.from('a key')
    const latestMs = message === 'not received in time' ? performance.now() - 1 : Number.POSITIVE_INFINITY
    const hub = new SingleProcess(new Metrics())
    const reply = hub.change(services, apiThat(change, run), { ...callUntil(latestMs), body })
    rules.isAllowed = message !== 'not allowed'
    if (message === 'it hangs') opening.reject(new Error(message))
    else opening.resolve()
    await expect(reply).rejects.toThrow(message)
    expect(run).not.toHaveBeenCalled()
    expect(body).toEqual(Buffer.alloc(5))
  })
})
