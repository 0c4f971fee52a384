import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, createServer, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, test } from 'vitest'
import { Http1Connections, type Http1Options } from '../../packages/kes-server/src/tls/http1-connections.ts'
import type { Http1Request } from '../../packages/kes-server/src/tls/http1-request.ts'
import type { Http1Response } from '../../packages/kes-server/src/tls/http1-response.ts'
import { serverOf } from '../sandbox/certificates.ts'
import { prepareStore } from '../sandbox/prepared-store.ts'
import { startTestServer } from '../sandbox/server.ts'
import { sleep, statusesOf, until } from './raw-http.ts'

const PUT = 'PUT /use HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}'
const GET = 'GET /use HTTP/1.1\r\nHost: h\r\n\r\n'

const opened: { close(): void }[] = []
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})

/** A server that says who has answered what: these connections, or `node:http`. */
async function serve(options: Partial<Http1Options> = {}) {
  const node = createHttpServer((request: IncomingMessage, response: ServerResponse) => {
    request.resume().on('end', () => response.end(`node ${request.method} ${request.url}\n`))
  })
  const connections = new Http1Connections({
    silentTimeoutMs: 60_000,
    idleTimeoutMs: 90_000,
    isStreamed: (target) => target.startsWith('/log'),
    handle: ({ method, url, body }, response) =>
      response.end(`whole ${method} ${url} ${body?.toString() ?? '-'}\n`),
    leaveToNode: (socket) => node.emit('connection', socket),
    ...options,
  })
  const server = createServer({ ...(await serverOf()), ALPNProtocols: ['http/1.1'], allowHalfOpen: true })
  const sockets = new Set<TLSSocket>()
  server.on('secureConnection', (socket) => {
    sockets.add(socket)
    connections.add(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  opened.push({
    close() {
      connections.close()
      for (const socket of sockets) socket.destroy()
      server.close()
      node.close()
    },
  })
  const { port } = server.address() as AddressInfo
  return {
    connections,
    sockets,
    async connect() {
      const socket = connect({
        port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
      })
      opened.push({ close: () => socket.destroy() })
      await once(socket, 'secureConnect')
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      return new Client(socket)
    },
  }
}

class Client {
  readonly socket: TLSSocket
  received = ''
  isEnded = false

  constructor(socket: TLSSocket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1')
    })
    socket.on('end', () => {
      this.isEnded = true
    })
  }

  /** Resolves when so many replies are there. @returns who has answered what. */
  async replies(count: number): Promise<string[]> {
    const found = () => this.received.match(/^(?:whole|node) .*$/gm) ?? []
    await until(() => found().length >= count)
    return found()
  }
}

test('one request after the other is answered, with what a reply of node:http has', async () => {
  const client = await (await serve()).connect()
  client.socket.write(PUT)
  expect(await client.replies(1)).toEqual(['whole PUT /use {}'])
  client.socket.write(GET)
  expect(await client.replies(2)).toEqual(['whole PUT /use {}', 'whole GET /use -'])
  const [head = ''] = client.received.split('\r\n\r\n')
  const [status, ...lines] = head.split('\r\n')
  expect(status).toBe('HTTP/1.1 200 OK')
  const headers = new Map(lines.map((line) => line.split(': ') as [string, string]))
  expect([...headers.keys()].sort()).toEqual(['Connection', 'Date', 'Keep-Alive', 'content-length'])
  expect(headers.get('content-length')).toBe('18')
  expect(headers.get('Keep-Alive')).toBe('timeout=90')
  const agoMs = Date.now() - Date.parse(headers.get('Date') ?? '')
  expect(agoMs).toBeGreaterThanOrEqual(0)
  expect(agoMs).toBeLessThan(60_000)
})

describe('a connection is left to node:http', () => {
  test('wherever a request is cut in two, and answers as before', async () => {
    const server = await serve()
    for (let at = 1; at < PUT.length; at += 7) {
      const client = await server.connect()
      client.socket.write(PUT)
      await client.replies(1)
      client.socket.write(PUT.slice(0, at))
      await sleep(5)
      client.socket.write(PUT.slice(at))
      await client.replies(2)
      client.socket.write(GET)
      expect(await client.replies(3)).toEqual(['whole PUT /use {}', 'node PUT /use', 'node GET /use'])
    }
  })

  test('with several requests in one piece, in their order', async () => {
    const client = await (await serve()).connect()
    client.socket.write(`${PUT}${GET}${PUT}`)
    expect(await client.replies(3)).toEqual(['node PUT /use', 'node GET /use', 'node PUT /use'])
  })

  test('for a reply that is a stream', async () => {
    const client = await (await serve()).connect()
    client.socket.write(GET)
    await client.replies(1)
    client.socket.write(GET.replace('/use', '/log/audit'))
    expect(await client.replies(2)).toEqual(['whole GET /use -', 'node GET /log/audit'])
  })

  test('with what it refuses', async () => {
    const client = await (await serve()).connect()
    client.socket.write('GET /use HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n')
    await until(() => client.isEnded)
    expect(statusesOf(client.received)).toEqual([400])
  })
})

/** Replies when it is told to. */
function heldReplies() {
  const held: [Http1Request, Http1Response][] = []
  return {
    held,
    handle: (request: Http1Request, response: Http1Response) => void held.push([request, response]),
    async next(count = 1) {
      await until(() => held.length >= count)
      return held.shift() ?? expect.unreachable()
    },
  }
}

describe('while a reply is under way', () => {
  test('what comes behind waits for it, whatever it is', async () => {
    const { handle, next, held } = heldReplies()
    const client = await (await serve({ handle })).connect()
    client.socket.write(PUT)
    const [, response] = await next()
    client.socket.write(GET)
    await sleep(20)
    client.socket.write(PUT.slice(0, 10))
    await sleep(20)
    expect(held).toEqual([])
    response.end('whole first\n')
    const [, second] = await next()
    await sleep(20)
    client.socket.write(PUT.slice(10))
    second.end('whole second\n')
    expect(await client.replies(3)).toEqual(['whole first', 'whole second', 'node PUT /use'])
  })

  test('a client that goes away closes it, once', async () => {
    const { handle, next } = heldReplies()
    const client = await (await serve({ handle })).connect()
    client.socket.write(PUT)
    const [, response] = await next()
    let closes = 0
    response.on('close', () => {
      closes += 1
    })
    client.socket.destroy()
    await until(() => closes > 0)
    expect(response.destroyed).toBe(true)
    response.end('to nobody\n')
    await sleep(20)
    expect(closes).toBe(1)
  })

  test('a client that sends no more has gone away', async () => {
    const { handle, next } = heldReplies()
    const client = await (await serve({ handle })).connect()
    client.socket.end(PUT)
    const [, response] = await next()
    await until(() => response.destroyed)
    expect(response.writableEnded).toBe(false)
  })

  test('a stop lets it end, and closes all other connections', async () => {
    const { handle, next } = heldReplies()
    const server = await serve({ handle })
    const [busy, idle] = [await server.connect(), await server.connect()]
    busy.socket.write(PUT)
    const [, response] = await next()
    server.connections.stop()
    await until(() => idle.isEnded)
    expect(busy.isEnded).toBe(false)
    response.end('whole last\n')
    expect(await busy.replies(1)).toEqual(['whole last'])
    await until(() => busy.isEnded)
  })
})

/** Of this length with whatever stands in it. */
function padded(head: string, bytes = 512): string {
  const begun = `${head} HTTP/1.1\r\nHost: h\r\nX-Pad: `
  return `${begun}${'x'.repeat(bytes - begun.length - 4)}\r\n\r\n`
}

describe('of a server, what comes behind a reply that is awaited', () => {
  const READY = padded('GET /v1/ready')
  const HEAD = padded('PUT /v1/key/generate/a').replace(
    'X-Pad: xxxxxxxxxxxxxxxxxxxxx',
    'Content-Length: 512\r\nX-Pad: ',
  )

  test.each([
    ['two requests', [padded('GET /version'), padded('GET /v1/api')], [/^\{"version"/, /^\[/]],
    ['one that is cut in two', [padded('GET /version', 700)], [/^\{"version"/]],
    [
      'a body that looks like a request',
      [HEAD, padded('GET /v1/api')],
      [/^\{"message":"invalid request body"/],
    ],
  ])('is read in its order: %s', async (_what, pieces, replies) => {
    // Of a store on a disk, /v1/ready asks the disk.
    using store = prepareStore([{ name: 'a' }])
    await using server = await startTestServer({ keystore: store.keystore })
    const socket = await server.connect({ ALPNProtocols: ['http/1.1'] })
    opened.push({ close: () => socket.destroy() })
    const client = new Client(socket)
    // A piece is a record of TLS, and read by itself.
    socket.setMaxSendFragment(512)
    socket.write([READY, ...pieces].join(''))
    const bodies = () => bodiesOf(client.received)
    await until(() => bodies().length > replies.length)
    const [first, ...others] = bodies()
    expect(first).toBe('')
    expect(others).toEqual(replies.map((reply) => expect.stringMatching(reply)))
  })
})

function bodiesOf(received: string): string[] {
  const bodies: string[] = []
  for (let rest = received; rest !== ''; ) {
    const start = rest.indexOf('\r\n\r\n') + 4
    const length = Number(/content-length: (\d+)/i.exec(rest)?.[1])
    if (start < 4 || rest.length < start + length) break
    bodies.push(rest.slice(start, start + length))
    rest = rest.slice(start + length)
  }
  return bodies
}

test('a last reply arrives whole, whatever is sent behind its request', async () => {
  const urls: string[] = []
  const handle = ({ url }: Http1Request, response: Http1Response) => {
    urls.push(url)
    response
      .writeHead(200, { connection: 'close', 'content-length': 20_000_000 })
      .end(Buffer.alloc(20_000_000, 'x'))
  }
  const client = await (await serve({ handle })).connect()
  client.socket.pause()
  client.socket.write(GET)
  await until(() => urls.length === 1)
  client.socket.write(GET)
  await sleep(50)
  client.socket.resume()
  await until(() => client.isEnded, 20_000)
  expect(bodiesOf(client.received).map(({ length }) => length)).toEqual([20_000_000])
  expect(urls).toHaveLength(1)
})

test('a reply that says so ends its connection', async () => {
  const handle = (_: Http1Request, response: Http1Response) =>
    response.writeHead(408, { connection: 'close', 'content-length': 6 }).end('whole \n')
  const client = await (await serve({ handle })).connect()
  client.socket.write(PUT)
  await until(() => client.isEnded)
  expect(client.received).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n/)
  expect(client.received).toContain('\r\nConnection: close\r\n')
})

test('a client that does not read its replies is not read from either, until it does', async () => {
  const body = Buffer.alloc(16_384, 'x')
  let count = 0
  const handle = (_: Http1Request, response: Http1Response) => {
    count += 1
    response.end(body)
  }
  const server = await serve({ handle })
  const client = await server.connect()
  client.socket.pause()
  const sent = 4_000
  const isWritten = (async () => {
    for (let at = 0; at < sent; at += 1) {
      client.socket.write(GET)
      // In a piece of its own.
      await new Promise((resolve) => setImmediate(resolve))
    }
  })()
  await until(() => [...server.sockets].some((socket) => socket.writableNeedDrain), 10_000)
  await sleep(100)
  const [socket] = server.sockets
  expect(socket?.isPaused()).toBe(true)
  expect(socket?.writableLength).toBeLessThan(1_000_000)
  expect(count).toBeLessThan(sent)
  client.socket.resume()
  await isWritten
  const answered = () => client.received.match(/HTTP\/1\.1 200 OK/g)?.length ?? 0
  await until(() => answered() === sent, 20_000)
})

describe('nobody keeps a connection that is not used', () => {
  test('one that says nothing', async () => {
    const client = await (await serve({ silentTimeoutMs: 100 })).connect()
    const startedMs = performance.now()
    await once(client.socket, 'close')
    expect(performance.now() - startedMs).toBeLessThan(10_000)
    expect(client.received).toBe('')
  })

  test('one that says nothing more', async () => {
    const client = await (await serve({ idleTimeoutMs: 100 })).connect()
    client.socket.write(GET)
    await client.replies(1)
    await until(() => client.isEnded)
  })

  test('but one whose reply takes long has its time, and as much after it', async () => {
    const { handle, next } = heldReplies()
    const client = await (await serve({ handle, silentTimeoutMs: 100, idleTimeoutMs: 2_000 })).connect()
    client.socket.write(GET)
    const [, response] = await next()
    await sleep(3_200)
    response.end('whole at last\n')
    expect(await client.replies(1)).toEqual(['whole at last'])
    const startedMs = performance.now()
    await once(client.socket, 'close')
    expect(performance.now() - startedMs).toBeGreaterThan(1_900)
  })

  test('but one whose client reads its reply slowly', async () => {
    const handle = (_: Http1Request, response: Http1Response) => response.end(Buffer.alloc(20_000_000, 'x'))
    const client = await (await serve({ handle, idleTimeoutMs: 100 })).connect()
    client.socket.pause()
    client.socket.write(GET)
    await sleep(2_200)
    client.socket.resume()
    await until(() => bodiesOf(client.received).length === 1, 20_000)
  })
})
