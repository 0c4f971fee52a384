/**
 * How the client behaves on connections that work, break, hang or lie, over both versions of HTTP. Calls are made
 * once here; failover.test.ts and fault-matrix.test.ts have the repetitions.
 */
import { createServer } from 'node:net'
import type { TLSSocket } from 'node:tls'
import {
  ApiKey,
  KesApiError,
  KesClient,
  type KesClientOptions,
  KesConnectionError,
  KesProtocolError,
  KesTimeoutError,
  makeClientCertificate,
} from '@latchkey/kms-client'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { callerOf, type FakeServer, type Handler, sendJson, startFakeServer } from './fake-server.ts'

const VERSION = { version: '1', commit: 'c' }
const answerVersion: Handler = (_, response) => sendJson(response, VERSION)

const openOnce = (options: KesClientOptions) => new KesClient({ ...options, retries: 0 })

/** Resolves when `condition` holds; the test's own timeout ends a wait in vain. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

describe.each(['h2', 'http/1.1'] as const)('over %s', (protocol) => {
  const clientOf = ({ endpoint, ca }: FakeServer, timeoutMs = 10_000) =>
    openOnce({ endpoint, ca, protocol, timeoutMs })

  test('calls share a connection', async () => {
    const versions: string[] = []
    await using server = await startFakeServer((request, response) => {
      versions.push(request.httpVersion)
      sendJson(response, VERSION)
    })
    await using client = clientOf(server)
    for (let call = 0; call < 3; call++) expect(await client.version()).toEqual(VERSION)

    expect(server.sockets).toHaveLength(1)
    expect(new Set(versions)).toEqual(new Set([protocol === 'h2' ? '2.0' : '1.1']))
  })

  test('many calls at a time are answered, each with its own reply', async () => {
    await using server = await startFakeServer((request, response) => {
      sendJson(response, { name: request.url.split('/').at(-1), algorithm: 'AES256', created_at: 'x' })
    })
    await using client = clientOf(server)
    const names = Array.from({ length: 200 }, (_, number) => `key-${number}`)
    const keys = await Promise.all(names.map((name) => client.describeKey(name)))
    expect(keys.map(({ name }) => name)).toEqual(names)
    expect(server.sockets.length).toBeLessThanOrEqual(protocol === 'h2' ? 1 : 32)
  })

  test('an answer that does not come in time is a timeout, and the next call is not held up by it', async () => {
    let calls = 0
    await using server = await startFakeServer((_, response) => {
      if (++calls !== 2) sendJson(response, VERSION)
    })
    await using client = clientOf(server)
    await client.version()
    await expect(client.version({ timeoutMs: 50 })).rejects.toThrow(KesTimeoutError)
    for (let call = 0; call < 3; call++) await expect(client.version()).resolves.toEqual(VERSION)
    expect(server.sockets).toHaveLength(2) // The first connection might be dead.
  })

  test('a time longer than any timer of Node is a long time', async () => {
    await using server = await startFakeServer((_, response) => {
      setTimeout(() => sendJson(response, VERSION), 20)
    })
    for (const timeoutMs of [2 ** 40, Number.POSITIVE_INFINITY]) {
      await using client = clientOf(server, timeoutMs)
      await expect(client.version()).resolves.toEqual(VERSION)
    }
  })

  test('a reply that stops in the middle is a timeout as well', async () => {
    await using server = await startFakeServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"version":')
    })
    await using client = clientOf(server, 50)
    await expect(client.version()).rejects.toThrow('no answer within 50 ms')
  })

  test('an aborted call throws the reason of its signal, and other calls go on', async () => {
    await using server = await startFakeServer((request, response) => {
      if (request.url === '/version') setTimeout(() => sendJson(response, VERSION), 50)
    })
    await using client = clientOf(server)
    const controller = new AbortController()
    const aborted = expect(client.ready({ signal: controller.signal })).rejects.toThrow('enough')
    const other = client.version()
    await until(() => server.sockets.length > 0)
    controller.abort(new Error('enough'))
    await aborted
    expect(await other).toEqual(VERSION)
  })

  test('a signal that was aborted before keeps the call from being sent', async () => {
    let calls = 0
    await using server = await startFakeServer((_, response) => {
      calls++
      sendJson(response, VERSION)
    })
    await using client = clientOf(server)
    await expect(client.version({ signal: AbortSignal.abort(new Error('early')) })).rejects.toThrow('early')
    expect(calls).toBe(0)
  })

  test('a reply of over 1 MiB is refused, announced or not', async () => {
    await using server = await startFakeServer((request, response) => {
      const body = Buffer.alloc(1024 * 1024 + 1, ' ')
      if (request.url === '/version') response.setHeader('content-length', body.length)
      response.end(body)
    })
    await using client = clientOf(server)
    await expect(client.version()).rejects.toThrow('has over 1048576 bytes')
    await expect(client.status()).rejects.toThrow(KesProtocolError)
  })

  test.each([
    ['that is not JSON', '<html>hello</html>'],
    ['that is empty', ''],
    ['that lacks its fields', '{}'],
  ])('an answer %s is refused', async (_, body) => {
    await using server = await startFakeServer((_request, response) => void response.end(body))
    await using client = clientOf(server)
    await expect(client.version()).rejects.toThrow(KesProtocolError)
    await expect(client.generateKey('a')).rejects.toThrow(KesProtocolError)
  })

  test('a connection that is cut before the answer is an error of the connection, and the next call has a new one', async () => {
    let calls = 0
    await using server = await startFakeServer((_, response) => {
      if (++calls === 1) server.sockets[0]?.destroy()
      else sendJson(response, VERSION)
    })
    await using client = clientOf(server)
    await expect(client.version()).rejects.toThrow(KesConnectionError)
    await expect(client.version()).resolves.toEqual(VERSION)
    expect(server.sockets).toHaveLength(2)
    expect(calls).toBe(2) // The first request may have been carried out, so nobody repeated it.
  })

  test('a connection that is cut in the middle of an answer is an error of the connection', async () => {
    await using server = await startFakeServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"version":"1","commit":"c"}', () => setTimeout(() => server.sockets[0]?.destroy(), 20))
    })
    await using client = clientOf(server)
    await expect(client.version()).rejects.toThrow(KesConnectionError)
  })

  test('a connection that the server closed while it was idle is replaced', async () => {
    await using server = await startFakeServer(answerVersion)
    await using client = clientOf(server)
    await client.version()
    const closed = new Promise((resolve) => server.sockets[0]?.once('close', resolve))
    if (protocol === 'h2') server.sessions[0]?.close()
    else server.sockets[0]?.end()
    await closed
    await new Promise((resolve) => setTimeout(resolve, 100)) // for the client to hear of it
    await expect(client.version()).resolves.toEqual(VERSION)
    expect(server.sockets).toHaveLength(2)
  })

  test('a GET is redirected on the same server', async () => {
    const paths: string[] = []
    await using server = await startFakeServer((request, response) => {
      paths.push(request.url)
      if (request.url.endsWith('/')) return sendJson(response, { names: ['a'] })
      response.writeHead(307, { location: `${request.url}/` })
      response.end('<a href="/v1/key/list/">Temporary Redirect</a>.\n\n')
    })
    await using client = clientOf(server)
    const names: string[] = []
    for await (const name of client.listKeys('x')) names.push(name)
    expect(names).toEqual(['a'])
    expect(paths).toEqual(['/v1/key/list/x', '/v1/key/list/x/'])
  })

  test.each([
    ['to another server', 'https://example.org/version'],
    ['to another port', '//127.0.0.1:1/version'],
    ['to plain HTTP', 'http://127.0.0.1/version'],
    ['in a circle', '/version'],
    ['nowhere', ''],
  ])('a redirect %s is refused', async (_, location) => {
    await using server = await startFakeServer((_request, response) => {
      response.writeHead(301, location === '' ? {} : { location })
      response.end()
    })
    await using client = clientOf(server)
    await expect(client.version()).rejects.toThrow(
      /^https:\/\/127\.0\.0\.1:\d+: the server redirects GET \/version to /,
    )
  })

  test('a redirect of anything but a GET is refused', async () => {
    await using server = await startFakeServer((request, response) => {
      response.writeHead(307, { location: `${request.url}/` })
      response.end()
    })
    await using client = clientOf(server)
    await expect(client.createKey('a')).rejects.toThrow(KesProtocolError)
    await expect(client.deleteKey('a')).rejects.toThrow(KesProtocolError)
  })

  test('closing the client ends what is under way, and refuses what comes after', async () => {
    await using server = await startFakeServer(() => {})
    const client = clientOf(server)
    const pending = expect(client.version()).rejects.toThrow('the client is closed')
    await until(() => server.sockets.length > 0)
    await client.close()
    await pending
    await expect(client.version()).rejects.toThrow(KesConnectionError)
    await until(() => server.sockets.every((socket) => socket.destroyed))
    expect(server.sockets).toHaveLength(1)
  })

  test('closing the client while it connects leaves no connection', async () => {
    await using server = await startFakeServer(answerVersion)
    const client = clientOf(server)
    const pending = expect(client.version()).rejects.toThrow('the client is closed')
    await client.close()
    await pending
  })

  test('the identity is that of the API key, or of the certificate', async () => {
    const key = ApiKey.generate()
    await using server = await startFakeServer((request, response) => {
      sendJson(response, { version: callerOf(request) ?? 'nobody' })
    })
    const { endpoint, ca } = server
    const certificate = { cert: makeClientCertificate(key).toString(), key: key.privateKey }
    for (const credentials of [{ apiKey: key }, { apiKey: key.toString() }, { certificate }]) {
      await using client = openOnce({ endpoint, ca, protocol, ...credentials })
      expect((await client.version()).version).toBe(key.identity)
    }
    await using anonymous = clientOf(server)
    expect((await anonymous.version()).version).toBe('nobody')
  })
})

describe.each(['h2', 'http/1.1'] as const)('the certificate of an API key over %s', (protocol) => {
  afterEach(() => {
    vi.useRealTimers()
  })

  test.each([
    [44, 1],
    [46, 2],
  ])('of %i days on a new connection is number %i', async (days, count) => {
    const serialNumbers = new Set<string | undefined>()
    await using server = await startFakeServer((request, response) => {
      serialNumbers.add((request.socket as TLSSocket).getPeerX509Certificate()?.serialNumber)
      sendJson(response, VERSION)
    })
    const { endpoint, ca } = server
    await using client = openOnce({ endpoint, ca, protocol, apiKey: ApiKey.generate() })
    await client.version()
    server.sockets[0]?.destroy()
    await new Promise((resolve) => setTimeout(resolve, 100)) // for the client to hear of it
    vi.useFakeTimers({ now: Date.now() + days * 86_400_000, toFake: ['Date'] })
    await client.version()
    expect(serialNumbers.size).toBe(count)
  })
})

describe('HTTP/2', () => {
  test('is preferred, and HTTP/1.1 taken where the server has no other', async () => {
    const versions: string[] = []
    const handler: Handler = (request, response) => {
      versions.push(request.httpVersion)
      sendJson(response, VERSION)
    }
    for (const hasHttp2 of [true, false]) {
      await using server = await startFakeServer(handler, { hasHttp2 })
      await using client = openOnce(server)
      await Promise.all([client.version(), client.version()])
    }
    expect(versions).toEqual(['2.0', '2.0', '1.1', '1.1'])
  })

  test('that is insisted on is no choice for a server without it', async () => {
    await using server = await startFakeServer(answerVersion, { hasHttp2: false })
    await using client = openOnce({ endpoint: server.endpoint, ca: server.ca, protocol: 'h2' })
    await expect(client.version()).rejects.toThrow(
      'the server speaks none of the HTTP versions that were offered',
    )
  })

  test('opens one connection for calls that start at once', async () => {
    await using server = await startFakeServer(answerVersion)
    await using client = openOnce(server)
    await Promise.all(Array.from({ length: 50 }, () => client.version()))
    expect(server.sockets).toHaveLength(1)
  })

  test('after a GOAWAY calls under way end on the old connection and new ones use another', async () => {
    const waiting: (() => void)[] = []
    await using server = await startFakeServer((request, response) => {
      if (request.url === '/version') return sendJson(response, VERSION)
      waiting.push(() => response.end())
    })
    await using client = openOnce(server)
    const slow = client.ready()
    await until(() => waiting.length > 0)
    server.sessions[0]?.goaway()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await client.version()).toEqual(VERSION)
    expect(server.sockets).toHaveLength(2)
    waiting[0]?.()
    await expect(slow).resolves.toBeUndefined()
  })

  test('a request that the server did not process is sent once more, and no further', async () => {
    let refusals = 0
    let refuse = 1
    await using server = await startFakeServer((_, response) => {
      if (refusals++ < refuse)
        response.stream.close(7) // REFUSED_STREAM
      else sendJson(response, VERSION)
    })
    await using client = openOnce(server)
    await expect(client.version()).resolves.toEqual(VERSION)
    refuse = 100
    await expect(client.version()).rejects.toThrow(KesConnectionError)
    expect(refusals).toBe(4)
  })

  test('a stream that the server resets is an error of the connection', async () => {
    await using server = await startFakeServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write('{"version":"1"}')
      setTimeout(() => response.stream.close(8), 20) // CANCEL, as a Go KES does at its deadline
    })
    await using client = openOnce(server)
    await expect(client.version()).rejects.toThrow(KesConnectionError)
  })
})

describe('a connection that can not be', () => {
  test('refused: says that no server is there', async () => {
    const { endpoint } = await (async () => {
      await using server = await startFakeServer(answerVersion)
      return server
    })()
    await using client = openOnce({ endpoint, timeoutMs: 5000 })
    await expect(client.version()).rejects.toThrow(
      `https://${endpoint}: connection refused: no server is listening there, or a firewall forbids it`,
    )
    await expect(client.version()).rejects.toHaveProperty('cause.code', 'ECONNREFUSED')
  })

  test('verified: says to give the CA, and insecureSkipVerify does without', async () => {
    await using server = await startFakeServer(answerVersion)
    const { endpoint } = server
    await using client = openOnce({ endpoint })
    await expect(client.version()).rejects.toThrow("give the CA's certificate as `ca`")
    await using careless = openOnce({ endpoint, insecureSkipVerify: true })
    await expect(careless.version()).resolves.toEqual(VERSION)
  })

  test('verified, because the name is another one', async () => {
    await using server = await startFakeServer(answerVersion, { dnsNames: ['kes.example'] })
    await using client = openOnce(server)
    await expect(client.version()).rejects.toThrow("the server's certificate is for another name")
  })

  test('verified, because the certificate has expired', async () => {
    await using server = await startFakeServer(answerVersion, { notAfter: new Date(Date.now() - 1000) })
    await using client = openOnce(server)
    await expect(client.version()).rejects.toThrow("the server's certificate has expired")
  })

  test.each([
    ['TLSv1.2', 'h2'],
    ['TLSv1.2', 'http/1.1'],
    ['TLSv1.3', 'h2'],
    ['TLSv1.3', 'http/1.1'],
  ] as const)('had without a certificate: says to give one, over %s and %s', async (maxVersion, protocol) => {
    await using server = await startFakeServer(answerVersion, { requiresCertificate: true, maxVersion })
    await using client = openOnce({ endpoint: server.endpoint, ca: server.ca, protocol })
    await expect(client.version()).rejects.toThrow('requires a client certificate')
  })

  test('had with this certificate is an error of the connection', async () => {
    const clientCa = makeClientCertificate(ApiKey.generate()).toString()
    await using server = await startFakeServer(answerVersion, { requiresCertificate: true, clientCa })
    await using client = openOnce({
      endpoint: server.endpoint,
      ca: server.ca,
      apiKey: ApiKey.generate(),
    })
    await expect(client.version()).rejects.toThrow(KesConnectionError)
  })

  test('encrypted: says that TLS does not answer', async () => {
    const server = createServer((socket) => socket.end('HTTP/1.0 400 Bad Request\r\n\r\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    await using client = openOnce({ endpoint: `127.0.0.1:${port}` })
    await expect(client.version()).rejects.toThrow('something else than TLS answers there')
    server.close()
  })

  test('had in time is a timeout', async () => {
    const server = createServer((socket) => socket.resume())
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : undefined
    const client = openOnce({ endpoint: `127.0.0.1:${port}`, timeoutMs: 50 })
    await expect(client.version()).rejects.toThrow(KesTimeoutError)
    await client.close()
    await new Promise((resolve) => server.close(resolve))
  })

  test('found: says that the name is unknown', async () => {
    await using client = openOnce({ endpoint: 'no-such-host.invalid:7373' })
    await expect(client.version()).rejects.toThrow('the host name is unknown')
  })
})

describe('options that make no client', () => {
  const key = ApiKey.generate()

  test.each([
    ['an endpoint without TLS', { endpoint: 'http://localhost:1' }],
    ['a CA that is none', { endpoint: 'localhost:1', ca: 'garbage' }],
    ['one CA among several that is none', { endpoint: 'localhost:1', ca: [Buffer.from('garbage')] }],
    [
      'a certificate that is none',
      { endpoint: 'localhost:1', certificate: { cert: 'x', key: key.privateKey } },
    ],
    ['a negative time', { endpoint: 'localhost:1', timeoutMs: -1 }],
    ['a number of retries that is none', { endpoint: 'localhost:1', retries: Number.NaN }],
    ['an empty list of endpoints', { endpoint: [] }],
    ['a list of endpoints without any', { endpoint: ' , ' }],
    ['a range that runs backwards', { endpoint: 'https://kes{3...1}:7373' }],
    [
      'an API key and a certificate',
      { endpoint: 'localhost:1', apiKey: key, certificate: { cert: 'x', key: key.privateKey } },
    ],
  ])('%s', (_, options) => {
    expect(() => new KesClient(options)).toThrow(TypeError)
  })

  test('a certificate with the private key of another', async () => {
    const cert = makeClientCertificate(key).toString()
    const certificate = { cert, key: ApiKey.generate().privateKey }
    expect(() => new KesClient({ endpoint: 'localhost:1', certificate })).toThrow(TypeError)
  })

  test('a malformed API key, which the error does not repeat', () => {
    expect(() => new KesClient({ endpoint: 'localhost:1', apiKey: 'kes:v1:secret!' })).toThrow(
      /^illegal base64 data at input byte 6$/,
    )
  })
})

test('a refusal in plain text, as of an unknown path, is an error of the API', async () => {
  await using server = await startFakeServer((_, response) => {
    response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' })
    response.end('404 page not found\n')
  })
  await using client = openOnce(server)
  const error = await client.enableKey('a').catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(KesApiError)
  expect(error).toMatchObject({ name: 'NotFoundError', status: 404, code: 'NotFound' })
})
