/** Cases that are more than a request and its reply: streams, slow clients, and handshakes. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { clientOf } from '../sandbox/certificates.ts'
import { fsKeystore, prepareStore } from '../sandbox/prepared-store.ts'
import { type Protocol, startTestServer, type TestServer } from '../sandbox/server.ts'
import { openLog } from '../wire/log-stream.ts'
import { exchange, until } from '../wire/raw-http.ts'
import { textOf } from '../wire/replies.ts'
import { error } from './case.ts'

export interface Scenario {
  readonly section: string
  readonly title: string
  readonly sent: string
  /** What must happen, as the table shows it. */
  readonly expected: string
  readonly requests: number
  readonly differs?: string
  /** What happened, in the words of {@link expected}. */
  readonly run: (server: TestServer, protocol: Protocol) => Promise<string>
}

const FAILED_TO_READ = `502 ${error(502, 'failed to read key', 'RecordDamaged').body}`
const SLOW = error(408, 'request body was not received in time', 'RequestTimeout')

/** The first event that `ask` leaves in a log stream, and the headers, which have come before it. */
async function firstEvent(
  server: TestServer,
  log: 'audit' | 'error',
  protocol: Protocol,
  ask: () => Promise<unknown>,
): Promise<string> {
  const reader = await openLog(server, log, protocol)
  const head = `${reader.status} ${reader.headers['content-type']}, at once`
  await ask()
  await until(() => reader.lines().length > 0)
  const [line] = reader.lines()
  reader.close()
  const text = JSON.stringify(line)
    .replaceAll(server.admin.identity, '<admin>')
    .replace(/"time":"[^"]+Z"/, '"time":"<time>"')
    .replace(/time=\S+Z/, 'time=<time>')
    .replace(/"time":\d+\}/, '"time":<nanoseconds>}')
  return `${head}; then ${text}`
}

export const SCENARIOS: readonly Scenario[] = [
  {
    section: 'Log streams',
    title: 'the audit log',
    sent: 'GET /v1/log/audit, then PUT /v1/key/create/audited',
    expected:
      '200 application/x-ndjson, at once; then {"time":"<time>","request":{"ip":"127.0.0.1","path":"/v1/key/create/audited","identity":"<admin>"},"response":{"code":200,"time":<nanoseconds>}}',
    requests: 2,
    differs: 'log-streams',
    run: async (server, protocol) =>
      firstEvent(server, 'audit', protocol, () =>
        server.request('PUT', '/v1/key/create/audited', { protocol }),
      ),
  },
  {
    section: 'Log streams',
    title: 'the error log, in KES’s form',
    sent: 'GET /v1/log/error, then PUT /v1/key/encrypt/taken {"a"',
    expected:
      '200 application/x-ndjson, at once; then {"message":"time=<time> level=INFO msg=\\"invalid request body: the body does not begin with a JSON value\\" req.method=PUT req.path=/v1/key/encrypt/taken req.ip=127.0.0.1 req.identity=<admin>"}',
    requests: 2,
    differs: 'log-streams',
    run: async (server, protocol) =>
      firstEvent(server, 'error', protocol, () =>
        server.request('PUT', '/v1/key/encrypt/taken', { protocol, body: '{"a"' }),
      ),
  },
  {
    section: 'Log streams',
    title: 'somebody whose policy does not allow it',
    sent: 'GET /v1/log/audit',
    expected: '403 {"message":"not authorized: insufficient permissions","code":"NotAllowed"\n}',
    requests: 1,
    run: async (server, protocol) => {
      const reply = await server.request('GET', '/v1/log/audit', { protocol, as: await clientOf('nobody') })
      return `${reply.status} ${textOf(reply)}`
    },
  },
  {
    section: 'Lists of keys',
    title: '1,100 keys',
    sent: 'GET /v1/key/list/',
    expected: '200, 1100 names, continue_at undefined',
    requests: 1,
    differs: 'list-pages',
    run: async (_, protocol) => {
      using store = prepareStore(Array.from({ length: 1100 }, (__, index) => ({ name: `key-${index}` })))
      await using server = await startTestServer(store)
      const reply = await server.request('GET', '/v1/key/list/', { protocol })
      const { names, continue_at } = JSON.parse(textOf(reply))
      return `${reply.status}, ${names.length} names, continue_at ${continue_at}`
    },
  },
  {
    section: 'A store that is damaged',
    title: 'a record whose bytes are others',
    sent: 'PUT /v1/key/generate/bad',
    expected: FAILED_TO_READ,
    requests: 1,
    run: async (_, protocol) => {
      using store = prepareStore([{ name: 'bad', damaged: 'sealed' }])
      await using server = await startTestServer(store)
      const reply = await server.request('PUT', '/v1/key/generate/bad', { protocol })
      return `${reply.status} ${textOf(reply)}`
    },
  },
  {
    section: 'A store that is damaged',
    title: 'a key whose file has gone from KES’s folder while the server was down',
    sent: 'PUT /v1/key/generate/gone',
    expected: FAILED_TO_READ,
    requests: 1,
    differs: 'missing-file',
    run: (_, protocol) => withoutKeyFile(protocol),
  },
  {
    section: 'A store that has gone',
    title: 'readiness',
    sent: 'GET /v1/ready, without the file of the store',
    expected: '504 {"message":"key store is not reachable","code":"StoreUnreachable"\n}',
    requests: 1,
    run: (_, protocol) => withoutStore('/v1/ready', protocol),
  },
  {
    section: 'A store that has gone',
    title: 'the status, in a form that KES’s clients read',
    sent: 'GET /v1/status, without the file of the store',
    expected: '200 {…,"keystore_unavailable":true,"keystore_unreachable":true}\n',
    requests: 1,
    differs: 'store-gone',
    run: async (_, protocol) =>
      (await withoutStore('/v1/status', protocol)).replace(/\{.*?(?=,"keystore)/, '{…'),
  },
  {
    section: 'Handshakes and time',
    title: 'no certificate, where one is required',
    sent: 'GET /version',
    expected: 'the connection ends without a reply',
    requests: 1,
    differs: 'no-alert',
    run: async (_, protocol) => {
      await using required = await startTestServer()
      const reply = required.request('GET', '/version', { protocol, as: null })
      return reply.then(
        ({ status }) => `a reply ${status}`,
        () => 'the connection ends without a reply',
      )
    },
  },
  {
    section: 'Handshakes and time',
    title: 'a body that does not come in the time of its API, here 200 ms',
    sent: 'PUT /v1/key/encrypt/a, Content-Length: 20, and no body',
    expected: `408 ${SLOW.body}`,
    requests: 1,
    differs: 'slow-body',
    run: async (_, protocol) => {
      const api = { '/v1/key/encrypt/': { timeoutMs: 200 } }
      await using hasty = await startTestServer({ keys: ['a'], api })
      return await (protocol === 'h2' ? withoutBodyOverH2(hasty) : withoutBodyOverHttp1(hasty))
    },
  },
]

async function withoutKeyFile(protocol: Protocol): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-conformance-'))
  try {
    const keystore = fsKeystore(join(folder, 'keys'))
    const before = await startTestServer({ keystore, keys: ['gone'] })
    await before.stop()
    rmSync(join(folder, 'keys', 'gone'))
    await using after = await startTestServer({ keystore })
    const reply = await after.request('PUT', '/v1/key/generate/gone', { protocol })
    return `${reply.status} ${textOf(reply)}`
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function withoutStore(path: string, protocol: Protocol): Promise<string> {
  using store = prepareStore()
  await using server = await startTestServer(store)
  rmSync(store.keystore.path)
  const reply = await server.request('GET', path, { protocol })
  return `${reply.status} ${textOf(reply)}`
}

async function withoutBodyOverHttp1(server: TestServer): Promise<string> {
  const received = await exchange(
    server,
    'PUT /v1/key/encrypt/a HTTP/1.1\r\nHost: kes\r\nContent-Length: 20\r\n\r\n',
  )
  const [head = '', body] = received.split('\r\n\r\n')
  return `${head.split(' ')[1]} ${body}`
}

async function withoutBodyOverH2(server: TestServer): Promise<string> {
  const { key, cert } = server.admin
  const session = connect(server.url, { ca: server.ca, key, cert })
  try {
    const stream = session.request({ ':path': '/v1/key/encrypt/a', ':method': 'PUT', 'content-length': 20 })
    const [headers] = await once(stream, 'response')
    const chunks = await stream.setEncoding('utf8').toArray()
    return `${headers[':status']} ${chunks.join('')}`
  } finally {
    session.destroy()
  }
}
