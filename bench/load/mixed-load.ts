/** Everything that clients do, good and bad, by several at a time; each answer is checked for what it must be. */
import { openConnection } from './connection.ts'
import { Connector } from './connector.ts'
import type { MixedPlan, MixedResult } from './messages.ts'
import { MixedClient } from './mixed-client.ts'
import { MIXED_TASKS } from './mixed-tasks.ts'
import { chooseWeighted, seededRandom } from './random.ts'

const EXAMPLES_MAX = 5
const STEADY_KEYS = ['soak-0', 'soak-1', 'soak-2', 'soak-3']
const LOCKED_KEY = 'soak-locked'

export class MixedLoad {
  readonly #plan: MixedPlan
  readonly #admin: Connector
  readonly #stranger: Connector
  #rounds = 0

  constructor(plan: MixedPlan) {
    this.#plan = plan
    this.#admin = new Connector(plan.target)
    this.#stranger = new Connector({ ...plan.target, ...plan.stranger })
  }

  /** Makes the keys that the tasks use. */
  async prepare(): Promise<void> {
    const connection = openConnection(this.#admin, 'h2')
    const put = async (path: string): Promise<void> => {
      const { status, body } = await connection.send({ method: 'PUT', path }).reply
      if (status !== 200) throw new Error(`PUT ${path}: ${status} ${body.trim()}`)
    }
    try {
      for (const name of [...STEADY_KEYS, LOCKED_KEY]) await put(`/v1/key/create/${name}`)
      await put(`/v1/key/disable/${LOCKED_KEY}`)
    } finally {
      connection.destroy()
    }
  }

  /** Every connection that this opens is closed when it returns. */
  async run(durationMs: number): Promise<MixedResult> {
    this.#rounds += 1
    const counts: Record<string, number> = {}
    const examples: string[] = []
    let unexpected = 0
    const endMs = performance.now() + durationMs

    const work = async (number: number): Promise<void> => {
      const client = new MixedClient({
        id: `${this.#rounds}-${number}`,
        protocol: number % 2 === 0 ? 'h2' : 'http/1.1',
        admin: this.#admin,
        stranger: this.#stranger,
        steadyKeys: STEADY_KEYS,
        lockedKey: LOCKED_KEY,
        random: seededRandom(this.#plan.seed + this.#rounds * 1000 + number),
      })
      try {
        while (performance.now() < endMs) {
          const { name, run } = chooseWeighted(MIXED_TASKS, client.random())
          try {
            await run(client)
          } catch (error) {
            unexpected += 1
            const text = error instanceof Error ? error.message : String(error)
            if (examples.length < EXAMPLES_MAX) examples.push(`${name}, ${client.protocol}: ${text}`)
          }
          counts[name] = (counts[name] ?? 0) + 1
        }
      } finally {
        client.destroy()
      }
    }
    await Promise.all(Array.from({ length: this.#plan.workers }, (_, number) => work(number)))
    return { counts, unexpected, examples }
  }
}
