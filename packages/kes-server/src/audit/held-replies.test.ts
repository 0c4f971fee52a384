import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { AuditSink } from './audit-writer.ts'
import { HeldReplies } from './held-replies.ts'

/** A sink that settles when the test says so. */
class Sink implements AuditSink {
  isAccepting = true
  readonly calls: { lines: readonly string[]; resolve: () => void; reject: (error: Error) => void }[] = []

  append(lines: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => this.calls.push({ lines, resolve, reject }))
  }
}

function holder() {
  const sink = new Sink()
  const held = new HeldReplies(sink)
  const outcomes: string[] = []
  const hold = (name: string, isUrgent = false) =>
    held.hold({
      fields: `"msg":"${name}"`,
      isUrgent,
      release: () => outcomes.push(name),
      refuse: () => outcomes.push(`${name} refused`),
    })
  return { sink, held, outcomes, hold }
}

test('the events of one turn are written together, and no reply goes out before', async () => {
  const { sink, outcomes, hold } = holder()
  hold('a')
  hold('b')
  await nextTurn()
  expect(sink.calls.map(({ lines }) => lines)).toEqual([['"msg":"a"', '"msg":"b"']])
  expect(outcomes).toEqual([])
  sink.calls[0]?.resolve()
  await nextTurn()
  expect(outcomes).toEqual(['a', 'b'])
})

test('replies go out in the order of their events, over several batches', async () => {
  const { sink, held, outcomes, hold } = holder()
  for (const name of ['use 1', 'use 2', 'disable', 'use 3']) {
    hold(name, name === 'disable')
    await nextTurn()
  }
  expect(sink.calls).toHaveLength(4)
  for (const { resolve } of sink.calls) resolve()
  await held.released()
  expect(outcomes).toEqual(['use 1', 'use 2', 'disable', 'use 3'])
})

test('a disable goes out a turn after the uses before it, and those behind it after that', async () => {
  const { sink, held, outcomes, hold } = holder()
  for (const name of ['use 1', 'disable', 'use 2']) hold(name, name === 'disable')
  await nextTurn()
  hold('use 3')
  const released = held.released()
  for (const { resolve } of sink.calls) resolve()
  await new Promise((resolve) => process.nextTick(resolve))
  expect(outcomes).toEqual(['use 1'])
  await released
  expect(outcomes).toEqual(['use 1', 'disable', 'use 2', 'use 3'])
})

test('so does one whose event could not be written', async () => {
  const { sink, held, outcomes, hold } = holder()
  hold('use')
  await nextTurn()
  hold('disable', true)
  const released = held.released()
  sink.calls[0]?.resolve()
  sink.calls[1]?.reject(new Error('the disk is full'))
  await new Promise((resolve) => process.nextTick(resolve))
  expect(outcomes).toEqual(['use'])
  await released
  expect(outcomes).toEqual(['use', 'disable'])
})

test('what could not be written is refused, but for what takes keys out of use; a note says how many', async () => {
  const { sink, held, outcomes, hold } = holder()
  hold('use')
  hold('disable', true)
  await nextTurn()
  sink.isAccepting = false
  sink.calls[0]?.reject(new Error('the disk is full'))
  await held.released()
  expect(outcomes).toEqual(['use refused', 'disable'])

  // Nothing is even tried for a use now, and the lock of a key still is.
  hold('use')
  hold('delete', true)
  await nextTurn()
  expect(outcomes).toEqual(['use refused', 'disable', 'use refused'])
  expect(sink.calls[1]?.lines).toEqual(['"msg":"delete"'])
  sink.calls[1]?.resolve()

  sink.isAccepting = true
  hold('use')
  await nextTurn()
  const [note = '', use] = sink.calls[2]?.lines ?? []
  expect(JSON.parse(`{${note}}`)).toMatchObject({
    level: 'ERROR',
    msg: '3 requests were answered without an event: the audit file could not be written',
    audit: { unrecorded: 3, since: expect.stringMatching(/Z$/) },
  })
  expect(use).toBe('"msg":"use"')
  sink.calls[2]?.reject(new Error('again'))
  await nextTurn()
  // The note was not written either, so it is owed again.
  hold('use')
  await nextTurn()
  expect(sink.calls[3]?.lines[0]).toContain('"unrecorded":4')
})

test('released() waits for all that is held, the last turn included, and writes a note that is owed', async () => {
  const { sink, held, outcomes, hold } = holder()
  sink.isAccepting = false
  hold('use')
  sink.isAccepting = true
  const released = held.released()
  expect(sink.calls[0]?.lines[0]).toContain('"unrecorded":1')
  sink.calls[0]?.resolve()
  await released

  hold('a')
  let isReleased = false
  const again = held.released().then(() => {
    isReleased = true
  })
  await nextTurn()
  expect([isReleased, outcomes]).toEqual([false, ['use refused']])
  sink.calls[1]?.resolve()
  await again
  expect(outcomes).toEqual(['use refused', 'a'])
})

test('of replies that have gone out no more events wait than a bound, and the rest is told by their number', async () => {
  const { sink, held } = holder()
  const probe = () =>
    held.hold({ fields: '"msg":"probe"', isAnswered: true, isUrgent: false, release() {}, refuse() {} })
  for (let count = 0; count < 1500; count += 1) probe()
  const released = held.released()
  const [note, ...events] = sink.calls[0]?.lines ?? []
  expect([note, events.length]).toEqual([expect.stringContaining('"unrecorded":500'), 1000])
  sink.calls[0]?.resolve()
  await released
  probe()
  await nextTurn()
  expect(sink.calls[1]?.lines).toEqual(['"msg":"probe"'])
})
