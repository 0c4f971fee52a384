import { EventEmitter } from 'node:events'
import type { ServerResponse } from 'node:http'
import { expect, test } from 'vitest'
import { Sessions } from './sessions.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS

function sessionsAt() {
  const clock = { nowMs: 0 }
  return { clock, sessions: new Sessions(() => clock.nowMs) }
}

/** As much of a response as a session knows. */
function reply() {
  const fake = Object.assign(new EventEmitter(), {
    isCut: false,
    destroy() {
      fake.isCut = true
      fake.emit('close')
    },
  })
  return { fake, response: fake as unknown as ServerResponse }
}

test('a session lasts 15 minutes from its last request', () => {
  const { clock, sessions } = sessionsAt()
  const token = sessions.open('a')
  for (let used = 0; used < 10; used += 1) {
    clock.nowMs += 15 * MINUTE_MS - 1
    expect(sessions.use(token)?.identity).toBe('a')
  }
  clock.nowMs += 15 * MINUTE_MS
  expect(sessions.use(token)).toBeUndefined()
  expect(sessions.count).toBe(0)
})

test('a session ends after 8 hours, however much it is used', () => {
  const { clock, sessions } = sessionsAt()
  const token = sessions.open('a')
  for (clock.nowMs = 0; clock.nowMs < 8 * HOUR_MS; clock.nowMs += 10 * MINUTE_MS) {
    expect(sessions.use(token)).toBeDefined()
  }
  expect(sessions.use(token)).toBeUndefined()
})

test('a download keeps its session, a stream without end does not', () => {
  const { clock, sessions } = sessionsAt()
  const downloading = sessions.open('a')
  const watching = sessions.open('b')
  const download = reply()
  const watch = reply()
  sessions.use(downloading)?.hold(download.response, false)
  sessions.use(watching)?.hold(watch.response, true)
  clock.nowMs += 20 * MINUTE_MS
  expect(sessions.use(watching)).toBeUndefined()
  expect(watch.fake.isCut).toBe(true)
  expect(sessions.use(downloading)).toBeDefined()
  download.fake.emit('close')
  clock.nowMs += 20 * MINUTE_MS
  expect(sessions.use(downloading)).toBeUndefined()
})

test('the end of a session cuts what it has open, but for the reply that says so', () => {
  const { sessions } = sessionsAt()
  const session = sessions.use(sessions.open('a'))
  const [logout, stream] = [reply(), reply()]
  session?.hold(logout.response, false)
  session?.hold(stream.response, true)
  if (session !== undefined) sessions.close(session, logout.response)
  expect([logout.fake.isCut, stream.fake.isCut]).toEqual([false, true])
})

test('an identity has 20 sessions, and its least used one gives way to another', () => {
  const { sessions } = sessionsAt()
  const other = sessions.open('b')
  const tokens = Array.from({ length: 20 }, () => sessions.open('a'))
  sessions.use(tokens[0] ?? '')
  sessions.open('a')
  expect(sessions.use(tokens[0] ?? '')).toBeDefined()
  expect(sessions.use(tokens[1] ?? '')).toBeUndefined()
  expect(sessions.use(other)).toBeDefined()
  expect(sessions.count).toBe(21)
})

test('there are 1000 sessions at most', () => {
  const { sessions } = sessionsAt()
  for (let made = 0; made < 1500; made += 1) sessions.open(`identity ${made}`)
  expect(sessions.count).toBe(1000)
})
