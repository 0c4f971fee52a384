/** Connections that end otherwise than they should, and what is left of them. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { TLSSocket } from 'node:tls'
import { queryObjects } from 'node:v8'
import { expect, test } from 'vitest'
import { startTestServer } from '../sandbox/server.ts'
import type { NonsensePlan } from './nonsense-clients.ts'

/** Of all that is still reachable. */
function countSockets(): number {
  return queryObjects(TLSSocket, { format: 'count' })
}

test.each(['h2', 'http/1.1'])('nothing is left of clients that talk nonsense over %s', async (protocol) => {
  await using server = await startTestServer({})
  const { hostname: host, port } = new URL(server.url)
  const { key, cert } = server.admin
  const options = { host, port: Number(port), ca: server.ca, key, cert, ALPNProtocols: [protocol] }
  const before = countSockets()
  const clients = fork(new URL('nonsense-clients.ts', import.meta.url))
  clients.send({ options, clients: 16, connections: 80 } satisfies NonsensePlan)
  expect(await once(clients, 'exit')).toEqual([0, null])
  await expect.poll(countSockets, { timeout: 5_000 }).toBeLessThanOrEqual(before)
})
