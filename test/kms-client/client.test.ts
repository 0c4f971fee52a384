/** What the client sends for each call, and what it makes of the answers. */
import {
  InvalidNameError,
  InvalidPatternError,
  KesClient,
  KesClientError,
  KesConnectionError,
  KesProtocolError,
  KeyDisabledError,
  KeyExistsError,
  NotAllowedError,
} from '@latchkey/kms-client'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { type FakeServer, type Handler, readJson, sendJson, startFakeServer } from './fake-server.ts'

interface Call {
  readonly method: string
  readonly url: string
  readonly body: unknown
}

let server: FakeServer
let client: KesClient
let calls: Call[] = []
let answer: Handler = () => {}

beforeAll(async () => {
  server = await startFakeServer(async (request, response) => {
    const hasBody = request.headers['content-type'] === 'application/json'
    calls.push({
      method: request.method,
      url: request.url,
      body: hasBody ? await readJson(request) : undefined,
    })
    answer(request, response)
  })
  client = new KesClient(server)
})

afterEach(() => {
  calls = []
})

afterAll(async () => {
  await client.close()
  await server[Symbol.asyncDispose]()
})

function answerJson(value: unknown, status = 200): void {
  answer = (_, response) => sendJson(response, value, status)
}

function answerNothing(): void {
  answer = (_, response) => response.end()
}

async function collect<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const collected: Item[] = []
  for await (const item of items) collected.push(item)
  return collected
}

const HELLO = Buffer.from('hello') // aGVsbG8=
const CONTEXT = Buffer.from('ctx') // Y3R4
const KEY = Buffer.alloc(32, 1)

describe('a call without an answer of its own', () => {
  test.each([
    ['ready', () => client.ready(), 'GET', '/v1/ready', undefined],
    ['createKey', () => client.createKey('a'), 'PUT', '/v1/key/create/a', undefined],
    [
      'createKey',
      () => client.createKey('a', { reuse: true }),
      'PUT',
      '/v1/key/create/a?reuse=true',
      undefined,
    ],
    ['createKey', () => client.createKey('a', { reuse: false }), 'PUT', '/v1/key/create/a', undefined],
    [
      'importKey',
      () => client.importKey('a', KEY),
      'PUT',
      '/v1/key/import/a',
      { key: KEY.toString('base64'), cipher: 'AES256' },
    ],
    [
      'importKey',
      () => client.importKey('a', KEY, { cipher: 'ChaCha20' }),
      'PUT',
      '/v1/key/import/a',
      { key: KEY.toString('base64'), cipher: 'ChaCha20' },
    ],
    ['deleteKey', () => client.deleteKey('a'), 'DELETE', '/v1/key/delete/a', undefined],
    ['enableKey', () => client.enableKey('a'), 'PUT', '/v1/key/enable/a', undefined],
    ['disableKey', () => client.disableKey('a'), 'PUT', '/v1/key/disable/a', undefined],
  ])('%s', async (_, call, method, url, body) => {
    answerNothing()
    await expect(call()).resolves.toBeUndefined()
    expect(calls).toEqual([{ method, url, body }])
  })
})

describe('a call with bytes', () => {
  const plaintext = 'aGVsbG8='
  const ciphertext = 'Y2lwaGVy'
  const CIPHER = Buffer.from('cipher')

  test.each([
    ['generateKey', () => client.generateKey('a'), {}, { plaintext: HELLO, ciphertext: CIPHER }],
    [
      'generateKey',
      () => client.generateKey('a', CONTEXT),
      { context: 'Y3R4' },
      { plaintext: HELLO, ciphertext: CIPHER },
    ],
    ['encrypt', () => client.encrypt('a', HELLO), { plaintext }, CIPHER],
    ['encrypt', () => client.encrypt('a', HELLO, CONTEXT), { plaintext, context: 'Y3R4' }, CIPHER],
    ['encrypt', () => client.encrypt('a', new Uint8Array(0)), { plaintext: '' }, CIPHER],
    ['decrypt', () => client.decrypt('a', CIPHER), { ciphertext }, HELLO],
    ['decrypt', () => client.decrypt('a', CIPHER, CONTEXT), { ciphertext, context: 'Y3R4' }, HELLO],
    ['hmac', () => client.hmac('a', HELLO), { message: plaintext }, KEY],
  ])('%s', async (name, call, body, expected) => {
    answerJson({ plaintext, ciphertext, hmac: KEY.toString('base64') })
    await expect(call()).resolves.toEqual(expected)
    const path = name === 'generateKey' ? 'generate' : name
    expect(calls).toEqual([{ method: 'PUT', url: `/v1/key/${path}/a`, body }])
  })

  test('an empty plaintext comes back empty', async () => {
    answerJson({ plaintext: '' })
    expect(await client.decrypt('a', CIPHER)).toHaveLength(0)
  })
})

describe('keys of a pattern', () => {
  test.each([
    ['enable', () => client.enableKeys('app-*')],
    ['disable', () => client.disableKeys('app-*')],
  ])('%s', async (verb, call) => {
    answerJson({ matched: 3, changed: 1 })
    await expect(call()).resolves.toEqual({ matched: 3, changed: 1, damaged: 0, pending: 0 })
    expect(calls).toEqual([{ method: 'PUT', url: `/v1/key/${verb}/app-*`, body: undefined }])
  })

  test('a name in place of a pattern, or a pattern in place of a name, is not sent', async () => {
    await expect(client.disableKeys('app')).rejects.toThrow(InvalidPatternError)
    await expect(client.enableKeys('')).rejects.toThrow(InvalidPatternError)
    await expect(client.generateKey('../../status')).rejects.toThrow(InvalidNameError)
    await expect(collect(client.listKeys('../'))).rejects.toThrow(InvalidPatternError)
    await expect(client.disableKey('app-*')).rejects.toThrow(InvalidNameError)
    await expect(client.deleteKey('*')).rejects.toThrow(InvalidNameError)
    expect(calls).toEqual([])
  })
})

describe('policies and identities', () => {
  const times = { created_at: 'x', created_by: 'y' }

  test.each([
    ['/v1/policy/describe/p', () => client.describePolicy('p'), { name: 'p', ...times }],
    ['/v1/policy/read/p', () => client.readPolicy('p'), { name: 'p', allow: { '/a': {} }, ...times }],
    ['/v1/identity/describe/44f9', () => client.describeIdentity('44f9'), { policy: 'p', ...times }],
    [
      '/v1/identity/self/describe',
      () => client.describeSelf(),
      { identity: '44f9', admin: true, created_at: 'x' },
    ],
    ['/v1/key/describe/k', () => client.describeKey('k'), { name: 'k', algorithm: 'AES256', ...times }],
    ['/v1/status', () => client.status(), { version: 'v', os: 'linux', arch: 'amd64' }],
    ['/v1/api', () => client.apis(), []],
    ['/version', () => client.version(), { version: 'v', commit: 'c' }],
  ])('GET %s', async (url, call, reply) => {
    answerJson(reply)
    await expect(call()).resolves.toBeDefined()
    expect(calls).toEqual([{ method: 'GET', url, body: undefined }])
  })

  test('lists have their own paths and fields', async () => {
    answerJson({ names: ['p'], identities: ['44f9'], continue_at: '' })
    expect(await collect(client.listPolicies())).toEqual(['p'])
    expect(await collect(client.listIdentities('44'))).toEqual(['44f9'])
    expect(calls.map(({ url }) => url)).toEqual(['/v1/policy/list/', '/v1/identity/list/44'])
  })

  test('metrics are read from text', async () => {
    answer = (_, response) => void response.end('kes_system_up_time 1.5\n')
    expect(await client.metrics()).toMatchObject({ upTimeSeconds: 1.5, text: 'kes_system_up_time 1.5\n' })
  })
})

describe('a list of several pages', () => {
  function answerPages(pages: Record<string, { items: string[]; continueAt?: string }>): void {
    answer = (request, response) => {
      const url = new URL(request.url, 'https://server')
      const page = pages[decodeURIComponent(url.pathname.slice('/v1/key/list/'.length))]
      const details = page?.items.map((name) => ({ name, algorithm: 'AES256', created_at: 'x' }))
      const items = url.searchParams.get('details') === 'true' ? { keys: details } : { names: page?.items }
      sendJson(response, { ...items, continue_at: page?.continueAt })
    }
  }

  test('is asked for with `continue_at` as the argument until there is none', async () => {
    answerPages({
      a: { items: ['a1', 'a2'], continueAt: 'a*a2' },
      'a*a2': { items: ['a3'], continueAt: 'a*a3' },
      'a*a3': { items: [] },
    })
    expect(await collect(client.listKeys('a'))).toEqual(['a1', 'a2', 'a3'])
    expect(calls.map(({ url }) => url)).toEqual(['/v1/key/list/a', '/v1/key/list/a*a2', '/v1/key/list/a*a3'])

    const details = await collect(client.listKeyDetails('a'))
    expect(details.map(({ name }) => name)).toEqual(['a1', 'a2', 'a3'])
    expect(calls.at(-1)?.url).toBe('/v1/key/list/a*a3?details=true')
  })

  test('is asked for no further once the loop is left', async () => {
    answerPages({ '': { items: ['a1', 'a2'], continueAt: '*a2' }, '*a2': { items: ['a3'] } })
    for await (const name of client.listKeys()) if (name === 'a2') break
    expect(calls).toHaveLength(1)
  })

  test('that leads back to a page before is refused', async () => {
    answerPages({ a: { items: ['a1'], continueAt: 'b' }, b: { items: ['b1'], continueAt: 'a' } })
    await expect(collect(client.listKeys('a'))).rejects.toThrow(KesProtocolError)
    expect(calls).toHaveLength(2)
  })

  test('can not make the client call something else', async () => {
    answerPages({ a: { items: ['a1'], continueAt: '../../ready?x#y' } })
    await expect(collect(client.listKeys('a'))).rejects.toThrow(KesProtocolError)
    expect(calls.at(-1)?.url).toBe('/v1/key/list/..%2F..%2Fready%3Fx%23y')
  })

  test('that can not be understood is an error', async () => {
    answerJson({ names: ['a'] })
    await expect(collect(client.listKeyDetails())).rejects.toThrow(KesProtocolError)
    await expect(collect(client.listIdentities())).rejects.toThrow(KesProtocolError)
  })
})

describe('a refusal', () => {
  test('by a Latchkey server has the class of its code', async () => {
    answer = (_, response) => {
      response.writeHead(403, { 'content-type': 'application/json' })
      response.end('{"message":"not authorized: insufficient permissions","code":"KeyDisabled"\n}')
    }
    await expect(client.decrypt('a', HELLO)).rejects.toThrow(KeyDisabledError)
    await expect(client.decrypt('a', HELLO)).rejects.toThrow(NotAllowedError)
  })

  test('by a Go KES has the class of its status and message', async () => {
    answerJson({ message: 'key already exists' }, 400)
    const error = await client.createKey('a').catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(KeyExistsError)
    expect(error).toBeInstanceOf(KesClientError)
    expect(error).toMatchObject({ status: 400, code: 'KeyExists', message: 'key already exists' })
  })

  test('to list ends the list', async () => {
    answerJson({ message: 'not authorized: insufficient permissions' }, 403)
    await expect(collect(client.listKeys())).rejects.toThrow(NotAllowedError)
    await expect(collect(client.auditLog())).rejects.toThrow(NotAllowedError)
  })
})

describe.each(['h2', 'http/1.1'] as const)('a log over %s', (protocol) => {
  const event = (path: string): string =>
    `${JSON.stringify({ time: 'x', request: { path }, response: { code: 200, time: 1 } })}\n`

  async function withLog(handler: Handler, use: (client: KesClient) => Promise<void>): Promise<void> {
    await using logServer = await startFakeServer(handler)
    await using logClient = new KesClient({
      endpoint: logServer.endpoint,
      ca: logServer.ca,
      protocol,
      timeoutMs: 50,
    })
    await use(logClient)
  }

  test('gives each event as it comes, long after any other call would have timed out', async () => {
    const { promise: seen, resolve: see } = Promise.withResolvers<void>()
    const handler: Handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/x-ndjson' })
      response.write(event('/1') + event('/2').slice(0, 20))
      seen.then(() => setTimeout(() => response.end(event('/2').slice(20)), 100))
    }
    await withLog(handler, async (logClient) => {
      const paths: string[] = []
      for await (const { path } of logClient.auditLog()) {
        paths.push(path)
        see()
      }
      expect(paths).toEqual(['/1', '/2'])
    })
  })

  test('tells when it is open, before there is an event', async () => {
    let sent = false
    const { promise: opened, resolve: onOpen } = Promise.withResolvers<void>()
    const handler: Handler = (_, response) => {
      response.writeHead(200)
      response.write('\n')
      opened.then(() => {
        sent = true
        response.write('{"message":"m"}\n')
      })
    }
    await withLog(handler, async (logClient) => {
      for await (const { message } of logClient.errorLog({ onOpen })) {
        expect({ message, sent }).toEqual({ message: 'm', sent: true })
        break
      }
    })
  })

  test('is ended at the server when its loop is left', async () => {
    const { promise: ended, resolve: end } = Promise.withResolvers<void>()
    const handler: Handler = (_, response) => {
      response.on('close', end)
      response.write(event('/1'))
    }
    await withLog(handler, async (logClient) => {
      for await (const _ of logClient.auditLog()) break
      await ended
    })
  })

  test('is ended by its signal, with or without an event so far', async () => {
    for (const first of ['', event('/1')]) {
      const controller = new AbortController()
      const handler: Handler = (_, response) => {
        if (first !== '') response.write(first)
        setTimeout(() => controller.abort(new Error('enough')), 50)
      }
      await withLog(handler, async (logClient) => {
        const events = collect(logClient.auditLog({ signal: controller.signal }))
        await expect(events).rejects.toThrow('enough')
      })
    }
  })

  test('is ended by closing the client', async () => {
    await withLog(
      (_, response) => void response.write(event('/1')),
      async (logClient) => {
        const consume = async () => {
          for await (const _ of logClient.auditLog()) await logClient.close()
        }
        await expect(consume()).rejects.toThrow(KesConnectionError)
      },
    )
  })

  test('that is cut off is an error, not the end', async () => {
    await using logServer = await startFakeServer((_, response) => {
      response.write(event('/1'), () => setTimeout(() => logServer.sockets[0]?.destroy(), 20))
    })
    await using logClient = new KesClient({ endpoint: logServer.endpoint, ca: logServer.ca, protocol })
    await expect(collect(logClient.auditLog())).rejects.toThrow(KesConnectionError)
  })

  test('with a line that is no event is an error', async () => {
    await withLog(
      (_, response) => void response.write('{"message":7}\n'),
      async (logClient) => {
        await expect(collect(logClient.errorLog())).rejects.toThrow(KesProtocolError)
      },
    )
  })
})
