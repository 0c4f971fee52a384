import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { SharedStream } from './shared-stream.ts'

/** A stream of the audit log, and what its worker tells the supervisor. */
function audit() {
  const told: string[] = []
  const stream = new SharedStream(
    'audit',
    {
      remote: { follow: async () => void told.push('follow') } as never,
      tell: (call) => void told.push(call),
    },
    () => undefined,
  )
  return { stream, told }
}

test('a reader whose reply is held for the audit file does not lose the stream to an event in between', async () => {
  const { stream, told } = audit()
  const reader = new PassThrough()
  await stream.open(reader)
  stream.deliver('{"before":"the reply"}\n')
  stream.add(reader)
  stream.deliver('{"after":"the reply"}\n')
  expect(told).toEqual(['follow'])
  expect(String(reader.read())).toBe('{"after":"the reply"}\n')
})

test('nobody is followed for a reader that goes, before or after its reply', async () => {
  const { stream, told } = audit()
  const early = new PassThrough()
  await stream.open(early)
  const late = new PassThrough()
  await stream.open(late)
  stream.add(late)
  early.destroy()
  late.destroy()
  await new Promise(setImmediate)
  stream.deliver('{}\n')
  expect(told).toEqual(['follow', 'follow', 'unfollow'])
})
