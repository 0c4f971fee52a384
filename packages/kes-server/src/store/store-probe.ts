/**
 * Asks the disk of a store whether the store is there, beside the event loop: a disk that hangs holds no request up.
 *
 * The file is opened once and stays open until SQLite has let go of it, for the reason that `store-files.ts` has.
 */
import { closeSync, fstatSync, openSync, read, type Stats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { StoreUnavailableError, StoreUnreachableError } from '../errors.ts'

/** SQLite's header. Its page is as hot as those that a key's row is found by: what hangs there hangs here first. */
const HEADER_BYTES = 100

const readFrom = promisify(read)

export class StoreProbe {
  readonly #path: string
  readonly #descriptor: number
  readonly #opened: Stats
  #asking: Promise<void> | undefined

  /** @param path - a store that SQLite has opened. @throws what `node:fs` does. */
  constructor(path: string) {
    this.#path = path
    this.#descriptor = openSync(path, 'r')
    this.#opened = fstatSync(this.#descriptor)
  }

  /**
   * Fulfilled when the disk has answered. However many ask, the disk is asked by one at a time.
   *
   * @throws {@link StoreUnreachableError} (504) if the store's file is gone or another one.
   * @throws {@link StoreUnavailableError} (502) if it can't be read.
   */
  look(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined
    })
    return this.#asking
  }

  /** Both at once: each answer takes a turn of the event loop to be heard, which may be long while there is much to do. */
  async #ask(): Promise<void> {
    const path = this.#path
    const [found, header] = await Promise.allSettled([
      stat(path),
      readFrom(this.#descriptor, Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0),
    ])
    if (found.status === 'rejected')
      throw new StoreUnreachableError({ detail: `'${path}' is gone`, cause: found.reason })
    if (found.value.ino !== this.#opened.ino || found.value.dev !== this.#opened.dev)
      throw new StoreUnreachableError({ detail: `'${path}' is another file than the one that was opened` })
    if (header.status === 'rejected')
      throw new StoreUnavailableError({
        detail: `the store '${path}' can not be read`,
        cause: header.reason,
      })
  }

  /** Only when SQLite has closed the file. A read that is under way then is of no use to anybody. */
  close(): void {
    closeSync(this.#descriptor)
  }
}
