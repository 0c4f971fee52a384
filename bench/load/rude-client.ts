/** What a server must survive: connections that break off, say nothing, or talk nonsense. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connector } from './connector.ts'
import type { HttpProtocol } from './target.ts'

export type RudeManner = (connector: Connector, protocol: HttpProtocol) => Promise<void>

/** A server that has not ended a hopeless connection by then is no better than one that leaks it. */
const ANSWER_TIMEOUT_MS = 10_000

export const RUDE_MANNERS: Readonly<Record<string, RudeManner>> = {
  async 'TCP, then gone'(connector) {
    const socket = openTcp(connector)
    await settled(socket, 'connect')
    socket.destroy()
  },
  async 'TCP, reset'(connector) {
    const socket = openTcp(connector)
    await settled(socket, 'connect')
    socket.resetAndDestroy()
  },
  async 'half a handshake'(connector, protocol) {
    const socket = connector.open(protocol)
    await settled(socket, 'connect')
    await delay(1)
    socket.destroy()
  },
  async 'handshake, then gone'(connector, protocol) {
    const socket = connector.open(protocol)
    await settled(socket, 'secureConnect')
    socket.destroy()
  },
  async 'no client certificate'(connector, protocol) {
    const socket = connector.openAnonymous(protocol)
    socket.resume()
    await ended(socket)
  },
  async 'plain HTTP'(connector) {
    const socket = openTcp(connector)
    socket.end('GET /version HTTP/1.1\r\nhost: localhost\r\n\r\n')
    await ended(socket)
  },
  async 'nonsense over TLS'(connector, protocol) {
    const socket = connector.open(protocol)
    await settled(socket, 'secureConnect')
    socket.resume()
    socket.write('not a protocol at all\r\n\r\n')
    await ended(socket)
  },
}

function openTcp(connector: Connector): Socket {
  const socket = connect(connector.target.port, connector.target.host)
  socket.on('error', () => undefined)
  socket.resume()
  return socket
}

async function settled(socket: Socket, event: 'connect' | 'secureConnect'): Promise<void> {
  await once(socket, event, { signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) })
}

/** Waits for the server to end it. */
async function ended(socket: Socket): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
  })
  const timeout = delay(ANSWER_TIMEOUT_MS, 'late', { ref: false })
  const outcome = await Promise.race([closed, timeout])
  socket.destroy()
  if (outcome === 'late') throw new Error(`the server kept the connection for ${ANSWER_TIMEOUT_MS} ms`)
}
