import { EventEmitter } from 'node:events'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { KeyRing } from '../keyring/key-ring.ts'
import { openJournal } from '../keyring/open-journal.ts'
import { parseKeyName } from '../names.ts'
import { Seal } from '../seal/seal.ts'
import { SqliteStore } from '../store/sqlite-store.ts'
import { KeyWatch, type WatchReader } from './watch-keys.ts'

const alice = { identity: 'alice', ip: '192.0.2.1' }

/** Takes what it is given, or, while it is full, says that it has no room. */
class Reader extends EventEmitter implements WatchReader {
  isFull = false
  isDestroyed = false
  text = ''

  write(chunk: string): boolean {
    this.text += chunk
    return !this.isFull
  }

  drain(): void {
    this.isFull = false
    this.emit('drain')
  }

  destroy(): void {
    this.isDestroyed = true
    this.emit('close')
  }

  get lines(): { event: string; name?: string; state?: string; epoch?: number }[] {
    return this.text
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }
}

let store: SqliteStore
let ring: KeyRing
let watch: KeyWatch
let problems: unknown[]

beforeEach(() => {
  store = SqliteStore.inMemory()
  const seal = Seal.createInMemory(store)
  const journal = openJournal(store, seal)
  ring = new KeyRing(store, seal, journal, { erasedNames: 'reserved' })
  problems = []
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
  watch = new KeyWatch(ring, journal, (error) => problems.push(error))
})

afterEach(() => {
  watch.close()
  store.close()
  vi.useRealTimers()
})

function create(count: number): void {
  store.transaction(() => {
    for (let index = 0; index < count; index += 1) ring.create(parseKeyName(`key-${index}`), alice)
  })
}

function add(reader: Reader, mayGoOn = () => true): void {
  watch.add(reader, { prefix: 'key-', mayGoOn })
}

const turns = async (count = 200) => {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate)
}

test('a reader without room is given one page, and the next when it has room', async () => {
  create(1000)
  const reader = new Reader()
  reader.isFull = true
  add(reader)
  await turns()
  expect(reader.lines).toHaveLength(50)
  reader.emit('drain')
  await turns()
  expect(reader.lines).toHaveLength(100)
  reader.drain()
  await turns()
  expect(reader.lines.at(-1)).toEqual({ event: 'snapshot-end', epoch: 1001 })
})

test('changes wait in the journal while a reader has no room, and none is lost', async () => {
  create(1)
  const reader = new Reader()
  add(reader)
  await turns()
  reader.isFull = true
  const name = parseKeyName('key-0')
  for (let count = 0; count < 3000; count += 1) {
    ring.setState(name, count % 2 === 0 ? 'disabled' : 'enabled', alice)
    watch.wake()
  }
  await turns()
  const behind = reader.lines.length
  expect(behind).toBeLessThan(300)
  reader.drain()
  await turns()
  const changes = reader.lines.filter(({ event }) => event === 'change')
  expect(changes.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 3000 }, (_, index) => index + 3))
})

test('a reader that takes nothing for 30 s is cut, and one that takes a little is not', async () => {
  create(1000)
  const [still, slow] = [new Reader(), new Reader()]
  for (const reader of [still, slow]) {
    reader.isFull = true
    add(reader)
  }
  await turns()
  for (let seconds = 0; seconds < 35; seconds += 5) {
    await vi.advanceTimersByTimeAsync(5000)
    slow.emit('drain')
    await turns()
  }
  expect([still.isDestroyed, slow.isDestroyed]).toEqual([true, false])
})

test('a reader is sent a sign of life each 5 s, with how far it is', async () => {
  create(1)
  const reader = new Reader()
  add(reader)
  await turns()
  await vi.advanceTimersByTimeAsync(10_000)
  expect(reader.lines.slice(2)).toEqual([
    { event: 'heartbeat', epoch: 2 },
    { event: 'heartbeat', epoch: 2 },
  ])
})

test('a reader whose right was taken away is cut', async () => {
  let mayGoOn = true
  const reader = new Reader()
  add(reader, () => mayGoOn)
  await vi.advanceTimersByTimeAsync(5000)
  expect(reader.isDestroyed).toBe(false)
  mayGoOn = false
  await vi.advanceTimersByTimeAsync(5000)
  expect(reader.isDestroyed).toBe(true)
})

test('a change of which nobody told the watch is found at the next sign of life', async () => {
  create(1)
  const reader = new Reader()
  add(reader)
  await turns()
  ring.setState(parseKeyName('key-0'), 'disabled', alice)
  await turns()
  expect(reader.lines).toHaveLength(2)
  await vi.advanceTimersByTimeAsync(5000)
  await turns()
  expect(reader.lines).toContainEqual(expect.objectContaining({ event: 'change', state: 'disabled' }))
})

test('entries and records that were edited are told as damaged', async () => {
  create(2)
  const reader = new Reader()
  const row = store.read(parseKeyName('key-1'))
  if (row === undefined) throw new Error('the key is not there')
  store.replace({ ...row, state: 'disabled' }, row.revision)
  add(reader)
  await turns()
  store.appendEntry({ number: 4, name: 'key-0', entry: Buffer.of(1), signature: Buffer.alloc(64) })
  watch.wake()
  await turns()
  expect(reader.lines).toEqual([
    { event: 'snapshot', name: 'key-0', state: 'enabled', epoch: 2 },
    { event: 'snapshot', name: 'key-1', state: 'damaged' },
    { event: 'snapshot-end', epoch: 3 },
    { event: 'change', name: 'key-0', state: 'damaged', epoch: 4 },
  ])
})

test('a store that has failed before cuts the reader, too', async () => {
  store.close()
  const reader = new Reader()
  add(reader)
  await turns(5)
  expect([reader.isDestroyed, reader.text, problems.length]).toEqual([true, '', 1])
})

test('a store that fails cuts the reader, and says so', async () => {
  create(1)
  const reader = new Reader()
  add(reader)
  await turns()
  store.close()
  watch.wake()
  await turns()
  expect(reader.isDestroyed).toBe(true)
  expect(problems).toHaveLength(1)
})
