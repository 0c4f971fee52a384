/** Lets changes of one key come one after the other; others don't wait. */
export class KeyLocks {
  readonly #last = new Map<string, Promise<void>>()

  async run<Result>(key: string, change: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key)
    const running = before === undefined ? change() : before.then(change)
    const ended = running.then(ignore, ignore)
    this.#last.set(key, ended)
    try {
      return await running
    } finally {
      if (this.#last.get(key) === ended) this.#last.delete(key)
    }
  }
}

function ignore(): void {}
