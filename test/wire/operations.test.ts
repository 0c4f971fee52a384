/** What an operator asks a server: version, readiness, status, the list of APIs, metrics: section 12. */
import { arch, availableParallelism } from 'node:os'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { readFamilies } from './prometheus.ts'
import { apiHeadersOf, expectEmpty, jsonOf, textOf } from './replies.ts'

let server: TestServer

beforeAll(async () => {
  server = await startTestServer({ keys: ['my-key'] })
})

afterAll(() => server.stop())

describe.each(PROTOCOLS)('over %s', (protocol) => {
  const get = (path: string, headers = {}) => server.request('GET', path, { protocol, headers })

  test('the version is a version and a commit', async () => {
    const reply = await get('/version')
    expect(textOf(reply)).toMatch(
      /^\{"version":"[^"]+","commit":"(?:\\u003cunknown\\u003e|[0-9a-f]{40})"\}\n$/,
    )
    expect(apiHeadersOf(reply)).toEqual({
      'content-type': 'application/json',
      'content-length': String(reply.rawBody.length),
    })
  })

  test('readiness is an empty reply', async () => {
    expectEmpty(await get('/v1/ready'))
  })

  test('the status has the fields of KES in their order', async () => {
    const reply = await get('/v1/status')
    const status = jsonOf<Record<string, unknown>>(reply)
    const stack = process.platform === 'linux' ? ['mem_stack_used'] : []
    expect(Object.keys(status)).toEqual([
      'version',
      'os',
      'arch',
      'uptime',
      'num_cpu',
      'num_cpu_used',
      'mem_heap_used',
      ...stack,
      'keystore_latency',
    ])
    expect(status).toMatchObject({
      os: process.platform === 'win32' ? 'windows' : process.platform,
      arch: arch() === 'x64' ? 'amd64' : arch(),
      num_cpu: availableParallelism(),
    })
    for (const field of [
      'uptime',
      'num_cpu',
      'num_cpu_used',
      'mem_heap_used',
      ...stack,
      'keystore_latency',
    ]) {
      expect(Number.isSafeInteger(status[field])).toBe(true)
    }
    expect(status.keystore_latency).toBeGreaterThanOrEqual(1)
    expect(status.uptime).toBeLessThan(60)
  })

  test('the APIs are listed with the limits of KES, and ours beside them', async () => {
    const rows = jsonOf<Record<string, unknown>[]>(await get('/v1/api'))
    for (const row of rows) expect(Object.keys(row)).toEqual(['method', 'path', 'max_body', 'timeout'])
    const table = rows.map(
      ({ method, path, max_body, timeout }) => `${method} ${path} ${max_body} ${timeout}`,
    )
    expect(table.sort()).toEqual(
      [
        'GET /version 0 10',
        'GET /v1/ready 0 15',
        'GET /v1/status 0 15',
        'GET /v1/metrics 0 15',
        'GET /v1/metrics/latchkey 0 15',
        'GET /v1/api 0 10',
        'PUT /v1/key/create/ 0 15',
        'PUT /v1/key/import/ 1000000 15',
        'GET /v1/key/describe/ 0 15',
        'DELETE /v1/key/delete/ 0 15',
        'GET /v1/key/list/ 0 15',
        'GET /v1/key/watch/ 0 0',
        'GET /v1/key/history/ 0 15',
        'PUT /v1/key/generate/ 1000000 15',
        'PUT /v1/key/encrypt/ 1000000 15',
        'PUT /v1/key/decrypt/ 1000000 15',
        'PUT /v1/key/hmac/ 1000000 15',
        'PUT /v1/key/cancel-deletion/ 0 15',
        'PUT /v1/key/enable/ 0 15',
        'PUT /v1/key/disable/ 0 15',
        'GET /v1/policy/describe/ 0 15',
        'GET /v1/policy/read/ 0 15',
        'GET /v1/policy/list/ 0 15',
        'GET /v1/identity/describe/ 0 15',
        'GET /v1/identity/list/ 0 15',
        'GET /v1/identity/self/describe 0 15',
        'GET /v1/journal/head 0 15',
        'GET /v1/journal/entries 0 15',
        'GET /v1/seal/describe 0 15',
        'PUT /v1/seal/add-slot 1000000 60',
        'PUT /v1/seal/remove-slot/ 0 60',
        'PUT /v1/seal/change-passphrase 1000000 60',
        'PUT /v1/seal/rotate-root 1000000 60',
        'PUT /v1/backup/create 0 300',
        'GET /v1/backup/read/ 0 15',
        'PUT /v1/backup/drop/ 0 15',
        'GET /v1/log/error 0 0',
        'GET /v1/log/audit 0 0',
      ].sort(),
    )
  })

  test('each API of the list exists: it is found, and refuses another method with the one listed', async () => {
    for (const { method, path } of jsonOf<{ method: string; path: string }[]>(await get('/v1/api'))) {
      const reply = await server.request('PATCH', path.endsWith('/') ? `${path}a` : path, { protocol })
      expect([reply.status, reply.headers.accept]).toEqual([405, method])
    }
  })

  test('metrics are text by default, of the families and labels of KES', async () => {
    await get('/v1/key/describe/my-key')
    await get('/v1/key/describe/nope')
    const reply = await get('/v1/metrics')
    expect(reply.headers['content-type']).toBe(
      'text/plain; version=0.0.4; charset=utf-8; escaping=underscores',
    )
    expectFamilies(readText(textOf(reply)))
  })

  test('metrics are Protocol Buffers for who asks for them, and say the same', async () => {
    await get('/v1/key/describe/my-key')
    await get('/v1/key/describe/nope')
    const text = readText(textOf(await get('/v1/metrics')))
    const accept =
      'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,' +
      'text/plain;version=0.0.4;q=0.3'
    const reply = await get('/v1/metrics', { accept })
    expect(reply.headers['content-type']).toMatch(
      /^application\/vnd\.google\.protobuf; ?proto=io\.prometheus\.client\.MetricFamily; ?encoding=delimited$/,
    )
    const families = readFamilies(reply.rawBody)
    expectFamilies(families)
    expect(families.map(({ name, help, type, series }) => [name, help, type, series.length])).toEqual(
      text.map(({ name, help, type, series }) => [name, help, type, series.length]),
    )
    const counters = (all: readonly Family[]) =>
      all.filter(({ name }) => /_request_(error|success)$/.test(name))
    expect(counters(families)).toEqual(counters(text))
  })

  test.each(['*/*', 'text/html', 'application/openmetrics-text; version=1.0.0', 'application/json', ''])(
    "metrics are text for who accepts '%s'",
    async (accept) => {
      const reply = await get('/v1/metrics', { accept })
      expect([reply.status, reply.headers['content-type']]).toEqual([
        200,
        'text/plain; version=0.0.4; charset=utf-8; escaping=underscores',
      ])
    },
  )
})

interface Family {
  readonly name: string
  readonly help: string
  readonly type: string
  /** By labels, as in the text format. */
  readonly series: readonly (readonly [labels: string, value: number])[]
}

const REQUIRED_FAMILIES = [
  'kes_http_request_active gauge',
  'kes_http_request_error counter',
  'kes_http_request_success counter',
  'kes_http_response_time histogram',
  'kes_log_audit_events counter',
  'kes_log_error_events counter',
  'kes_system_mem_heap_used gauge',
  'kes_system_num_cpu gauge',
  'kes_system_num_cpu_used gauge',
  'kes_system_up_time gauge',
]

/** KES's clients fail on a family without sample, or with several of them but for the counters of requests. */
function expectFamilies(families: readonly Family[]): void {
  const names = families.map(({ name }) => name)
  expect(names).toEqual([...names].sort())
  expect(families.map(({ name, type }) => `${name} ${type}`)).toEqual(
    expect.arrayContaining(REQUIRED_FAMILIES),
  )
  expect(names).not.toContain('kes_http_request_failure') // It has no sample yet.
  for (const { name, help, type, series } of families) {
    expect(name).toMatch(/^kes_(?:http|log|system)_[a-z_]+$/)
    expect(help).not.toBe('')
    expect(series.length).toBeGreaterThan(0)
    if (/^kes_http_request_(?:success|error|failure)$/.test(name)) {
      for (const [labels] of series) expect(labels).toMatch(/^\{code="[245]\d\d"\}$/)
    } else if (type !== 'histogram') expect(series.map(([labels]) => labels)).toEqual([''])
    for (const [, value] of series) expect(value).toBeGreaterThanOrEqual(0)
  }
  const histogram = families.find(({ type }) => type === 'histogram')?.series ?? []
  expect(histogram.map(([labels]) => labels)).toEqual([
    ...['0.01', '0.05', '0.1', '0.25', '0.5', '1', '1.5', '3', '5', '10', '+Inf'].map(
      (le) => `_bucket{le="${le}"}`,
    ),
    '_sum',
    '_count',
  ])
  const buckets = histogram.filter(([labels]) => labels.startsWith('_bucket')).map(([, value]) => value)
  expect(buckets).toEqual([...buckets].sort((a, b) => a - b))
  expect(buckets.at(-1)).toBe(histogram.at(-1)?.[1])
}

/** The text format, strictly: HELP, TYPE and samples of one family after the other. */
function readText(text: string): Family[] {
  expect(text.endsWith('\n')).toBe(true)
  const families: Family[] = []
  for (const block of text.trimEnd().split(/^(?=# HELP )/m)) {
    const [, name = '', help = ''] = /^# HELP (\S+) (.*)\n/.exec(block) ?? []
    const [, typed = '', type = ''] = /^# TYPE (\S+) (\S+)\n/m.exec(block) ?? []
    expect(typed).toBe(name)
    const lines = block.trimEnd().split('\n').slice(2)
    const series = lines.map((line) => {
      const [, labels = '', value = ''] = new RegExp(`^${name}(\\S*) (\\S+)$`).exec(line) ?? []
      expect(value).not.toBe('')
      return [labels, Number(value)] as const
    })
    families.push({ name, help, type, series })
  }
  return families
}

async function counters(at: TestServer): Promise<Record<string, number>> {
  const families = readText(textOf(await at.request('GET', '/v1/metrics')))
  const counted: Record<string, number> = {}
  for (const { name, series } of families) {
    for (const [labels, value] of series) {
      if (/^kes_http_request_/.test(name) || (name === 'kes_http_response_time' && labels === '_count')) {
        counted[`${name.replace(/^kes_http_/, '')}${labels}`] = value
      }
    }
  }
  return counted
}

describe('metrics', () => {
  const NONE = { request_active: 0, response_time_count: 0 }

  test.each(PROTOCOLS)(
    'over %s, requests that passed the policy are counted, and no others',
    async (protocol) => {
      const as = await clientOf('counted nobody')
      await using fresh = await startTestServer({ keys: ['a'], api: { '/v1/ready': { skipAuth: true } } })
      const ask = (method: string, path: string, options = {}) =>
        fresh.request(method, path, { protocol, ...options })

      for (const path of [
        '/version',
        '/v1/ready',
        '/v1/status',
        '/v1/metrics',
        '/v1/api',
        '/nope',
        '/v1/key/list',
      ]) {
        await ask('GET', path)
      }
      for (const path of ['/version', '/v1/key/list/']) await ask('PUT', path)
      for (const path of ['/v1/key/list/', '/v1/key/describe/a', '/v1/policy/list/']) {
        await ask('GET', path, { as })
        await ask('GET', path, { as: null })
      }
      expect(await counters(fresh)).toEqual(NONE)

      for (const path of [
        '/v1/key/list/',
        '/v1/policy/list/',
        '/v1/identity/list/',
        '/v1/identity/self/describe',
      ]) {
        expect((await ask('GET', path)).status).toBe(200)
      }
      for (const api of ['create', 'enable', 'generate', 'disable', 'generate'])
        await ask('PUT', `/v1/key/${api}/b`)
      await ask('GET', '/v1/key/describe/nope')
      await ask('GET', '/v1/key/describe/no.name')
      await ask('GET', '/v1/identity/self/describe', { as })
      await ask('PUT', '/v1/key/encrypt/a', { body: '{' })
      await ask('PUT', '/v1/key/import/c', { body: '{"cipher":"x"}' })
      expect(await counters(fresh)).toEqual({
        request_active: 0,
        response_time_count: 14,
        'request_success{code="200"}': 8,
        'request_error{code="400"}': 2,
        'request_error{code="403"}': 1,
        'request_error{code="404"}': 2,
        'request_error{code="406"}': 1,
      })
    },
  )

  test('a request under way is active, until it is answered', async () => {
    await using fresh = await startTestServer({ keys: ['a'] })
    const head = 'PUT /v1/key/encrypt/a HTTP/1.1\r\nHost: kes\r\nContent-Length: 20\r\n\r\n'
    const open = async () => {
      const socket = await fresh.connect({ ALPNProtocols: ['http/1.1'] })
      socket.write(head)
      return socket
    }
    const first = await open()
    await expect.poll(() => counters(fresh)).toMatchObject({ request_active: 1, response_time_count: 0 })
    const second = await open()
    await expect.poll(() => counters(fresh)).toMatchObject({ request_active: 2 })
    first.destroy()
    await expect.poll(() => counters(fresh)).toMatchObject({ request_active: 1 })
    second.destroy()
    await expect.poll(() => counters(fresh)).toEqual(NONE)
  })
})

test('a timeout of the config shows in the list of APIs, in whole seconds', async () => {
  await using slow = await startTestServer({
    api: {
      '/v1/status': { timeoutMs: 90_000 },
      '/v1/key/create/': { timeoutMs: 2_900 },
      '/v1/key/list/': { timeoutMs: 900 },
      '/v1/key/hmac/': { timeoutMs: 0 },
      '/v1/log/audit': { skipAuth: true },
    },
  })
  const rows = jsonOf<{ path: string; timeout: number }[]>(await slow.request('GET', '/v1/api'))
  const timeouts = Object.fromEntries(rows.map(({ path, timeout }) => [path, timeout]))
  expect(timeouts).toMatchObject({
    '/v1/status': 90,
    '/v1/key/create/': 2,
    '/v1/key/list/': 0,
    '/v1/key/hmac/': 15,
    '/v1/log/audit': 0,
  })
})
