import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { Broadcast } from './broadcast.ts'

function reader() {
  const stream = new PassThrough()
  return { stream, text: () => String(stream.read() ?? '') }
}

test('an event goes to every reader, and each copy is counted', () => {
  let sent = 0
  const broadcast = new Broadcast(() => {
    sent += 1
  })
  const one = reader()
  const two = reader()
  broadcast.add(one.stream)
  broadcast.add(two.stream)
  broadcast.send('event\n')
  expect([one.text(), two.text(), sent]).toEqual(['event\n', 'event\n', 2])
})

test('a reader that does not read is cut, and the others are not', () => {
  const broadcast = new Broadcast(() => undefined)
  const slow = reader()
  const quick = reader()
  broadcast.add(slow.stream)
  broadcast.add(quick.stream)
  quick.stream.resume()
  const line = `${'x'.repeat(64 * 1024)}\n`
  for (let count = 0; count < 40 && !slow.stream.destroyed; count += 1) broadcast.send(line)
  expect(slow.stream.destroyed).toBe(true)
  expect(slow.stream.writableLength).toBeLessThan(2 * 1024 * 1024)
})

test('a reader that has gone is forgotten', async () => {
  const broadcast = new Broadcast(() => undefined)
  const { stream } = reader()
  broadcast.add(stream)
  stream.destroy()
  await new Promise((resolve) => stream.once('close', resolve))
  expect(broadcast.isWanted).toBe(false)
})
