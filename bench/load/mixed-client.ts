/** One of the clients of a mixed load, with its connections and what it remembers. */
import { type Connection, type LoadReply, type LoadRequest, openConnection } from './connection.ts'
import type { Connector } from './connector.ts'
import type { HttpProtocol } from './target.ts'

export interface MixedClientOptions {
  /** Different for each client of a soak, so that none takes another's names. */
  readonly id: string
  readonly protocol: HttpProtocol
  readonly admin: Connector
  readonly stranger: Connector
  /** Keys that exist and are enabled. */
  readonly steadyKeys: readonly string[]
  /** A key that is disabled. */
  readonly lockedKey: string
  /** In [0, 1). */
  readonly random: () => number
}

const CIPHERTEXTS_MAX = 64

interface Remembered {
  readonly key: string
  readonly ciphertext: string
}

export class MixedClient {
  readonly protocol: HttpProtocol
  readonly admin: Connector
  readonly lockedKey: string
  readonly random: () => number
  /** Requests of the admin, who may do everything. */
  readonly connection: Connection
  readonly #stranger: Connection
  readonly #id: string
  readonly #steadyKeys: readonly string[]
  readonly #ciphertexts: Remembered[] = []
  #names = 0

  constructor(options: MixedClientOptions) {
    this.protocol = options.protocol
    this.admin = options.admin
    this.lockedKey = options.lockedKey
    this.random = options.random
    this.connection = openConnection(options.admin, options.protocol)
    this.#stranger = openConnection(options.stranger, options.protocol)
    this.#id = options.id
    this.#steadyKeys = options.steadyKeys
  }

  /** @throws Error if the reply has another status. */
  async expect(status: number, request: LoadRequest): Promise<LoadReply> {
    return await expectStatus(this.connection, status, request)
  }

  /** The same as somebody whom no policy allows anything. */
  async expectAsStranger(status: number, request: LoadRequest): Promise<void> {
    await expectStatus(this.#stranger, status, request)
  }

  steadyKey(): string {
    return this.choose(this.#steadyKeys)
  }

  /** A name that no key has had. */
  freshName(): string {
    this.#names += 1
    return `soak-${this.#id}-${this.#names}`
  }

  choose<Item>(items: readonly Item[]): Item {
    const item = items[Math.floor(this.random() * items.length)]
    if (item === undefined) throw new RangeError('nothing to choose from')
    return item
  }

  remember(remembered: Remembered): void {
    if (this.#ciphertexts.length === CIPHERTEXTS_MAX) this.#ciphertexts.shift()
    this.#ciphertexts.push(remembered)
  }

  /** One that was remembered; undefined if there is none yet. */
  recall(): Remembered | undefined {
    return this.#ciphertexts[Math.floor(this.random() * this.#ciphertexts.length)]
  }

  destroy(): void {
    this.connection.destroy()
    this.#stranger.destroy()
  }
}

async function expectStatus(
  connection: Connection,
  expected: number,
  request: LoadRequest,
): Promise<LoadReply> {
  const reply = await connection.send(request).reply
  if (reply.status === expected) return reply
  const { method, path } = request
  throw new Error(`${method} ${path}: ${reply.status} instead of ${expected}: ${reply.body.trim()}`)
}
