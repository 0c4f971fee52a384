/** What the clients of a mixed load do, and how often. A task throws if an answer is not what it must be. */
import { setTimeout as delay } from 'node:timers/promises'
import type { MixedClient } from './mixed-client.ts'
import type { Weighted } from './random.ts'
import { RUDE_MANNERS } from './rude-client.ts'

export interface MixedTask extends Weighted {
  readonly name: string
  readonly run: (client: MixedClient) => Promise<unknown>
}

const CONTEXT = Buffer.from('soak').toString('base64')
const GENERATE_BODY = JSON.stringify({ context: CONTEXT })
const BODY_BYTES_MAX = 1_000_000

export const MIXED_TASKS: readonly MixedTask[] = [
  { name: 'generate', weight: 30, run: generate },
  { name: 'decrypt', weight: 30, run: decrypt },
  { name: 'describe', weight: 10, run: describe },
  { name: 'list', weight: 3, run: list },
  { name: 'status', weight: 2, run: status },
  { name: 'life of a key', weight: 2, run: lifeOfKey },
  { name: 'refused', weight: 10, run: refused },
  { name: 'too large', weight: 0.2, run: tooLarge },
  { name: 'aborted', weight: 8, run: aborted },
  { name: 'connection dropped', weight: 4, run: connectionDropped },
  { name: 'log stream', weight: 1, run: logStream },
]

async function generate(client: MixedClient): Promise<void> {
  const key = client.steadyKey()
  const path = `/v1/key/generate/${key}`
  const { body } = await client.expect(200, { method: 'PUT', path, body: GENERATE_BODY })
  const { ciphertext } = JSON.parse(body) as { readonly ciphertext: string }
  client.remember({ key, ciphertext })
}

async function decrypt(client: MixedClient): Promise<void> {
  const known = client.recall()
  if (known === undefined) return
  const body = JSON.stringify({ ciphertext: known.ciphertext, context: CONTEXT })
  await client.expect(200, { method: 'PUT', path: `/v1/key/decrypt/${known.key}`, body })
}

async function describe(client: MixedClient): Promise<void> {
  await client.expect(200, { method: 'GET', path: `/v1/key/describe/${client.steadyKey()}` })
}

async function list(client: MixedClient): Promise<void> {
  const path = client.choose(['/v1/key/list/soak-*', '/v1/key/list/', '/v1/key/list/soak-*?details=true'])
  await client.expect(200, { method: 'GET', path })
}

async function status(client: MixedClient): Promise<void> {
  const path = client.choose(['/v1/ready', '/v1/status', '/v1/metrics', '/version', '/v1/api'])
  await client.expect(200, { method: 'GET', path })
}

async function lifeOfKey(client: MixedClient): Promise<void> {
  const name = client.freshName()
  const put = (expected: number, call: string) =>
    client.expect(expected, { method: 'PUT', path: `/v1/key/${call}/${name}` })
  await put(200, 'create')
  await put(200, 'generate')
  await put(200, 'disable')
  await put(403, 'generate')
  await put(200, 'enable')
  await put(200, 'generate')
  await client.expect(200, { method: 'DELETE', path: `/v1/key/delete/${name}` })
  await put(404, 'generate')
  await put(400, 'create') // Its name stays reserved.
}

async function refused(client: MixedClient): Promise<void> {
  const key = client.steadyKey()
  const decryptPath = `/v1/key/decrypt/${key}`
  const forged = JSON.stringify({ ciphertext: Buffer.alloc(76, 1).toString('base64') })
  const refusal = client.choose([
    () => client.expect(404, { method: 'PUT', path: '/v1/key/generate/nobody-made-this' }),
    () => client.expect(404, { method: 'GET', path: '/v1/no/such/path' }),
    () => client.expect(405, { method: 'GET', path: `/v1/key/generate/${key}` }),
    () => client.expect(400, { method: 'PUT', path: '/v1/key/create/not%20a%20name' }),
    () => client.expect(400, { method: 'PUT', path: `/v1/key/create/${key}` }),
    () => client.expect(400, { method: 'PUT', path: decryptPath, body: '{"ciphertext":' }),
    () => client.expect(400, { method: 'PUT', path: decryptPath, body: forged }),
    () => client.expect(403, { method: 'PUT', path: `/v1/key/generate/${client.lockedKey}` }),
    () => client.expectAsStranger(403, { method: 'PUT', path: `/v1/key/generate/${key}` }),
    () => client.expectAsStranger(403, { method: 'DELETE', path: `/v1/key/delete/${key}` }),
  ])
  await refusal()
}

/** The server may answer and close before the client has sent everything; which of both is seen first is a race. */
async function tooLarge(client: MixedClient): Promise<void> {
  const path = `/v1/key/decrypt/${client.steadyKey()}`
  const reply = await answerOrCut(
    client.connection.send({ method: 'PUT', path, body: 'x'.repeat(BODY_BYTES_MAX + 1) }).reply,
  )
  if (reply !== undefined && reply.status !== 400)
    throw new Error(`too large: ${reply.status} instead of 400`)
}

/** Sent whole or in part, and then given up: at once, or while the server is at it. */
async function aborted(client: MixedClient): Promise<void> {
  const path = `/v1/key/generate/${client.steadyKey()}`
  const isUnfinished = client.random() < 0.5
  const exchange = client.connection.send({ method: 'PUT', path, body: GENERATE_BODY, isUnfinished })
  if (client.random() < 0.8) await delay(client.random() * 3)
  exchange.abort()
  await answerOrCut(exchange.reply)
}

async function connectionDropped(client: MixedClient): Promise<void> {
  const manner = client.choose(Object.keys(RUDE_MANNERS))
  try {
    await RUDE_MANNERS[manner]?.(client.admin, client.protocol)
  } catch (cause) {
    throw new Error(`${manner}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause })
  }
}

/** Opened, listened to for a while, and left without a word. */
async function logStream(client: MixedClient): Promise<void> {
  const path = client.choose(['/v1/log/audit', '/v1/log/error'])
  const exchange = client.connection.send({ method: 'GET', path })
  const head = await exchange.head
  if (head !== 200) throw new Error(`GET ${path}: ${head} instead of 200`)
  await delay(50 + client.random() * 250)
  exchange.abort()
  await answerOrCut(exchange.reply)
}

async function answerOrCut<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer
  } catch {
    return undefined
  }
}
