/** Clients that hold connections, or never get as far as a request. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clientOf } from '../sandbox/certificates.ts'
import { Installation } from './installation.ts'
import { closed, type ServerProcess, sleep } from './server-process.ts'
import { withstand } from './withstand.ts'

const IDLE_WANTED = 2_000
/** A server closes silent connections after 5 s and unfinished handshakes after 10 s. */
const SILENCE_MAX_MS = 14_000
const BATCH = 100

let installation: Installation
let server: ServerProcess
/** Open while the other tests run. */
const unfinished: Socket[] = []

beforeAll(async () => {
  installation = await Installation.make({ keys: ['my-key'] })
  server = await installation.start()
  for (let count = 0; count < 100; count += 1) {
    const silent = await server.connectTcp()
    if (count % 2 === 0) silent.write(Buffer.from('1603010200010001fc0303', 'hex'))
    unfinished.push(silent)
  }
})

afterAll(async () => {
  expect(await server.stop()).toEqual({ code: 0, signal: null })
  installation[Symbol.dispose]()
})

/** As many as both processes may open; Node has raised the soft limit to the hard one. */
function idleCount(): number {
  const [, limit = '0'] = /^Max open files +\S+ +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
  const count = Math.min(IDLE_WANTED, Math.floor(Number(limit) / 2) - 200)
  if (count < IDLE_WANTED) console.log(`only ${count} idle connections: no more files may be open here`)
  return count
}

async function allClosed(sockets: readonly Socket[]): Promise<void> {
  await Promise.race([
    Promise.all(sockets.map(closed)),
    sleep(SILENCE_MAX_MS).then(() => Promise.reject(new Error('connections are still open'))),
  ])
}

test('garbage, plain HTTP and cut-off handshakes are closed at once', async () => {
  await withstand(server, async () => {
    const inputs = [
      'GET /version HTTP/1.1\r\nHost: kes\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      Buffer.alloc(70_000),
      Buffer.from('1503010002ff', 'hex'),
      ...Array.from({ length: 20 }, () => randomBytes(4_096)),
    ]
    for (const input of inputs) {
      const socket = await server.connectTcp()
      socket.end(input)
      await closed(socket)
    }
  })
})

test('a handshake without certificate, over and over, costs nothing that lasts', async () => {
  await withstand(server, async () => {
    for (let count = 0; count < 200; count += 1) {
      const socket = await server.connect({ as: null })
      await closed(socket)
    }
  })
})

test('renegotiation is refused, so that a connection keeps the identity that it began with', async () => {
  const other = await clientOf('renegotiates')
  await withstand(server, async () => {
    for (let count = 0; count < 20; count += 1) {
      const socket = await server.connect({ as: other, maxVersion: 'TLSv1.2', ALPNProtocols: ['http/1.1'] })
      const renegotiated = new Promise((resolve) =>
        socket.renegotiate({ rejectUnauthorized: false }, resolve),
      )
      expect(await Promise.race([renegotiated, closed(socket).then(() => 'closed')])).not.toBeNull()
      socket.destroy()
    }
  })
})

test('thousands of idle connections, and crawling headers, are closed in seconds', async () => {
  await withstand(server, async () => {
    const sockets: Socket[] = []
    for (let opened = 0; opened < idleCount(); opened += BATCH) {
      const ALPNProtocols = [opened % (2 * BATCH) === 0 ? 'h2' : 'http/1.1']
      const batch = Array.from({ length: BATCH }, () => server.connect({ ALPNProtocols }))
      sockets.push(...(await Promise.all(batch)))
    }
    const slow = await Promise.all(
      Array.from({ length: 20 }, () => server.connect({ ALPNProtocols: ['http/1.1'] })),
    )
    for (const socket of slow) socket.write('GET /version HTTP/1.1\r\nHost: kes\r\n')
    const dripping = setInterval(() => {
      for (const socket of slow) socket.write('X: a\r\n')
    }, 500)
    await allClosed([...sockets, ...slow]).finally(() => clearInterval(dripping))
  })
})

test('handshakes that are never finished are closed in seconds', async () => {
  await allClosed(unfinished)
  expect(server.fileDescriptors()).toBeLessThan(unfinished.length)
})
