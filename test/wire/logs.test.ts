/** The audit log and the error log, as lines and as live streams: section 13 of KES's protocol. */
import { connect } from 'node:http2'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ERROR, OFF, WARN } from '../../packages/kes-server/src/config/log-level.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { openLog } from './log-stream.ts'
import { sleep, until } from './raw-http.ts'
import { expectError, NOT_ALLOWED, textOf } from './replies.ts'

interface AuditEvent {
  readonly time: string
  readonly request: { readonly ip?: string; readonly path: string; readonly identity?: string }
  readonly response: { readonly code: number; readonly time: number }
}

let server: TestServer

beforeEach(async () => {
  server = await startTestServer({ keys: ['a'], api: { '/v1/ready': { skipAuth: true } } })
})

afterEach(() => server.stop())

/** Requests of every outcome, each with the status that its event must have. */
const OUTCOMES = [
  ['GET', '/version', 200],
  ['GET', '/v1/ready', 200],
  ['GET', '/v1/status', 200],
  ['PUT', '/v1/key/create/new', 200],
  ['PUT', '/v1/key/generate/a', 200],
  ['GET', '/v1/key/list/', 200],
  ['PUT', '/v1/key/create/a', 400],
  ['PUT', '/v1/key/create/no.name', 400],
  ['PUT', '/v1/key/encrypt/a', 400],
  ['GET', '/v1/key/describe/nope', 404],
  ['GET', '/nope', 404],
  ['PUT', '/version', 405],
  ['GET', '/v1/key/list', 307],
  ['DELETE', '/v1/key/delete/new', 200],
] as const

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test('a refusal is opaque to the client, and the error log has its path, its identity and the rule', async () => {
    const [user, nobody] = [await clientOf('logged user'), await clientOf('logged nobody')]
    const deny = ['/v1/key/create/app-x*']
    await using guarded = await startTestServer({
      policies: { p: { allow: ['/v1/key/create/app-*'], deny, identities: [user.identity] } },
    })
    for (const [as, path, why] of [
      [user, '/v1/key/create/app-xy', "denied by rule '/v1/key/create/app-x*' of policy 'p'"],
      [user, '/v1/key/create/b%2Dc', "no rule of policy 'p' allows /v1/key/create/b-c"],
      [nobody, '/v1/key/create/app-1', `identity ${nobody.identity} has no policy`],
    ] as const) {
      const reply = await guarded.request('PUT', path, { protocol, as })
      expectError(reply, 403, NOT_ALLOWED, 'NotAllowed')
      expect(guarded.errorLog().at(-1)).toMatchObject({
        level: 'INFO',
        msg: `${NOT_ALLOWED}: ${why}`,
        req: { method: 'PUT', path: decodeURIComponent(path), identity: as.identity },
      })
    }
  })

  test.each(['audit', 'error'] as const)('the headers of the %s stream come at once', async (log) => {
    const reader = await openLog(server, log, protocol)
    expect(reader.status).toBe(200)
    expect(reader.headers['content-type']).toBe('application/x-ndjson')
    expect(reader.headers).not.toHaveProperty('content-length')
    expect(reader.isClosed()).toBe(false)
    reader.close()
  })

  test('every request is one event in the audit stream, refused ones included', async () => {
    const nobody = await clientOf('audited nobody')
    const reader = await openLog(server, 'audit', protocol)
    const expected: object[] = []
    for (const [method, path, status] of OUTCOMES) {
      expect((await server.request(method, path, { protocol })).status).toBe(status)
      expected.push({
        request: { ip: '127.0.0.1', path, identity: server.admin.identity },
        response: { code: status },
      })
    }
    await server.request('GET', '/v1/status', { protocol, as: nobody })
    expected.push({ request: { path: '/v1/status', identity: nobody.identity }, response: { code: 403 } })
    await server.request('GET', '/v1/status', { protocol, as: null })
    expected.push({ request: { path: '/v1/status' }, response: { code: 400 } })

    await until(() => reader.lines().length >= expected.length)
    const events = reader.lines() as AuditEvent[]
    expect(events).toHaveLength(expected.length)
    expect(events).toMatchObject(expected)
    expect(events.at(-1)?.request).not.toHaveProperty('identity')
    for (const event of events) {
      expect(Object.keys(event)).toEqual(['time', 'request', 'response'])
      expect(Object.keys(event.request)).toEqual(
        event.request.identity ? ['ip', 'path', 'identity'] : ['ip', 'path'],
      )
      expect(Object.keys(event.response)).toEqual(['code', 'time'])
      expect(Math.abs(Date.parse(event.time) - Date.now())).toBeLessThan(10_000)
      expect(event.time).toMatch(/Z$/)
      // Nanoseconds: no reply takes less than a microsecond, or as long as ten seconds.
      expect(Number.isInteger(event.response.time)).toBe(true)
      expect(event.response.time).toBeGreaterThan(1_000)
      expect(event.response.time).toBeLessThan(10_000_000_000)
    }
    reader.close()
  })

  test('the path of an event is decoded, as the policy saw it', async () => {
    const reader = await openLog(server, 'audit', protocol)
    await server.request('PUT', '/v1/key/create/a%2Fb%0Ac?x=y', { protocol })
    await until(() => reader.lines().length > 0)
    expect((reader.lines() as AuditEvent[])[0]?.request.path).toBe('/v1/key/create/a/b\nc')
    expect(server.auditLog().at(-1)?.req?.path).toBe('/v1/key/create/a/b\nc')
    reader.close()
  })

  test('the audit log on stdout has the same events, with method, message and duration', async () => {
    for (const [method, path] of OUTCOMES) await server.request(method, path, { protocol })
    const lines = server.auditLog()
    expect(lines.map(({ req, res }) => [req?.method, req?.path, res?.code])).toEqual(OUTCOMES)
    for (const line of lines) {
      expect(line).toMatchObject({
        level: 'INFO',
        req: { ip: '127.0.0.1', identity: server.admin.identity },
        res: { time: expect.stringMatching(/^[0-9.]+(?:µs|ms|s)$/) },
      })
      expect(line.time).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    }
    expect(lines.filter(({ req }) => req?.path.endsWith('/new')).map(({ msg }) => msg)).toEqual([
      "secret key 'new' created",
      "secret key 'new' deleted",
    ])
  })

  test('an error log stream gets what is printed, as a line of KES', async () => {
    const reader = await openLog(server, 'error', protocol)
    await server.request('PUT', '/v1/key/encrypt/a', { protocol, body: '{"plaintext":1}' })
    await until(() => reader.lines().length > 0)
    const [{ message }] = reader.lines() as [{ message: string }]
    expect(message).toMatch(
      new RegExp(
        `^time=\\S+Z level=[A-Z]+ msg="[^"]*invalid request body[^"]*" req\\.method=PUT req\\.path=/v1/key/encrypt/a ` +
          `req\\.ip=127\\.0\\.0\\.1 req\\.identity=${server.admin.identity}$`,
      ),
    )
    expect(server.errorLog().at(-1)?.msg).toContain('invalid request body')
    reader.close()
  })

  test('several readers get each event, and the metrics count what was sent', async () => {
    const readers = await Promise.all([
      openLog(server, 'audit', protocol),
      openLog(server, 'audit', protocol),
      openLog(server, 'error', protocol),
    ])
    const before = await eventsSent()
    for (let round = 0; round < 5; round += 1)
      await server.request('PUT', '/v1/key/encrypt/a', { protocol, body: '{' })
    await until(() => (readers[2]?.lines().length ?? 0) >= 5)
    const after = await eventsSent()
    // Each reading of the metrics is an event too.
    expect(after.audit - before.audit).toBe(2 * (5 + 1))
    expect(after.error - before.error).toBe(5)
    for (const reader of readers) reader.close()
    await sleep(20)
    const closed = await eventsSent()
    for (let round = 0; round < 5; round += 1)
      await server.request('PUT', '/v1/key/encrypt/a', { protocol, body: '{' })
    expect(await eventsSent()).toEqual(closed)
  })

  test('a stream is audited once, when it is opened', async () => {
    const reader = await openLog(server, 'audit', protocol)
    reader.close()
    await sleep(20)
    expect(server.auditLog().map(({ req, res }) => [req?.path, res?.code])).toEqual([['/v1/log/audit', 200]])
  })

  test('a stop ends the streams, and does not wait for their readers', async () => {
    const readers = await Promise.all([
      openLog(server, 'audit', protocol),
      openLog(server, 'error', protocol),
    ])
    const startedMs = performance.now()
    await server.stop()
    expect(performance.now() - startedMs).toBeLessThan(1_000)
    await until(() => readers.every((reader) => reader.isClosed()))
  })

  test('a reader who does not read is cut, and slows nobody', async () => {
    const slow = await openLog(server, 'audit', protocol, { isReading: false })
    const reader = await openLog(server, 'audit', protocol)
    // More than the kernel's buffers hold, in events of 12 kB.
    const path = `/v1/key/describe/${'x'.repeat(12_000)}`
    let sent = 0
    const send = async () => {
      while (sent < 1_500) {
        sent += 1
        await server.request('GET', path, { protocol })
      }
    }
    await Promise.all([send(), send(), send(), send()])
    await until(() => reader.received() > 1_500 * 12_000)
    expect(reader.isClosed()).toBe(false)
    const before = await eventsSent()
    await server.request('GET', '/v1/status', { protocol })
    expect((await eventsSent()).audit - before.audit).toBe(2) // The one reader's, of two requests.
    slow.close()
    reader.close()
  })
})

async function eventsSent(): Promise<{ audit: number; error: number }> {
  const text = textOf(await server.request('GET', '/v1/metrics'))
  const count = (log: string) => Number(new RegExp(`^kes_log_${log}_events (\\d+)$`, 'm').exec(text)?.[1])
  return { audit: count('audit'), error: count('error') }
}

test('a level of the config filters both the printed error log and its stream', async () => {
  using store = prepareStore([{ name: 'a' }])
  await using quiet = await startTestServer({ ...store, log: { errorLevel: ERROR } })
  const reader = await openLog(quiet, 'error', 'h2')
  await quiet.request('PUT', '/v1/key/encrypt/a', { body: '{' })
  await quiet.request('GET', '/v1/status', { as: await clientOf('nobody') })
  await sleep(30)
  expect([quiet.errorLog(), reader.lines()]).toEqual([[], []])
  reader.close()
})

test('the audit log can be turned off on stdout', async () => {
  for (const auditLevel of [WARN, OFF]) {
    await using quiet = await startTestServer({ log: { auditLevel } })
    await quiet.request('GET', '/v1/status')
    expect(quiet.auditLog()).toEqual([])
  }
})

test('other requests go on beside a log stream on the same connection', async () => {
  const session = connect(server.url, { ca: server.ca, key: server.admin.key, cert: server.admin.cert })
  const stream = session.request({ ':path': '/v1/log/audit' })
  let received = ''
  stream.setEncoding('utf8').on('data', (text: string) => {
    received += text
  })
  await new Promise((resolve) => stream.on('response', resolve))
  const status = await new Promise((resolve) => {
    session
      .request({ ':path': '/version' })
      .on('response', (headers) => resolve(headers[':status']))
      .resume()
  })
  expect(status).toBe(200)
  await until(() => received.includes('"/version"'))
  session.destroy()
})
