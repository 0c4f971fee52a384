import { describe, expect, test } from 'vitest'
import { Broadcast } from '../log/broadcast.ts'
import { createLogger } from '../log/error-log.ts'
import { type AuditEvent, formatDuration } from './audit-event.ts'
import { AuditLog } from './audit-log.ts'
import { eventFields } from './lines.ts'

const event: AuditEvent = {
  method: 'PUT',
  path: '/v1/key/create/my-key',
  ip: '127.0.0.1',
  identity: 'ab'.repeat(32),
  status: 200,
  durationMs: 1.035537,
  message: "secret key 'my-key' created",
}

/** A reply that goes out at once. */
const sent = { isUrgent: false, release: () => undefined, refuse: () => undefined }

function newLog(isPrinted: boolean) {
  const lines: string[] = []
  const streamed: string[] = []
  const logger = createLogger({ write: (line) => lines.push(line) })
  const log = new AuditLog(logger, { isPrinted, stream: new Broadcast(() => undefined) })
  const listen = () => {
    const reader = { write: (line: string) => streamed.push(line), writableLength: 0, destroy() {}, on() {} }
    log.stream.add(reader as never)
  }
  return { log, lines, streamed, listen }
}

describe('an event', () => {
  test('is printed with the names of KES', () => {
    const { log, lines } = newLog(true)
    log.write(event, sent)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'INFO',
      msg: "secret key 'my-key' created",
      req: { method: 'PUT', path: '/v1/key/create/my-key', ip: '127.0.0.1', identity: 'ab'.repeat(32) },
      res: { code: 200, time: '1.035537ms' },
    })
  })

  test('of a request through a TLS proxy has the proxy beside the caller, but for the stream', () => {
    const { log, lines, listen, streamed } = newLog(true)
    listen()
    log.write({ ...event, proxy: 'cd'.repeat(32) }, sent)
    const caller = { identity: 'ab'.repeat(32), proxy: 'cd'.repeat(32) }
    expect(JSON.parse(lines[0] ?? '').req).toMatchObject(caller)
    expect(JSON.parse(`{${eventFields({ ...event, proxy: caller.proxy })}}`).req).toMatchObject(caller)
    expect(JSON.parse(`{${eventFields(event)}}`).req).not.toHaveProperty('proxy')
    expect(JSON.parse(streamed[0] ?? '').request).not.toHaveProperty('proxy')
  })

  test('is streamed with its time in nanoseconds, as the clients read it', () => {
    const { log, listen, streamed } = newLog(false)
    listen()
    log.write(event, sent)
    expect(JSON.parse(streamed[0] ?? '')).toEqual({
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      request: { ip: '127.0.0.1', path: '/v1/key/create/my-key', identity: 'ab'.repeat(32) },
      response: { code: 200, time: 1_035_537 },
    })
  })

  test('of nobody has no identity in the stream', () => {
    const { log, listen, streamed } = newLog(false)
    listen()
    log.write({ ...event, ip: '', identity: undefined }, sent)
    expect(JSON.parse(streamed[0] ?? '').request).toEqual({ path: '/v1/key/create/my-key' })
  })

  test('is made only if somebody would see it', () => {
    const { log, lines, listen } = newLog(false)
    log.write(event, sent)
    expect([log.isListening, lines]).toEqual([false, []])
    listen()
    expect(log.isListening).toBe(true)
  })
})

test.each([
  [0.62733, '627.33µs'],
  [1.035537, '1.035537ms'],
  [2500, '2.5s'],
  [0, '0µs'],
])('%d ms are printed as %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})
