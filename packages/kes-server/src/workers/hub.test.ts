import { expect, test } from 'vitest'
import type { Api, Call, Services } from '../http/routes.ts'
import { Metrics } from '../metrics/metrics.ts'
import { SingleProcess } from './hub.ts'

const NO_SERVICES = {} as Services
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
    await Promise.resolve(hub.change(NO_SERVICES, api, NO_CALL)).catch(() => events.push('refused'))
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
      NO_SERVICES,
      apiThat('extends', () => ({ audit: 'x' })),
      NO_CALL,
    ),
  ).toEqual({ audit: 'x' })
})
