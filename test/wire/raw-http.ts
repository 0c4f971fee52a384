/** HTTP/1.x by hand, for what no client library sends. */
import { once } from 'node:events'
import type { TLSSocket } from 'node:tls'
import type { Credentials } from '../sandbox/certificates.ts'
import type { TestServer } from '../sandbox/server.ts'

/**
 * Sends `text` and reads on until `isEnough` says so, or the server closes the connection.
 *
 * @returns all that the server sent.
 */
export async function exchange(
  server: TestServer,
  text: string | Buffer,
  isEnough: (received: string) => boolean = () => false,
  as?: Credentials | null,
): Promise<string> {
  const socket = await server.connect({ ALPNProtocols: ['http/1.1'], ...(as === undefined ? {} : { as }) })
  try {
    socket.write(text)
    return await readUntil(socket, isEnough)
  } finally {
    socket.destroy()
  }
}

export async function readUntil(socket: TLSSocket, isEnough: (received: string) => boolean): Promise<string> {
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    if (isEnough(received)) socket.emit('enough')
  })
  await new Promise((resolve) => socket.once('enough', resolve).once('close', resolve))
  return received
}

/** Resolves with the time that passed when the connection is closed. */
export async function untilClosed(socket: TLSSocket): Promise<number> {
  const startedMs = performance.now()
  socket.resume()
  if (!socket.destroyed) await once(socket, 'close')
  return performance.now() - startedMs
}

export function statusesOf(received: string): number[] {
  return [...received.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map(([, status]) => Number(status))
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Polls, because what is waited for has no event. */
export async function until(isReached: () => boolean, timeoutMs = 5_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!isReached()) {
    if (performance.now() > deadlineMs) throw new Error('waited in vain')
    await sleep(5)
  }
}
