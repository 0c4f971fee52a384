/** Several fake servers, whose behaviour can be changed one by one while they run. */
import { type FakeServer, type Handler, startFakeServer } from './fake-server.ts'

export class Group implements AsyncDisposable {
  /** What each server does with a request; may be set anew at any time. */
  readonly handlers: Handler[]
  readonly #servers: FakeServer[] = []
  readonly #counts: number[]

  private constructor(count: number, handler: Handler) {
    this.handlers = Array.from({ length: count }, () => handler)
    this.#counts = this.handlers.map(() => 0)
  }

  static async start(count: number, handler: Handler): Promise<Group> {
    const group = new Group(count, handler)
    for (let number = 0; number < count; number++) {
      group.#servers.push(
        await startFakeServer((request, response) => {
          group.#counts[number] = (group.#counts[number] ?? 0) + 1
          response.stream?.on('error', () => {})
          return group.handlers[number]?.(request, response)
        }),
      )
    }
    return group
  }

  /** `127.0.0.1:port` of each. */
  get endpoints(): string[] {
    return this.#servers.map(({ endpoint }) => endpoint)
  }

  get cas(): string[] {
    return this.#servers.map(({ ca }) => ca)
  }

  /** How many requests each server has had since the last reset. */
  counts(): readonly number[] {
    return [...this.#counts]
  }

  total(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0)
  }

  reset(): void {
    this.#counts.fill(0)
  }

  /** Nothing listens at its endpoint any more. */
  async stop(number: number): Promise<void> {
    await this.#servers[number]?.[Symbol.asyncDispose]()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server[Symbol.asyncDispose]()))
  }
}
