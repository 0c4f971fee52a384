/**
 * Reads under way, and the external keys they rest on: once the key server says that a key is locked, no package of its
 * objects is opened any more. Who tells is `node/key-watch.ts`; here is who listens.
 */
import { decodeEncryption, type Metadata } from '../sse/metadata.ts'

/** Ends with the read that it guards. */
export interface ReadGuard extends Disposable {
  /** Aborted once the key is locked. */
  readonly signal: AbortSignal
}

/** The key of an object was locked while it was read. */
export class KeyLockedError extends Error {
  override readonly name = 'KeyLockedError'
  constructor(key: string) {
    super(`key '${key}' was locked during the read`)
  }
}

export class ReadGuards {
  readonly #reads = new Map<string, Set<AbortController>>()

  /** @returns undefined for an object that no key of the key server opens. */
  guard(internal: Metadata): ReadGuard | undefined {
    const stored = decodeEncryption(internal)
    return stored === undefined || stored.kind === 'SSE-C'
      ? undefined
      : this.#watch(stored.dataKey.externalKey)
  }

  #watch(key: string): ReadGuard {
    const controller = new AbortController()
    const reads = this.#reads.get(key) ?? new Set()
    reads.add(controller)
    this.#reads.set(key, reads)
    return {
      signal: controller.signal,
      [Symbol.dispose]: () => {
        reads.delete(controller)
        if (reads.size === 0 && this.#reads.get(key) === reads) this.#reads.delete(key)
      },
    }
  }

  /** The keys that reads under way rest on. */
  keysInUse(): string[] {
    return [...this.#reads.keys()]
  }

  /** Ends the reads under this key. */
  lock(key: string): void {
    const reads = this.#reads.get(key)
    this.#reads.delete(key)
    for (const controller of reads ?? []) controller.abort(new KeyLockedError(key))
  }
}
