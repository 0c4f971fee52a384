/** One operation again and again, by so many at a time, each as soon as its last one was answered. */
import { percentile } from '../statistics.ts'
import { type Connection, type LoadRequest, openConnection } from './connection.ts'
import { Connector } from './connector.ts'
import type { UniformPlan, UniformResult } from './messages.ts'

/** The context that MinIO sends for an object. */
const CONTEXT = Buffer.from('{"bucket/object":"bucket/object"}').toString('base64')

interface Tally {
  /** Of the requests that succeeded. */
  readonly latenciesMs: number[]
  failures: number
  firstFailure: string | undefined
}

export class UniformLoad {
  readonly #plan: UniformPlan
  readonly #connector: Connector
  readonly #connections: readonly Connection[]
  #request: LoadRequest = { method: 'GET', path: '/version' }

  constructor(plan: UniformPlan) {
    this.#plan = plan
    this.#connector = new Connector(plan.target)
    const count = plan.protocol === 'h2' ? plan.connections : plan.concurrency
    this.#connections = Array.from({ length: count }, () => openConnection(this.#connector, plan.protocol))
  }

  async prepare(): Promise<void> {
    this.#request = await this.#makeRequest()
    await this.#repeat(this.#plan.warmUp)
  }

  async run(): Promise<UniformResult> {
    const startedMs = performance.now()
    const cpu = process.cpuUsage()
    const { latenciesMs, failures, firstFailure } = await this.#repeat(this.#plan.requests)
    const elapsedMs = performance.now() - startedMs
    const { user, system } = process.cpuUsage(cpu)
    for (const connection of this.#connections) connection.destroy()
    latenciesMs.sort((a, b) => a - b)
    const at = (q: number): number => (latenciesMs.length === 0 ? 0 : percentile(latenciesMs, q))
    return {
      requestsPerSecond: (latenciesMs.length * 1000) / elapsedMs,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      failures,
      ...(firstFailure === undefined ? {} : { firstFailure }),
      loadBusy: (user + system) / 1000 / elapsedMs,
    }
  }

  async #repeat(requests: number): Promise<Tally> {
    const tally: Tally = { latenciesMs: [], failures: 0, firstFailure: undefined }
    let left = requests
    const worker = async (connection: Connection | undefined): Promise<void> => {
      while (left > 0) {
        left -= 1
        const startedMs = performance.now()
        try {
          await this.#once(connection)
          tally.latenciesMs.push(performance.now() - startedMs)
        } catch (error) {
          tally.failures += 1
          tally.firstFailure ??= error instanceof Error ? error.message : String(error)
        }
      }
    }
    const { concurrency, operation } = this.#plan
    const workers = Array.from({ length: concurrency }, (_, number) =>
      worker(operation === 'connect' ? undefined : this.#connections[number % this.#connections.length]),
    )
    await Promise.all(workers)
    return tally
  }

  /** @param connection - undefined for one that is opened for this request alone. */
  async #once(connection: Connection | undefined): Promise<void> {
    if (connection !== undefined) return await this.#ask(connection)
    const own = openConnection(this.#connector, this.#plan.protocol)
    try {
      await this.#ask(own)
    } finally {
      own.destroy()
    }
  }

  async #ask(connection: Connection): Promise<void> {
    const { status, body } = await connection.send(this.#request).reply
    if (status !== 200) throw new Error(`${status} ${body.trim()}`)
  }

  async #makeRequest(): Promise<LoadRequest> {
    const { operation, keyName } = this.#plan
    if (operation === 'version') return { method: 'GET', path: '/version' }
    if (operation === 'connect') return { method: 'GET', path: '/v1/ready' }
    const generate = {
      method: 'PUT',
      path: `/v1/key/generate/${keyName}`,
      body: JSON.stringify({ context: CONTEXT }),
    } as const
    if (operation === 'generate') return generate
    const [connection] = this.#connections
    const reply = await connection?.send(generate).reply
    const { ciphertext } = JSON.parse(reply?.body ?? '') as { readonly ciphertext: string }
    return {
      method: 'PUT',
      path: `/v1/key/decrypt/${keyName}`,
      body: JSON.stringify({ ciphertext, context: CONTEXT }),
    }
  }
}
