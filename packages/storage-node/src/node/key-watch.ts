/**
 * Ends reads whose key has been locked. The key server tells as it happens; where it can't be heard, it is asked once a
 * second about the keys that reads rest on.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { type Kms, KmsError } from '@latchkey/kms-client/kms'
import type { ReadGuards } from '../s3/read-guards.ts'

const RETRY_MS = 1000
/** A policy without the watch is no failure: most have none, and a change of it comes seldom. */
const REFUSED_RETRY_MS = 60_000

type WatchedKms = Pick<Kms, 'watchLocks' | 'generateKey'>

export class KeyWatch implements AsyncDisposable {
  readonly #kms: WatchedKms
  readonly #reads: ReadGuards
  readonly #stop = new AbortController()
  readonly #running: Promise<unknown>
  #isListening = false

  constructor(kms: WatchedKms, reads: ReadGuards) {
    this.#kms = kms
    this.#reads = reads
    this.#running = Promise.all([this.#listen(), this.#ask()])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  async #listen(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      let retryMs = RETRY_MS
      try {
        const onOpen = () => {
          this.#isListening = true
        }
        for await (const key of this.#kms.watchLocks({ signal, onOpen })) this.#reads.lock(key)
      } catch (error) {
        if (!signal.aborted && !(error instanceof KmsError)) throw error
        if (error instanceof KmsError && error.reason === 'not-allowed') retryMs = REFUSED_RETRY_MS
      }
      this.#isListening = false
      await this.#pause(retryMs)
    }
  }

  async #ask(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#pause(RETRY_MS)
      if (this.#isListening) continue
      await Promise.all(this.#reads.keysInUse().map((key) => this.#askAbout(key)))
    }
  }

  /** By what every node may do: make a data key. A key server that is out of reach says nothing of its keys. */
  async #askAbout(key: string): Promise<void> {
    try {
      const made = await this.#kms.generateKey({ key, signal: this.#stop.signal })
      made.plaintext[Symbol.dispose]()
    } catch (error) {
      if (!(error instanceof KmsError) && !this.#stop.signal.aborted) throw error
      const isLocked = error instanceof KmsError && LOCKED.includes(error.reason)
      if (isLocked) this.#reads.lock(key)
    }
  }

  async #pause(ms: number): Promise<void> {
    const { signal } = this.#stop
    await delay(ms, undefined, { signal, ref: false }).catch(() => {}) // Ends early at a stop.
  }
}

const LOCKED: readonly KmsError['reason'][] = ['locked', 'erased', 'not-allowed']
