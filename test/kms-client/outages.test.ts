/**
 * Three key servers, each a process of its own behind a network of its own, under load: one is killed, one hangs, one is
 * cut off, one after the other and all at once.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { KesClient, KesConnectionError, KesTimeoutError } from '@latchkey/kms-client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Installation } from '../server-process/installation.ts'
import type { ServerProcess } from '../server-process/server-process.ts'
import { TcpProxy } from './tcp-proxy.ts'

const KEY = 'orders'
const CALLERS = 16
const THINK_MS = 10
/** Servers are started in each; on a busy machine that takes its time. */
const TEST_TIMEOUT_MS = 240_000
const DEADLINE_MS = 10_000
/** Both deadlines are timers of one process, so however busy it is, the client's comes first. */
const GRACE_MS = 1_000

class Node implements AsyncDisposable {
  readonly proxy: TcpProxy
  readonly #installation: Installation
  #process: ServerProcess

  private constructor(installation: Installation, process: ServerProcess, proxy: TcpProxy) {
    this.#installation = installation
    this.#process = process
    this.proxy = proxy
  }

  static async start(key: Buffer): Promise<Node> {
    const installation = await Installation.make({ workers: 1 }) // One process, which can be stopped as a whole.
    const process = await installation.start()
    installation.editConfig('127.0.0.1:0', `127.0.0.1:${process.port}`) // For the next start.
    const node = new Node(installation, process, await TcpProxy.start(process.port))
    await using client = node.client([node])
    await client.importKey(KEY, key)
    return node
  }

  /** Of several, as the admin that they all have. */
  client(nodes: readonly Node[], options: { timeoutMs?: number } = {}): KesClient {
    const { admin, ca } = this.#installation
    return new KesClient({
      endpoint: nodes.map(({ proxy }) => proxy.endpoint),
      ca,
      certificate: { cert: admin.cert, key: admin.key },
      timeoutMs: DEADLINE_MS,
      attemptTimeoutMs: 500,
      ...options,
    })
  }

  async kill(): Promise<void> {
    await this.#process.stop('SIGKILL')
  }

  async restart(): Promise<void> {
    this.#process = await this.#installation.start()
  }

  hang(): void {
    this.#process.kill('SIGSTOP')
  }

  goOn(): void {
    this.#process.kill('SIGCONT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.goOn()
    await this.proxy[Symbol.asyncDispose]()
    await this.#process[Symbol.asyncDispose]()
    this.#installation[Symbol.dispose]()
  }
}

/** Callers that make data keys and decrypt them again, until they are stopped. */
class Load implements AsyncDisposable {
  calls = 0
  late = 0
  readonly failures: unknown[] = []
  #isOver = false
  readonly #callers: Promise<unknown>
  readonly #client: KesClient
  readonly #deadlineMs: number

  constructor(client: KesClient, deadlineMs: number) {
    this.#client = client
    this.#deadlineMs = deadlineMs
    this.#callers = Promise.all(Array.from({ length: CALLERS }, () => this.#caller()))
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#callers
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.#client.close()
  }

  async #caller(): Promise<void> {
    const context = randomBytes(8)
    while (!this.#isOver) {
      const made = await this.#watched(() => this.#client.generateKey(KEY, context))
      if (made === undefined) continue
      const plaintext = await this.#watched(() => this.#client.decrypt(KEY, made.ciphertext, context))
      if (plaintext !== undefined) expect(plaintext).toEqual(made.plaintext)
      await sleep(THINK_MS) // The machine has other tests to run.
    }
  }

  async #watched<Result>(call: () => Promise<Result>): Promise<Result | undefined> {
    this.calls++
    const timer = setTimeout(() => this.late++, this.#deadlineMs + GRACE_MS)
    try {
      return await call()
    } catch (error) {
      this.failures.push(error)
      return undefined
    } finally {
      clearTimeout(timer)
    }
  }
}

let nodes: readonly [Node, Node, Node]

beforeAll(async () => {
  const key = randomBytes(32)
  nodes = [await Node.start(key), await Node.start(key), await Node.start(key)]
})

afterAll(async () => {
  for (const node of nodes) await node[Symbol.asyncDispose]()
})

/** Waits until a server answers calls again, of its own accord: nobody tells the client. */
async function untilInUse({ proxy }: Node): Promise<void> {
  const before = proxy.answeredBytes
  while (proxy.answeredBytes < before + 20_000) await sleep(10)
}

type Step = (node: Node) => unknown

const OUTAGES: readonly [name: string, number: 0 | 1 | 2, begin: Step, end: Step][] = [
  ['killed', 0, (node) => node.kill(), (node) => node.restart()],
  ['stopped as it is', 1, (node) => node.hang(), (node) => node.goOn()],
  ['cut off', 2, (node) => node.proxy.cut(), (node) => node.proxy.heal()],
]

describe('while one of three servers is out, no call fails or is late, and it is used again soon after', {
  timeout: TEST_TIMEOUT_MS,
}, () => {
  test.each(OUTAGES)('%s', async (name, number, begin, end) => {
    const node = nodes[number]
    await using load = new Load(node.client(nodes), DEADLINE_MS)
    await Promise.all(nodes.map(untilInUse))
    await begin(node)
    const before = load.calls
    while (load.calls < before + 1_000) await sleep(10)
    await end(node)
    const backMs = performance.now()
    await untilInUse(node)
    const recoveryMs = Math.round(performance.now() - backMs)
    await load.stop()
    console.log(
      `${name}: ${load.failures.length} of ${load.calls} calls failed; in use ${recoveryMs} ms after its return`,
    )
    expect(load.failures).toEqual([])
    expect(load.late).toBe(0)
  })
})

test('while all are out calls fail by their deadline and not later, and go on with the first that is back', {
  timeout: TEST_TIMEOUT_MS,
}, async () => {
  const [killed, stopped, cut] = nodes
  const deadlineMs = 1_500
  await using load = new Load(killed.client(nodes, { timeoutMs: deadlineMs }), deadlineMs)
  await Promise.all(nodes.map(untilInUse))
  stopped.hang()
  cut.proxy.cut()
  await killed.kill()
  while (load.failures.length < 2 * CALLERS) await sleep(10)
  expect(load.late).toBe(0)
  for (const error of load.failures) {
    expect(error instanceof KesTimeoutError || error instanceof KesConnectionError).toBe(true)
  }

  cut.proxy.heal()
  await untilInUse(cut)
  const { length } = load.failures
  const calls = load.calls
  while (load.calls < calls + 500) await sleep(10)
  expect(load.failures.length - length).toBeLessThanOrEqual(CALLERS) // Those that were under way.

  stopped.goOn()
  await killed.restart()
  await Promise.all(nodes.map(untilInUse))
  expect(load.late).toBe(0)
})
