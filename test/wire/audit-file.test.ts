/** The audit file over the wire: an event stands in it before its reply is here, and `kes audit verify` proves it. */
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuditFileConfig } from '../../packages/kes-server/src/config/config.ts'
import { OFF } from '../../packages/kes-server/src/config/log-level.ts'
import { runKes } from '../kes-cli/harness.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { PROTOCOLS } from '../sandbox/connection.ts'
import { type PreparedStore, prepareStore } from '../sandbox/prepared-store.ts'
import { startTestServer, type TestServer } from '../sandbox/server.ts'
import { openLog } from './log-stream.ts'
import { jsonOf } from './replies.ts'

let folder: string
let store: PreparedStore

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'latchkey-audit-'))
  store = prepareStore([{ name: 'my-key' }])
})

afterEach(() => {
  rmSync(folder, { recursive: true })
  store[Symbol.dispose]()
})

const file = (name: string) => join(folder, name)

function start(options: Partial<AuditFileConfig> = {}): Promise<TestServer> {
  const auditFile = {
    path: file('audit.jsonl'),
    maxBytes: 1e9,
    maxAgeMs: 1e9,
    keep: undefined,
    headIntervalMs: 1000,
    ...options,
  }
  return startTestServer({ keystore: store.keystore, log: { auditFile, auditLevel: OFF } })
}

const auditFiles = () =>
  readdirSync(folder)
    .filter((name) => name.startsWith('audit-'))
    .map(file)

interface Line {
  readonly msg: string
  readonly req?: { readonly method: string; readonly path: string; readonly identity: string }
  readonly res?: { readonly code: number }
}

const lines = (): Line[] =>
  auditFiles().flatMap((path) =>
    readFileSync(path, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line)),
  )

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test.each([
    ['a use of a key', 'PUT', '/v1/key/generate/my-key', 200],
    ['a change', 'PUT', '/v1/key/disable/my-key', 200],
    ['an erasure', 'DELETE', '/v1/key/delete/my-key', 200],
    ['a refusal', 'GET', '/v1/key/describe/none', 404],
    ['an unknown path', 'GET', '/v1/nothing', 404],
    ['a wrong method', 'GET', '/v1/key/create/my-key', 405],
    ['a redirection', 'GET', '/v1//status', 307],
    ['the version', 'GET', '/version', 200],
  ])('%s is in the file when its reply is here', async (_, method, path, status) => {
    await using server = await start()
    const reply = await server.request(method, path, { protocol })
    const last = lines().at(-1)
    expect([reply.status, last?.res?.code, last?.req?.method]).toEqual([status, status, method])
    expect(last?.req).toMatchObject({ path, identity: server.admin.identity })
  })

  test('a stranger is in the file, too', async () => {
    await using server = await start()
    const stranger = await clientOf('stranger')
    const { status } = await server.request('PUT', '/v1/key/generate/my-key', { protocol, as: stranger })
    expect([status, lines().at(-1)]).toMatchObject([
      403,
      { req: { identity: stranger.identity }, res: { code: 403 } },
    ])
  })

  test('an opened log stream is in the file, and delivers what is', async () => {
    await using server = await start()
    const log = await openLog(server, 'audit', protocol)
    expect(lines().at(-1)).toMatchObject({ req: { path: '/v1/log/audit' }, res: { code: 200 } })
    await server.request('GET', '/version', { protocol })
    await expect.poll(() => log.lines()).toMatchObject([{ request: { path: '/version' } }])
    log.close()
  })
})

test('every one of many requests at a time has its event, in one chain over all files', async () => {
  {
    await using server = await start({ maxBytes: 20_000 })
    const replies = await Promise.all(
      Array.from({ length: 400 }, (_, number) => {
        const api = number % 4 === 0 ? `create/key-${number}` : 'generate/my-key'
        const protocol = PROTOCOLS[number % 2] ?? 'h2'
        return server.request('PUT', `/v1/key/${api}`, { protocol })
      }),
    )
    expect(replies.every(({ status }) => status === 200)).toBe(true)
  }
  expect(lines().filter(({ req }) => req !== undefined)).toHaveLength(400)
  expect(auditFiles().length).toBeGreaterThan(4)
})

describe('kes audit verify', () => {
  /** Some history over a restart. @returns the command line. */
  async function someHistory(): Promise<string[]> {
    for (let run = 0; run < 2; run += 1) {
      await using server = await start({ maxBytes: 2000 })
      for (let count = 0; count < 10; count += 1) await server.request('PUT', '/v1/key/generate/my-key')
    }
    await using server = await startTestServer({ keystore: store.keystore })
    const { entries } = jsonOf<{ entries: object[] }>(await server.request('GET', '/v1/journal/entries'))
    writeFileSync(file('journal'), entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''))
    const { public_key } = jsonOf<{ public_key: string }>(await server.request('GET', '/v1/journal/head'))
    writeFileSync(file('key.pub'), public_key)
    return ['audit', 'verify', '--public-key', file('key.pub'), '--journal', file('journal'), ...auditFiles()]
  }

  test('proves what a server wrote, and says up to where', async () => {
    const verify = await someHistory()
    const last = lines().length
    expect(await runKes(verify)).toMatchObject({
      code: 0,
      stdout: `Events 1 to ${last} verified, up to the signed head of event ${last}\n`,
      stderr: '',
    })
    expect(JSON.parse((await runKes([...verify, '--json'])).stdout)).toEqual({
      verified: true,
      files: auditFiles().length,
      first: 1,
      last,
      signed: last,
      torn_bytes: 0,
    })
  })

  test('names the file and the line of what was changed', async () => {
    const verify = await someHistory()
    const [, second = ''] = auditFiles()
    const text = readFileSync(second, 'utf8')
    writeFileSync(second, text.replace('"code":200', '"code":403'))
    const { code, stdout } = await runKes(verify)
    expect([code, stdout]).toEqual([
      1,
      'The audit log is broken: audit-00000002.jsonl, line 2: it was changed\n',
    ])
    const seq = JSON.parse(text.split('\n')[1] ?? '').seq
    expect(JSON.parse((await runKes([...verify, '--json'])).stdout)).toEqual({
      verified: false,
      file: 'audit-00000002.jsonl',
      line: 2,
      first: seq,
      last: seq,
      problem: 'audit-00000002.jsonl, line 2: it was changed',
    })
  })

  test('says what a server was writing, and forgives it', async () => {
    const verify = await someHistory()
    appendFileSync(auditFiles().at(-1) ?? '', '{"seq":')
    const { code, stdout } = await runKes(verify)
    expect([code, stdout]).toEqual([
      0,
      expect.stringContaining('ends in 7 bytes of a line that is not whole'),
    ])
    const [first = ''] = auditFiles()
    appendFileSync(first, '{"seq":')
    expect((await runKes(verify)).stdout).toMatch(
      /audit-00000001.jsonl, line \d+: it ends without a whole line/,
    )
  })

  test('misses files that were removed, unless they are kept elsewhere', async () => {
    const verify = await someHistory()
    const [first = '', second = ''] = auditFiles()
    const without = (path: string) => verify.filter((word) => word !== path)
    expect((await runKes(without(second))).stdout).toMatch(/events \d+ to \d+ are missing/)
    expect((await runKes(without(first))).stdout).toMatch(/events 1 to \d+ are missing/)
    const from = lines().length - readFileSync(first, 'utf8').split('\n').length
    expect((await runKes([...without(first), '--from', String(from)])).code).toBe(0)
  })

  test('does not trust a journal that was changed, or that of another server', async () => {
    const verify = await someHistory()
    writeFileSync(file('journal'), readFileSync(file('journal'), 'utf8').replace('"number":3', '"number":4'))
    expect(await runKes(verify)).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/^The journal is broken: entry 3: /),
    })
    const { stdout } = await runKes([...verify, '--json'])
    expect(JSON.parse(stdout)).toMatchObject({ verified: false, journal_entry: 3 })
    const [setUp = ''] = readFileSync(file('journal'), 'utf8').split('\n')
    writeFileSync(file('journal'), `${setUp}\n`)
    expect((await runKes(verify)).stderr).toMatch(/has no head of an audit file/)
  })

  test.each([
    ['', 'no audit file specified'],
    ['x', 'no public key specified'],
    ['x --public-key x', 'no journal specified'],
    ['x --public-key x --journal x --from 0', 'invalid argument "0" for "--from" flag'],
  ])('kes audit verify %s is refused: %s', async (words, message) => {
    const { code, stderr } = await runKes(['audit', 'verify', ...words.split(' ').filter(Boolean)])
    expect([code, stderr]).toEqual([1, expect.stringContaining(message)])
  })
})
