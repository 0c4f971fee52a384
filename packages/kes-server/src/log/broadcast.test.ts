import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Broadcast } from './broadcast.ts'

async function readerOf(broadcast: Broadcast) {
  const stream = new PassThrough()
  await broadcast.open(stream)
  broadcast.add(stream)
  return { stream, text: () => String(stream.read() ?? '') }
}

test('an event goes to every reader, and each copy is counted', async () => {
  let sent = 0
  const broadcast = new Broadcast(() => {
    sent += 1
  })
  const one = await readerOf(broadcast)
  const two = await readerOf(broadcast)
  broadcast.send('event\n')
  expect([one.text(), two.text(), sent]).toEqual(['event\n', 'event\n', 2])
})

test('a reader that does not read is cut, and the others are not', async () => {
  const broadcast = new Broadcast(() => undefined)
  const slow = await readerOf(broadcast)
  const quick = await readerOf(broadcast)
  quick.stream.resume()
  const line = `${'x'.repeat(64 * 1024)}\n`
  for (let count = 0; count < 40 && !slow.stream.destroyed; count += 1) broadcast.send(line)
  expect(slow.stream.destroyed).toBe(true)
  expect(slow.stream.writableLength).toBeLessThan(2 * 1024 * 1024)
})

test('a reader that has gone is forgotten', async () => {
  const broadcast = new Broadcast(() => undefined)
  const { stream } = await readerOf(broadcast)
  stream.destroy()
  await new Promise((resolve) => stream.once('close', resolve))
  expect(broadcast.isWanted).toBe(false)
})
