/** Listings of keys: prefixes, pages, details; and what KES's own recordings show of them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readVectors } from '../read-vectors.ts'
import { clientOf } from '../sandbox/certificates.ts'
import { type PreparedStore, prepareStore } from '../sandbox/prepared-store.ts'
import { PROTOCOLS, type Protocol, startTestServer, type TestServer } from '../sandbox/server.ts'
import { apiHeadersOf, expectError, jsonOf, NOT_ALLOWED, textOf } from './replies.ts'

interface Page {
  readonly names: string[]
  readonly continue_at?: string
}

interface Recorded {
  readonly count: number
  readonly extra: readonly string[] | null
  readonly prefix: string
  readonly returned: number
  readonly first?: string
  readonly last?: string
  /** Empty: KES's listing is complete. */
  readonly continue_at: string
}

/** What KES's clients read of one reply. */
const REPLY_BYTES_MAX = 1024 * 1024

const keyNumber = (index: number) => `key-${String(index).padStart(4, '0')}`
const namesOf = (count: number) => Array.from({ length: count }, (_, index) => keyNumber(index))

async function list(server: TestServer, argument: string, protocol: Protocol): Promise<Page> {
  const reply = await server.request('GET', `/v1/key/list/${argument}`, { protocol })
  expect(reply.status).toBe(200)
  expect(reply.rawBody.length).toBeLessThan(REPLY_BYTES_MAX)
  return jsonOf<Page>(reply)
}

/** As a client follows pages: `continue_at` is the next argument. */
async function listAll(server: TestServer, argument: string, protocol: Protocol): Promise<Page[]> {
  const pages = [await list(server, argument, protocol)]
  for (;;) {
    const next = pages.at(-1)?.continue_at
    if (next === undefined) return pages
    expect(next).not.toBe('')
    pages.push(await list(server, encodeURIComponent(next), protocol))
  }
}

const stores: PreparedStore[] = []
afterAll(() => {
  for (const store of stores) store[Symbol.dispose]()
})

function storeOf(names: readonly string[]): PreparedStore {
  const store = prepareStore(names.map((name) => ({ name })))
  stores.push(store)
  return store
}

describe('as recorded from KES', () => {
  const { rows } = readVectors<{ rows: Recorded[] }>('listing.json')
  const groups = Object.entries(
    Object.groupBy(rows, ({ count, extra }) => `${count} keys and ${extra ?? 'no others'}`),
  )

  test.each(groups)('of %s', async (_, recorded = []) => {
    const { count = 0, extra = null } = recorded[0] ?? {}
    const stored = [...namesOf(count), ...(extra ?? [])].sort()
    await using server = await startTestServer(storeOf(stored))
    for (const { prefix, returned, first, last, continue_at } of recorded) {
      for (const protocol of PROTOCOLS) {
        // The recordings are of the store, which takes any prefix; an argument that ends in `-` needs the star.
        const pages = await listAll(server, prefix.endsWith('-') ? `${prefix}*` : prefix, protocol)
        const names = pages.flatMap((page) => page.names)
        // Where KES cuts a page, the rest is lost to its clients; here the pages together have it all.
        expect(names).toEqual(stored.filter((name) => name.startsWith(prefix)))
        if (continue_at !== '') continue
        expect(pages).toHaveLength(1)
        expect([names.length, names[0], names.at(-1)]).toEqual([returned, first, last])
        expect(pages[0]).not.toHaveProperty('continue_at')
      }
    }
  })
})

describe('of few keys', () => {
  let server: TestServer
  const names = ['A', 'Z', '_a', 'a', 'a-b', 'a0', 'aB', 'a_', 'ab', 'b', 'my-1', 'my-2', 'my1', 'my_', 'z']

  beforeAll(async () => {
    server = await startTestServer({ keys: names })
  })

  afterAll(() => server.stop())

  describe.each(PROTOCOLS)('over %s', (protocol) => {
    test('the names stand in the order of their bytes', async () => {
      expect([...names].sort()).toEqual(names)
      const reply = await server.request('GET', '/v1/key/list/', { protocol })
      expect(textOf(reply)).toBe(`{"names":${JSON.stringify(names)}}\n`)
      expect(apiHeadersOf(reply)).toEqual({
        'content-type': 'application/json',
        'content-length': String(reply.rawBody.length),
      })
    })

    test.each([
      ['', names],
      ['*', names],
      ['a', ['a', 'a-b', 'a0', 'aB', 'a_', 'ab']],
      ['a*', ['a', 'a-b', 'a0', 'aB', 'a_', 'ab']],
      ['a-*', ['a-b']],
      ['my-*', ['my-1', 'my-2']],
      ['my', ['my-1', 'my-2', 'my1', 'my_']],
      ['my_', ['my_']],
      ['my-1', ['my-1']],
      ['_*', ['_a']],
      ['__', []],
      ['none', []],
      ['none*', []],
      ['zz', []],
      ['%61%2A', ['a', 'a-b', 'a0', 'aB', 'a_', 'ab']],
    ])('the argument %j gives %j', async (argument, expected) => {
      expect(await list(server, argument, protocol)).toEqual({ names: expected })
    })

    test.each(readVectors<{ rows: { input: string; valid_pattern: boolean }[] }>('names.json').rows)(
      'the argument $input is valid: $valid_pattern',
      async ({ input, valid_pattern }) => {
        const path = `/v1/key/list/${encodeURIComponent(input)}`
        if (/(^|\/)\.{1,2}(\/|$)/.test(path)) return // Cleaned away before there is an argument.
        const reply = await server.request('GET', path, { protocol })
        const message = `listing pattern '${input}' is empty, too long or is invalid`
        if (valid_pattern) expect(reply.status).toBe(200)
        else
          expect([reply.status, JSON.parse(textOf(reply))]).toEqual([
            400,
            { message, code: 'InvalidPattern' },
          ])
      },
    )

    test.each(['a**', 'a*-', 'a*b*', '*_', 'a*b/c', '-*a', `a*${'b'.repeat(81)}`])(
      'a continuation that none was given is refused: %s',
      async (argument) => {
        const reply = await server.request('GET', `/v1/key/list/${argument}`, { protocol })
        expect([reply.status, JSON.parse(textOf(reply)).code]).toEqual([400, 'InvalidPattern'])
      },
    )

    test('details describe each key as describe does', async () => {
      const { keys, ...rest } = jsonOf<{ keys: { name: string }[] }>(
        await server.request('GET', '/v1/key/list/a*?details=true', { protocol }),
      )
      expect(rest).toEqual({})
      expect(keys.map(({ name }) => name)).toEqual(['a', 'a-b', 'a0', 'aB', 'a_', 'ab'])
      for (const key of keys) {
        expect(key).toEqual(jsonOf(await server.request('GET', `/v1/key/describe/${key.name}`, { protocol })))
      }
    })
  })

  test('without keys the list is empty, not null', async () => {
    await using empty = await startTestServer()
    for (const argument of ['', '*', 'a', 'a*']) {
      expect(textOf(await empty.request('GET', `/v1/key/list/${argument}`))).toBe('{"names":[]}\n')
    }
  })
})

describe('of many keys', () => {
  const COUNT = 12_500
  const stored = [
    ...Array.from({ length: COUNT }, (_, index) => `many-${String(index).padStart(73, '0')}`),
    'z',
  ].sort()
  let server: TestServer

  beforeAll(async () => {
    server = await startTestServer({ ...storeOf(stored), policies: await policies() })
  })

  afterAll(() => server.stop())

  const policies = async () => ({
    many: { allow: ['/v1/key/list/many*'], identities: [(await clientOf('many')).identity] },
    all: { allow: ['/v1/key/list/'], identities: [(await clientOf('all')).identity] },
    few: {
      allow: ['/v1/key/list/*'],
      deny: ['/v1/key/list/many*'],
      identities: [(await clientOf('few')).identity],
    },
  })

  test.each(PROTOCOLS)(
    'over %s, pages have every key once, in order, and fit the clients of KES',
    async (protocol) => {
      for (const argument of ['', '*', 'many', 'many-*']) {
        const pages = await listAll(server, argument, protocol)
        const prefix = argument.replace('*', '')
        expect(pages.flatMap(({ names }) => names)).toEqual(stored.filter((name) => name.startsWith(prefix)))
        expect(pages.length).toBeGreaterThan(1)
      }
    },
  )

  test('a continuation is no name and no prefix that KES knows, so that nobody takes it for one', async () => {
    const { continue_at } = await list(server, '', 'h2')
    expect(continue_at).toMatch(/^\*many-0+\d+$/)
    const [first = ''] = stored
    const { names } = await list(server, `*${first}`, 'h2')
    expect(names[0]).toBe(stored[1])
  })

  test('pages of details have every key once, in order, and fit the clients of KES', async () => {
    const found: string[] = []
    let argument = 'many-*'
    for (let pages = 0; pages < 3; pages += 1) {
      const reply = await server.request('GET', `/v1/key/list/${argument}?details=true`)
      expect(reply.rawBody.length).toBeLessThan(REPLY_BYTES_MAX)
      const page = jsonOf<{ keys: { name: string }[]; continue_at: string }>(reply)
      found.push(...page.keys.map(({ name }) => name))
      argument = encodeURIComponent(page.continue_at)
    }
    expect(found.length).toBeGreaterThan(1000)
    expect(found).toEqual(stored.slice(0, found.length))
  })

  test.each(PROTOCOLS)(
    'over %s, who may list a prefix may follow its pages, and no others',
    async (protocol) => {
      const [many, all, few] = [await clientOf('many'), await clientOf('all'), await clientOf('few')]
      const last = String(stored[9])
      const ask = async (as: typeof many, argument: string) =>
        (await server.request('GET', `/v1/key/list/${argument}`, { protocol, as })).status
      expect(await ask(many, 'many*')).toBe(200)
      expect(await ask(many, `many*${last}`)).toBe(200)
      expect(await ask(many, `many-*${last}`)).toBe(200)
      expect(await ask(many, '')).toBe(403)
      expect(await ask(many, `*${last}`)).toBe(403)
      expect(await ask(many, `*many-*${last}`)).toBe(403)
      expect(await ask(all, '')).toBe(200)
      expect(await ask(all, `*${last}`)).toBe(200)
      expect(await ask(all, `many*${last}`)).toBe(403)
      expect(await ask(few, 'many')).toBe(403)
      expect(await ask(few, `many*${last}`)).toBe(403)
      const refused = await server.request('GET', '/v1/key/list/many*?details=true', { protocol, as: few })
      expectError(refused, 403, NOT_ALLOWED, 'NotAllowed')
    },
  )

  test('a pattern changes them all in one call', async () => {
    const reply = await server.request('PUT', '/v1/key/disable/many-*')
    expect(textOf(reply)).toBe(`{"matched":${COUNT},"changed":${COUNT}}\n`)
    const { keys } = jsonOf<{ keys: { state: string }[] }>(
      await server.request('GET', `/v1/key/list/many-*${stored[11_900]}?details=true`),
    )
    expect(new Set(keys.map(({ state }) => state))).toEqual(new Set(['disabled']))
  })
})
