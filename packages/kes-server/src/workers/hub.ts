/**
 * What acts on the whole server, however many processes it has.
 *
 * One process writes to the store: the only one, or the supervisor of several workers. Stages ask the hub and need not
 * know which of both they are in. Whatever crosses it may have to cross to another process, so it is plain data.
 */
import { setImmediate as laterTurn } from 'node:timers/promises'
import { RequestTimeoutError } from '../errors.ts'
import { authorize } from '../http/access.ts'
import type { Api, Call, Reply, Services } from '../http/routes.ts'
import type { Metrics, Usage } from '../metrics/metrics.ts'

export interface Hub {
  /**
   * Runs an API with `change`, in the process that writes. If the change restricts the use of keys, the
   * result is there only when every process has taken note, and what it had begun before has ended.
   */
  change(services: Services, api: Api, call: Call): Reply | Promise<Reply>
  /** What all processes have counted, and hold. */
  usage(): Usage | Promise<Usage>
  /** Afterwards the descriptions of this process's ring tell of the uses in all processes. */
  gatherUses(): Promise<void>
  /** Calls back soon after the store was changed, by whichever process; once for several changes, perhaps. */
  onChange(listener: () => void): void
  /**
   * What must have ended before this process acknowledges a change, or passes a barrier if it is the only one: `task` is
   * called for each, and its promise waited for.
   */
  beforeAcknowledging(task: () => Promise<void>): void
  /**
   * Fulfilled when every process has taken note of what is committed now, and what it had begun before has ended. For
   * changes that no API call makes. In the process that writes only.
   */
  barrier(): Promise<void>
}

/**
 * One process that does everything: a change that has been committed holds at once. One that restricts is answered in a
 * later turn, because Node's HTTP/2 writes the replies of uses before it only at the end of theirs.
 */
export class SingleProcess implements Hub {
  readonly #metrics: Metrics
  readonly #listeners: (() => void)[] = []
  readonly #tasks: (() => Promise<void>)[] = []

  constructor(metrics: Metrics) {
    this.#metrics = metrics
  }

  change(services: Services, api: Api, call: Call): Reply | Promise<Reply> {
    if (api.change === 'restricts') return this.#restrict(services, api, call)
    if (api.change === 'nothing') return api.run(services, call)
    const opening = whenWritable(services, api, call)
    if (opening === undefined) return this.#run(services, api, call)
    return opening.then(() => this.#run(services, api, call))
  }

  #run(services: Services, api: Api, call: Call): Reply | Promise<Reply> {
    try {
      return api.run(services, call)
    } finally {
      this.#announce() // Also after an error: a commit that failed may have happened all the same.
    }
  }

  async #restrict(services: Services, api: Api, call: Call): Promise<Reply> {
    try {
      await whenWritable(services, api, call)
      return await this.#run(services, api, call)
    } finally {
      await laterTurn()
    }
  }

  usage(): Usage {
    return this.#metrics.usage()
  }

  gatherUses(): Promise<void> {
    return Promise.resolve()
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener)
  }

  beforeAcknowledging(task: () => Promise<void>): void {
    this.#tasks.push(task)
  }

  async barrier(): Promise<void> {
    this.#announce()
    await laterTurn()
    await Promise.all(this.#tasks.map((task) => task()))
    await laterTurn() // So that what the tasks have let go has left the process, too.
  }

  #announce(): void {
    for (const listener of this.#listeners) listener()
  }
}

/**
 * When the store can be written. What may have changed meanwhile is asked again then; the body of a call that is not
 * made may have a key in it.
 *
 * @returns undefined: now.
 * @throws as its rejection, KesError if the store can't be written, the rules have changed, or the client has been
 *   answered otherwise.
 */
export function whenWritable(services: Services, api: Api, call: Call): Promise<void> | undefined {
  return services.store
    .whenWritable(api.action ?? 'change key')
    ?.then(() => {
      if (performance.now() > call.latestMs) throw new RequestTimeoutError()
      authorize(services, api, call)
    })
    .catch((error) => {
      call.body?.fill(0)
      throw error
    })
}
