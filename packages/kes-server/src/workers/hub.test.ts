import { expect, test, vi } from 'vitest'
import type { Api, Call, Services } from '../http/routes.ts'
import { Metrics } from '../metrics/metrics.ts'
import { SingleProcess } from './hub.ts'

const SERVICES = { store: { whenWritable: () => undefined } } as unknown as Services
const NO_CALL = {} as Call

function apiThat(change: Api['change'], run: () => { audit: string }): Api {
  return { change, run } as unknown as Api
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

test.each(['extends', 'restricts'] as const)(
  'what %s waits until the store can be written',
  async (change) => {
    const hub = new SingleProcess(new Metrics())
    const opening = Promise.withResolvers<void>()
    const store = { whenWritable: () => opening.promise }
    const run = vi.fn(() => ({ audit: 'x' }))
    const reply = hub.change({ store } as unknown as Services, apiThat(change, run), NO_CALL)
    await new Promise(setImmediate)
    expect(run).not.toHaveBeenCalled()
    opening.resolve()
    expect(await reply).toEqual({ audit: 'x' })
  },
)

test('what is not done because the store can not be written leaves no key in memory', async () => {
  const hub = new SingleProcess(new Metrics())
  const store = { whenWritable: () => Promise.reject(new Error('hangs')) }
  const run = vi.fn(() => ({ audit: 'x' }))
  const body = Buffer.from('a key')
  const reply = hub.change({ store } as unknown as Services, apiThat('extends', run), { ...NO_CALL, body })
  await expect(reply).rejects.toThrow('hangs')
  expect(run).not.toHaveBeenCalled()
  expect(body).toEqual(Buffer.alloc(5))
})
