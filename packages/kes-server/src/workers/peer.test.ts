import { EventEmitter } from 'node:events'
import { deserialize, serialize } from 'node:v8'
import { expect, test } from 'vitest'
import { KesError, KeyDisabledError, StoreError } from '../errors.ts'
import { type Channel, Peer, PeerGoneError } from './peer.ts'

/** Two ends of a channel that copies what is sent, as IPC does. */
function channels(): { a: Channel & EventEmitter; b: Channel & EventEmitter } {
  const [a, b] = [new EventEmitter(), new EventEmitter()]
  const sender =
    (to: EventEmitter) => (message: unknown, _: unknown, __: unknown, onSent: (e: null) => void) => {
      const copy: unknown = deserialize(serialize(message))
      setImmediate(() => to.emit('message', copy, undefined))
      onSent(null)
      return true
    }
  return { a: Object.assign(a, { send: sender(b) }), b: Object.assign(b, { send: sender(a) }) }
}

interface Calculator {
  add(a: number, b: number): number
  fail(): Promise<void>
  note(text: string): void
  never(): Promise<void>
}

function calculator(fail: () => unknown = () => undefined) {
  const { a, b } = channels()
  const notes: string[] = []
  new Peer(b, {
    add: (x: number, y: number) => x + y,
    fail: async () => {
      throw fail()
    },
    note: (text: string) => void notes.push(text),
    never: () => new Promise(() => undefined),
  })
  return { peer: new Peer<Calculator>(a, {}), notes, channel: a }
}

test('a call has the result of the other side', async () => {
  const { peer } = calculator()
  expect(await Promise.all([peer.remote.add(1, 2), peer.remote.add(3, 4)])).toEqual([3, 7])
})

test('what is told arrives, in order, and nobody answers', async () => {
  const { peer, notes } = calculator()
  peer.tell('note', ['one'])
  peer.tell('note', ['two'])
  await peer.remote.add(0, 0)
  expect(notes).toEqual(['one', 'two'])
})

test('an error of the API is the same on the wire and in the logs as where it was thrown', async () => {
  const original = new KeyDisabledError({ detail: "key 'a' is disabled" })
  const error: unknown = await calculator(() => original)
    .peer.remote.fail()
    .catch((thrown) => thrown)
  if (!(error instanceof KesError)) throw new Error('no KesError')
  for (const field of ['status', 'code', 'message', 'loggedMessage', 'detail'] as const)
    expect([field, error[field]]).toEqual([field, original[field]])
})

test('the cause of an error of the API is in its detail, for the log', async () => {
  const original = new StoreError('change key', { cause: new Error('disk full') })
  const error: unknown = await calculator(() => original)
    .peer.remote.fail()
    .catch((thrown) => thrown)
  expect(error).toMatchObject({ code: 'StoreUnavailable', detail: 'disk full' })
})

test('any other error keeps its stack', async () => {
  const error: unknown = await calculator(() => new TypeError('oops'))
    .peer.remote.fail()
    .catch((e) => e)
  expect(error).not.toBeInstanceOf(KesError)
  expect((error as Error).stack).toMatch(/^TypeError: oops\n +at /)
})

test('calls to a process that ends, or has ended, fail', async () => {
  const { peer, channel } = calculator()
  const pending = peer.remote.never()
  channel.emit('disconnect')
  await expect(pending).rejects.toThrow(PeerGoneError)
  await expect(peer.remote.add(1, 2)).rejects.toThrow(PeerGoneError)
  peer.tell('note', ['nobody hears'])
})
