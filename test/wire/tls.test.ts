/** Versions, cipher suites and protocols of TLS, as section 1 of KES's protocol has them. */
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { clientOf, type KeyType } from '../sandbox/certificates.ts'
import { PROTOCOLS, startTestServer, type TestServer } from '../sandbox/server.ts'
import { exchange, statusesOf, untilClosed } from './raw-http.ts'

let server: TestServer
const servers = new Map<KeyType, TestServer>()

beforeAll(async () => {
  for (const serverKey of ['p256', 'rsa2048', 'ed25519'] as const) {
    servers.set(serverKey, await startTestServer({ serverKey }))
  }
  server = serverWith('p256')
})

afterAll(async () => {
  for (const each of servers.values()) await each.stop()
})

function serverWith(key: KeyType): TestServer {
  const found = servers.get(key)
  if (found === undefined) throw new Error(`no server has a key of type ${key}`)
  return found
}

/** What client and server agreed on. */
async function handshake(options: ConnectionOptions, at: TestServer = server) {
  const socket = await at.connect(options)
  const version = socket.getProtocol()
  const { name, standardName } = socket.getCipher()
  socket.destroy()
  return { version, suite: version === 'TLSv1.3' ? standardName : name, protocol: socket.alpnProtocol }
}

async function failure(options: ConnectionOptions, at: TestServer = server): Promise<string> {
  try {
    const { version, suite } = await handshake(options, at)
    return `connected with ${version} ${suite}`
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error)
  }
}

const only = (version: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3'): ConnectionOptions => ({
  minVersion: version,
  maxVersion: version,
})

describe('versions', () => {
  test.each(['TLSv1', 'TLSv1.1'] as const)('%s is refused by the alert protocol_version', async (version) => {
    expect(await failure({ ...only(version), ciphers: 'DEFAULT@SECLEVEL=0' })).toBe(
      'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    )
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('%s is accepted', async (version) => {
    expect((await handshake(only(version))).version).toBe(version)
  })

  test('the newest version is preferred', async () => {
    expect((await handshake({ minVersion: 'TLSv1.2' })).version).toBe('TLSv1.3')
  })
})

describe('suites', () => {
  test.each(['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256'])(
    'of TLS 1.3, %s is accepted',
    async (ciphers) => {
      expect((await handshake({ ...only('TLSv1.3'), ciphers })).suite).toBe(ciphers)
    },
  )

  test('of TLS 1.3, no other is accepted', async () => {
    const ciphers = 'TLS_AES_128_CCM_SHA256'
    expect(await failure({ ...only('TLSv1.3'), ciphers })).toMatch(/HANDSHAKE_FAILURE/)
  })

  test.each(['AES128-GCM-SHA256', 'AES256-GCM-SHA384', 'CHACHA20-POLY1305'])(
    'of TLS 1.2, ECDHE with %s is accepted, with each kind of server key',
    async (suite) => {
      for (const [key, kind] of [
        ['p256', 'ECDSA'],
        ['ed25519', 'ECDSA'],
        ['rsa2048', 'RSA'],
      ] as const) {
        const ciphers = `ECDHE-${kind}-${suite}`
        expect((await handshake({ ...only('TLSv1.2'), ciphers }, serverWith(key))).suite).toBe(ciphers)
      }
    },
  )

  test.each([
    ['p256', 'ECDHE-ECDSA-AES128-SHA'],
    ['p256', 'ECDHE-ECDSA-AES128-SHA256'],
    ['p256', 'ECDHE-ECDSA-AES256-CCM'],
    ['p256', 'ECDHE-ECDSA-AES128-CCM8'],
    ['rsa2048', 'ECDHE-RSA-AES256-SHA384'],
    ['rsa2048', 'AES128-GCM-SHA256'],
    ['rsa2048', 'AES256-SHA256'],
    ['rsa2048', 'DHE-RSA-AES128-GCM-SHA256'],
    ['rsa2048', 'DHE-RSA-CHACHA20-POLY1305'],
  ] as const)('of TLS 1.2, with a key of type %s, %s is refused', async (key, suite) => {
    const ciphers = `${suite}:@SECLEVEL=0`
    expect(await failure({ ...only('TLSv1.2'), ciphers }, serverWith(key))).toMatch(/HANDSHAKE_FAILURE/)
  })
})

describe('protocols', () => {
  test.each([
    [['h2', 'http/1.1'], 'h2'],
    [['http/1.1', 'h2'], 'h2'],
    [['http/1.1'], 'http/1.1'],
    [['spdy/3', 'http/1.1'], 'http/1.1'],
  ])('of %j the server takes %s', async (ALPNProtocols, chosen) => {
    expect((await handshake({ ALPNProtocols })).protocol).toBe(chosen)
  })

  test('none in common is refused by the alert no_application_protocol', async () => {
    expect(await failure({ ALPNProtocols: ['spdy/3'] })).toBe('ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL')
  })

  test('a client that offers none speaks HTTP/1.1', async () => {
    const socket = await server.connect()
    expect(socket.alpnProtocol).toBe(false)
    socket.write('GET /version HTTP/1.1\r\nHost: kes\r\nConnection: close\r\n\r\n')
    const [chunk] = await once(socket, 'data')
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    socket.destroy()
  })

  test('plain HTTP gets no API reply and is closed', async () => {
    const socket = connectTcp(server.port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET /version HTTP/1.1\r\nHost: kes\r\n\r\n')
    let received = ''
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1')
    })
    await once(socket, 'close')
    expect(received).not.toContain('200')
  })
})

describe('sessions', () => {
  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'a %s session is not resumed: each connection has the identity of its own certificate',
    async (version) => {
      const client = await clientOf('resumes')
      const request = 'GET /v1/identity/self/describe HTTP/1.1\r\nHost: kes\r\nConnection: close\r\n\r\n'
      let session: Buffer | undefined
      const replies: string[] = []
      for (const as of [server.admin, client]) {
        const socket = await server.connect({
          ...only(version),
          as,
          ...(session === undefined ? {} : { session }),
        })
        expect(socket.isSessionReused()).toBe(false)
        let received = ''
        socket.on('data', (chunk: Buffer) => {
          received += chunk.toString('latin1')
          session = socket.getSession() // In TLS 1.3 it comes with the first bytes of a reply.
        })
        socket.write(request)
        await once(socket, 'close')
        replies.push(received)
      }
      expect(session).toBeDefined()
      expect(replies[0]).toContain(`"identity":"${server.admin.identity}","admin":true`)
      expect(replies[1]).toContain('IdentityNotFound')
    },
  )
})

describe.concurrent('silence', () => {
  test('a client that says nothing, or stalls in its headers, loses its connection after 5 s', async () => {
    const silent = PROTOCOLS.map((protocol) => server.connect({ ALPNProtocols: [protocol] }))
    const stalled = await server.connect({ ALPNProtocols: ['http/1.1'] })
    stalled.write('GET /version HTTP/1.1\r\nHost: kes\r\nX-Slow: ')
    const sockets = [...(await Promise.all(silent)), stalled]
    const times = await Promise.all(sockets.map(untilClosed))
    for (const ms of times) {
      expect(ms).toBeGreaterThan(4_000)
      expect(ms).toBeLessThan(7_500)
    }
  })

  test('a client that made a request may then be silent for longer', async () => {
    const socket = await server.connect({ ALPNProtocols: ['http/1.1'] })
    socket.write('GET /version HTTP/1.1\r\nHost: kes\r\n\r\n')
    await once(socket, 'data')
    let isClosed = false
    socket.on('close', () => {
      isClosed = true
    })
    await new Promise((resolve) => setTimeout(resolve, 6_500))
    expect(isClosed).toBe(false)
    socket.destroy()
  })
})

test('a broken handshake is told to the operator, with the address of the client', async () => {
  await failure({ ...only('TLSv1.1'), ciphers: 'DEFAULT@SECLEVEL=0' })
  await expect
    .poll(() => server.errorLog().at(-1)?.msg)
    .toMatch(/^http: TLS handshake error from 127\.0\.0\.1:\d+: /)
  expect(server.errorLog().at(-1)?.level).toBe('INFO')
})

test('an HTTP/2 preface without TLS negotiation of h2 is no HTTP/1.1 request', async () => {
  const received = await exchange(server, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  expect(statusesOf(received)).toEqual([400])
})
