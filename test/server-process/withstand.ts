/** Lets somebody misbehave towards a server, and makes sure that it costs nobody else anything that lasts. */
import { expect } from 'vitest'
import { PROTOCOLS } from '../sandbox/connection.ts'
import { type ServerProcess, sleep } from './server-process.ts'

/** Far more than any of the attacks needs, and far less than an unbounded one takes. */
const MEMORY_GROWTH_MAX = 320 * 2 ** 20
/** For ever, however busy the machine: the server itself answers nobody later than after 15 s. */
const ANSWER_TIMEOUT_MS = 15_000
const RECOVERY_TIMEOUT_MS = 30_000
const ROUND_MS = 50

/**
 * While `abuse` goes on, another client asks over both protocols and is answered each time; afterwards the server
 * lives, has given back its file descriptors, and holds no more memory than it may.
 */
export async function withstand(server: ServerProcess, abuse: () => Promise<void>): Promise<void> {
  await askHonestly(server)
  const descriptors = server.fileDescriptors()
  const memory = server.memory()
  let peak = memory
  let isOver = false
  const watch = async () => {
    while (!isOver) {
      await askHonestly(server)
      peak = Math.max(peak, server.memory())
      await sleep(ROUND_MS)
    }
  }
  const watching = watch()
  try {
    await abuse()
  } finally {
    isOver = true
    await watching
  }
  await askHonestly(server)
  expect(server.isRunning).toBe(true)
  expect(peak - memory).toBeLessThan(MEMORY_GROWTH_MAX)
  await expect
    .poll(() => server.fileDescriptors(), { timeout: RECOVERY_TIMEOUT_MS, interval: 50 })
    .toBeLessThanOrEqual(descriptors)
}

async function askHonestly(server: ServerProcess): Promise<void> {
  for (const protocol of PROTOCOLS) {
    const answer = server.request('GET', '/v1/key/describe/my-key', { protocol })
    const status = await Promise.race([
      answer.then((reply) => reply.status),
      sleep(ANSWER_TIMEOUT_MS).then(() => `no answer over ${protocol}`),
    ])
    expect(status).toBe(200)
  }
}
