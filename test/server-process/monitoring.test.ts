/** Latchkey's own metrics, and the dashboard, rules and documentation that name them. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { makeCertificate } from '@latchkey/kms-client'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { authorityOf, clientOf, credentialsOf, keyPairOf } from '../sandbox/certificates.ts'
import { Installation } from './installation.ts'
import { requireOfServer, type ServerProcess } from './server-process.ts'

const DOCS = resolve(import.meta.dirname, '../../docs/monitoring')
const PATH = '/v1/metrics/latchkey'
const DAY_MS = 86_400_000

let installation: Installation

beforeEach(async () => {
  const { identity } = await clientOf('scraper')
  const policies = { scraper: { allow: ['/v1/metrics*'], identities: [identity] } }
  installation = await Installation.make({ keys: ['a', 'b', 'c', 'd'], policies, audit: { stdout: 'off' } })
})

afterEach(() => installation[Symbol.dispose]())

/** Values by series, as Prometheus's text format has them. */
async function scrape(server: ServerProcess, path = PATH): Promise<ReadonlyMap<string, number>> {
  const reply = await server.request('GET', path, { as: await clientOf('scraper') })
  expect(reply.status).toBe(200)
  expect(reply.headers['content-type']).toContain('text/plain; version=0.0.4')
  const samples = reply.rawBody
    .toString()
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(samples.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])]))
}

/** Without labels; the parts of a histogram are one. */
const familyOf = (series: string) => series.replace(/\{.*/, '').replace(/_(?:bucket|sum|count)$/, '')
const familiesIn = (text: string) => new Set((text.match(/\b(?:kes|latchkey)_[a-z_]+/g) ?? []).map(familyOf))

const start = (workers: number) =>
  installation.start(['--config', installation.configFile, '--workers', String(workers)])

describe.each([1, 2])('a server of %i processes that serve', (workers) => {
  test('the metrics tell of keys, journal, audit file, certificate, processes and reloads', async () => {
    await using server = await start(workers)
    for (const [method, path] of [
      ['PUT', '/v1/key/disable/a'],
      ['DELETE', '/v1/key/delete/b'],
      ['DELETE', '/v1/key/delete/c?after=7d'],
    ] as const) {
      expect((await server.request(method, path)).status).toBe(200)
    }
    server.kill('SIGHUP')
    await expect.poll(() => server.stdout).toContain('after SIGHUP signal completed')
    const values = await scrape(server)
    expect(Object.fromEntries(values)).toMatchObject({
      'latchkey_keys{state="enabled"}': 1,
      'latchkey_keys{state="disabled"}': 1,
      'latchkey_keys{state="pending"}': 1,
      latchkey_erasures_pending: 0,
      latchkey_audit_accepting: 1,
      latchkey_workers: workers,
      latchkey_worker_deaths_total: 0,
      'latchkey_reloads_total{result="done"}': 1,
      'latchkey_reloads_total{result="failed"}': 0,
    })
    expect(values.get('latchkey_journal_entries_total')).toBeGreaterThanOrEqual(7)
    expect(values.get('latchkey_audit_unsigned_events')).toBeGreaterThanOrEqual(0)
    expect(values.get('latchkey_audit_head_age_seconds')).toBeGreaterThanOrEqual(0)
    expect(values.get('latchkey_barriers_total')).toBeGreaterThanOrEqual(workers > 1 ? 3 : 0)
    const endMs = (values.get('latchkey_certificate_end_timestamp_seconds') ?? 0) * 1000
    expect(Math.round((endMs - Date.now()) / DAY_MS)).toBe(90)
  })

  test('a certificate that ends within two weeks is warned of as it comes into use', async () => {
    await using server = await start(workers)
    expect(server.stderr).not.toContain('the TLS certificate')
    const keys = keyPairOf('ends soon', 'p256')
    const certificate = makeCertificate({
      subjectCommonName: 'localhost',
      publicKey: keys.publicKey,
      issuer: await authorityOf('servers'),
      dnsNames: ['localhost'],
      ipAddresses: ['127.0.0.1'],
      extendedKeyUsage: ['serverAuth'],
      validity: { notBefore: new Date(), notAfter: new Date(Date.now() + 9.5 * DAY_MS) },
    })
    const { key, cert } = credentialsOf(keys, certificate)
    installation.write('server.key', key)
    installation.write('server.crt', cert)
    const warning = /the TLS certificate ends at \S+Z, in 9 days/
    await expect.poll(() => server.stderr, { timeout: 20_000 }).toMatch(warning)
    const values = await scrape(server)
    expect(values.get('latchkey_certificate_end_timestamp_seconds')).toBe(
      certificate.validToDate.getTime() / 1000,
    )
    expect(values.get('latchkey_reloads_total{result="done"}')).toBe(1)
    installation.write('server.crt', 'nonsense')
    const failed = async () => (await scrape(server)).get('latchkey_reloads_total{result="failed"}')
    await expect.poll(failed, { timeout: 20_000 }).toBe(1)
  })
})

test('every metric that the dashboard and the rules name exists, and every own one is documented', async () => {
  await using server = await start(1)
  await server.request('GET', '/v1/key/describe/a')
  await server.request('GET', '/v1/key/describe/none')
  const own = new Set([...(await scrape(server)).keys()].map(familyOf))
  const ofKes = [...(await scrape(server, '/v1/metrics')).keys()].map(familyOf)
  const known = new Set([...own, ...ofKes, 'kes_http_request_failure']) // The last: once a request has failed.
  const read = (name: string) => readFileSync(resolve(DOCS, name), 'utf8')
  const dashboard = JSON.parse(read('grafana-dashboard.json'))
  const rules = requireOfServer('yaml').parse(read('alerts.yml'))
  for (const text of [dashboard, rules].map((document) => JSON.stringify(document))) {
    expect(familiesIn(text).size).toBeGreaterThan(5)
    expect([...familiesIn(text)].filter((name) => !known.has(name))).toEqual([])
  }
  expect([...familiesIn(read('README.md'))].sort()).toEqual([...own].sort())
  const ids = dashboard.panels.map(({ id }: { id: number }) => id)
  expect(new Set(ids).size).toBe(ids.length)
})
