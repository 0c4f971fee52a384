import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ApiError } from '../net/api-error.ts'
import type { KeyDetails } from '../net/key-server.ts'
import type { RequestOptions, Requests } from '../net/session.ts'
import { KeyTable } from './key-table.ts'

/** A server whose answers come when the test says so. */
class Server implements Requests {
  readonly end = new AbortController()
  readonly keys = new Map<string, KeyDetails>()
  isWatchAllowed = true
  #watch: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>> | undefined
  /** Lists that were read, and are on their way. */
  readonly #lists: (() => void)[] = []

  get ended() {
    return this.end.signal
  }

  put(name: string, state: string, created_at = '2026-01-01T00:00:00Z'): void {
    this.keys.set(name, { name, state, created_at })
  }

  async fetch(_path: string, { signal }: RequestOptions = {}): Promise<Response> {
    if (!this.isWatchAllowed) throw new ApiError(403, 'NotAllowed', 'not allowed')
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        this.#watch = controller
        signal?.addEventListener('abort', () => controller.error(signal.reason))
      },
    })
    for (const { name, state } of this.keys.values()) this.write({ event: 'snapshot', name, state })
    this.write({ event: 'snapshot-end' })
    return new Response(body)
  }

  /** What it is asked: lists and descriptions, of now. */
  json<T>(path: string): Promise<T> {
    const name = path.split('/').at(-1) ?? ''
    if (path.startsWith('/v1/key/describe/')) return Promise.resolve(this.keys.get(name) as T)
    const reply = { keys: [...this.keys.values()] }
    return new Promise((resolve) => this.#lists.push(() => resolve(reply as T)))
  }

  async send(): Promise<void> {}

  write(line: object): void {
    this.#watch?.enqueue(new TextEncoder().encode(`${JSON.stringify(line)}\n`))
  }

  change(name: string, state: string): void {
    if (state === 'erased') this.keys.delete(name)
    else this.put(name, state, this.keys.get(name)?.created_at)
    this.write({ event: 'change', name, state })
  }

  cut(): void {
    this.#watch?.close()
  }

  async deliverLists(): Promise<void> {
    await settle()
    for (const deliver of this.#lists.splice(0)) deliver()
    await settle()
  }
}

/** Streams need more than one turn. */
async function settle(): Promise<void> {
  await vi.advanceTimersByTimeAsync(50)
}

let server: Server
let table: KeyTable
beforeEach(() => {
  vi.useFakeTimers()
  server = new Server()
  table = new KeyTable(server)
})
afterEach(() => {
  server.end.abort()
  vi.useRealTimers()
})

const states = () => Object.fromEntries([...table.rows()].map(({ name, state }) => [name, state]))

test('a list that was read before a change does not undo it', async () => {
  for (const name of ['a', 'b', 'c']) server.put(name, 'enabled')
  void table.start()
  await settle()
  server.change('a', 'disabled')
  server.change('b', 'erased')
  await server.deliverLists()

  expect(states()).toEqual({ a: 'disabled', b: 'erased', c: 'enabled' })
  expect(table.get('a')?.createdAt).toBe(Date.UTC(2026, 0, 1))
})

test('what changed while the stream was broken is right after it', async () => {
  for (const name of ['kept', 'locked', 'lost']) server.put(name, 'enabled')
  void table.start()
  await server.deliverLists()
  server.keys.delete('lost')
  server.put('locked', 'disabled')
  server.put('new', 'enabled')
  server.cut()
  await vi.advanceTimersByTimeAsync(1000)
  await server.deliverLists()

  expect(states()).toEqual({ kept: 'enabled', locked: 'disabled', new: 'enabled' })
  expect(table.get('new')?.createdAt).toBeDefined()
})

test('a stream without a heartbeat is taken for dead, and asked for again', async () => {
  void table.start()
  await settle()
  const fetch = vi.spyOn(server, 'fetch')
  for (let beat = 0; beat < 6; beat += 1) {
    await vi.advanceTimersByTimeAsync(5_000)
    server.write({ event: 'heartbeat' })
  }
  expect(fetch).not.toHaveBeenCalled()

  await vi.advanceTimersByTimeAsync(19_000)
  expect(table.watch.value.kind).toBe('open')
  await vi.advanceTimersByTimeAsync(2_000)
  expect(fetch).toHaveBeenCalledTimes(1)
  expect(table.watch.value.kind).toBe('open')
})

test('a name that is taken again has nothing of the erased key', async () => {
  server.put('name', 'enabled')
  void table.start()
  await server.deliverLists()
  table.noteUse('name', 5)
  server.change('name', 'erased')
  await settle()
  server.put('name', 'enabled', '2026-02-02T00:00:00Z')
  server.write({ event: 'change', name: 'name', state: 'enabled' })
  await vi.advanceTimersByTimeAsync(1000)

  expect(table.get('name')).toMatchObject({ state: 'enabled', createdAt: Date.UTC(2026, 1, 2) })
  expect(table.get('name')?.lastUsedAt).toBeUndefined()
})

test('many changes at once are one list, not a request each', async () => {
  for (let index = 0; index < 100; index += 1) server.put(`key-${index}`, 'enabled')
  void table.start()
  await server.deliverLists()
  const json = vi.spyOn(server, 'json')
  for (let index = 0; index < 100; index += 1) server.change(`key-${index}`, 'disabled')
  await vi.advanceTimersByTimeAsync(1000)
  await server.deliverLists()

  expect(new Set(Object.values(states()))).toEqual(new Set(['disabled']))
  expect(json.mock.calls.length).toBeLessThan(3)
})

test('where the watch is not allowed the list decides, whenever it is read', async () => {
  server.isWatchAllowed = false
  server.put('a', 'enabled')
  server.put('b', 'enabled')
  void table.start()
  await server.deliverLists()
  expect(table.watch.value.kind).toBe('refused')
  expect(states()).toEqual({ a: 'enabled', b: 'enabled' })

  server.put('a', 'disabled')
  server.keys.delete('b')
  table.noteChange()
  await server.deliverLists()
  expect(states()).toEqual({ a: 'disabled' })
})
