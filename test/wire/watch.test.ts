/** `GET /v1/key/watch/`: what a reader is told, and that nothing is missing between the snapshot and the changes. */
import { afterEach, describe, expect, test } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, type Protocol, startTestServer, type TestServer } from '../sandbox/server.ts'
import { type LogReader, openLines } from './log-stream.ts'
import { expectError, jsonOf, NOT_ALLOWED } from './replies.ts'

interface Line {
  readonly event: string
  readonly name?: string
  readonly state?: string
  readonly epoch?: number
  readonly action?: string
}

const readers: LogReader[] = []

afterEach(() => {
  for (const reader of readers.splice(0)) reader.close()
})

async function watch(server: TestServer, prefix: string, protocol: Protocol = 'h2'): Promise<LogReader> {
  const reader = await openLines(server, `/v1/key/watch/${prefix}`, protocol)
  readers.push(reader)
  return reader
}

const put = (server: TestServer, path: string) => server.request('PUT', `/v1/key/${path}`)

function linesOf(reader: LogReader): Line[] {
  return (reader.lines() as Line[]).filter(({ event }) => event !== 'heartbeat')
}

const shown = ({ event, name, state }: Line) => [event, name, state].filter((part) => part !== undefined)

describe.each(PROTOCOLS)('over %s', (protocol) => {
  test('a reader is told the keys of its prefix, the end of them, and then each change of one', async () => {
    await using server = await startTestServer()
    for (const name of ['app-2', 'app-1', 'other']) await put(server, `create/${name}`)
    await put(server, 'disable/app-1')
    const reader = await watch(server, 'app-*', protocol)
    expect([reader.status, reader.headers['content-type']]).toEqual([200, 'application/x-ndjson'])
    await expect
      .poll(() => linesOf(reader).map(shown))
      .toEqual([['snapshot', 'app-1', 'disabled'], ['snapshot', 'app-2', 'enabled'], ['snapshot-end']])

    await put(server, 'enable/app-1')
    await put(server, 'disable/other')
    await put(server, 'create/app-3')
    await server.request('DELETE', '/v1/key/delete/app-3?after=7d')
    await put(server, 'cancel-deletion/app-3')
    await server.request('DELETE', '/v1/key/delete/app-2')
    await put(server, 'disable/app*')
    await expect
      .poll(() => linesOf(reader).slice(3).map(shown))
      .toEqual([
        ['change', 'app-1', 'enabled'],
        ['change', 'app-3', 'enabled'],
        ['change', 'app-3', 'pending'],
        ['change', 'app-3', 'disabled'],
        ['change', 'app-2', 'erased'],
        ['change', 'app-1', 'disabled'],
      ])
    const { entries } = jsonOf<{ entries: { number: number }[] }>(
      await server.request('GET', '/v1/key/history/app-3'),
    )
    const told = linesOf(reader).filter(({ name }) => name === 'app-3')
    expect(told.map(({ epoch, action }) => [epoch, action])).toEqual([
      [entries[0]?.number, 'create'],
      [entries[1]?.number, 'schedule'],
      [entries[2]?.number, 'cancel'],
    ])
    expect(told[1]).toHaveProperty('deletion_at')
  })
})

test('nothing is lost between snapshot and changes: at the end of the snapshot each key is as the journal says', async () => {
  const names = Array.from({ length: 3000 }, (_, index) => `key-${String(index).padStart(4, '0')}`)
  using store = prepareStore(names.map((name) => ({ name })))
  await using server = await startTestServer(store)
  let isOver = false
  const change = async (from: number) => {
    // Keys in front of, at and behind the page that is being read; some are erased, some made.
    for (let index = from; !isOver; index = (index * 7 + 11) % 3000) {
      const name = names[index]
      await put(server, `${index % 2 === 0 ? 'disable' : 'enable'}/${name}`)
      if (index % 5 === 0) await server.request('DELETE', `/v1/key/delete/${name}`)
      if (index % 3 === 0) await put(server, `create/late-${index}`)
    }
  }
  const changing = [change(1), change(500), change(2999)]
  const watched: LogReader[] = []
  for (let count = 0; count < 4; count += 1) {
    const reader = await watch(server, '', PROTOCOLS[count % 2])
    watched.push(reader)
    await expect
      .poll(() => linesOf(reader).some(({ event }) => event === 'snapshot-end'), { timeout: 30_000 })
      .toBe(true)
  }
  isOver = true
  await Promise.all(changing)
  const journal = await readJournal(server)
  const head = journal.at(-1)?.epoch ?? 0

  for (const reader of watched) {
    await expect.poll(() => linesOf(reader).at(-1)?.epoch).toBe(head)
    const lines = linesOf(reader)
    const end = lines.findIndex(({ event }) => event === 'snapshot-end')
    const epoch = lines[end]?.epoch ?? 0
    expect(statesOf(lines.slice(0, end))).toEqual(statesOf(journal.filter((entry) => entry.epoch <= epoch)))
    // From there on: every change, once, in order.
    const rest = lines.slice(end + 1)
    expect(rest.map((line) => [line.event, line.name, line.state, line.epoch])).toEqual(
      journal
        .filter((entry) => entry.epoch > epoch)
        .map((entry) => ['change', entry.name, entry.state, entry.epoch]),
    )
  }
  const during = watched.map((reader) => linesOf(reader).findIndex(({ event }) => event === 'snapshot-end'))
  expect(Math.max(...during)).toBeGreaterThan(3000) // Some changes came while a snapshot was read.
})

/** The state of each key that is there, by the last line about it. */
function statesOf(lines: readonly { name?: string; state?: string }[]): Map<string, string> {
  const states = new Map<string, string>()
  for (const { name = '', state = '' } of lines) {
    if (state === 'erased') states.delete(name)
    else states.set(name, state)
  }
  return new Map([...states].sort())
}

/** What the journal says, which is the truth: one key's history after the other. */
async function readJournal(server: TestServer): Promise<{ epoch: number; name: string; state: string }[]> {
  const { decodeEntry } = await import('../../packages/kes-server/src/journal/entry.ts')
  const found: { epoch: number; name: string; state: string }[] = []
  for (let after: number | undefined = 0; after !== undefined; ) {
    const page: { entries: { entry: string }[]; continue_at?: number } = jsonOf(
      await server.request('GET', `/v1/journal/entries?after=${after}`),
    )
    for (const { entry } of page.entries) {
      const { number, name, state } = decodeEntry(Buffer.from(entry, 'base64'))
      if (name !== '') found.push({ epoch: number, name, state })
    }
    after = page.continue_at
  }
  return found
}

test('a watch needs the right to its path, and a prefix that can be one', async () => {
  const app = await clientOf('app')
  await using server = await startTestServer({
    policies: { app: { allow: ['/v1/key/watch/app*'], identities: [app.identity] } },
  })
  for (const protocol of PROTOCOLS) {
    const refused = await server.request('GET', '/v1/key/watch/other', { as: app, protocol })
    expectError(refused, 403, NOT_ALLOWED, 'NotAllowed')
    const odd = await server.request('GET', '/v1/key/watch/a%20b', { protocol })
    expect([odd.status, JSON.parse(odd.rawBody.toString()).code]).toEqual([400, 'InvalidPattern'])
    const reader = await openLines(server, '/v1/key/watch/app', protocol, { as: app })
    readers.push(reader)
    expect(reader.status).toBe(200)
  }
})

test('a server that stops ends its watches', async () => {
  const server = await startTestServer()
  const reader = await watch(server, '')
  await expect.poll(() => linesOf(reader)).toHaveLength(1)
  await server.stop()
  await expect.poll(() => reader.isClosed()).toBe(true)
})

test('each watch has its audit event', async () => {
  await using server = await startTestServer()
  await watch(server, 'app')
  await expect
    .poll(() => server.auditLog().map(({ req, res }) => [req?.path, res?.code]))
    .toEqual([['/v1/key/watch/app', 200]])
})
