/** Brings the entries of one directory to the disk, once for all who wait. */
import { DiskFile } from './disk-file.ts'

export class DirectorySync {
  readonly #path: string
  #directory: DiskFile | undefined
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(path: string) {
    this.#path = path
  }

  /** Resolves once every entry that is there now is on the disk. */
  sync(): Promise<void> {
    // One that has begun may have missed the last entries, so who comes meanwhile waits for the one after it.
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running.then(
      () => this.#start(),
      () => this.#start(),
    )
    return this.#next
  }

  /** Nobody may be waiting any more. */
  close(): void {
    this.#directory?.close()
    this.#directory = undefined
  }

  #start(): Promise<void> {
    this.#next = undefined
    this.#running = this.#syncNow().finally(() => {
      // The one after this has taken its place, if there is one.
      if (this.#next === undefined) this.#running = undefined
    })
    return this.#running
  }

  async #syncNow(): Promise<void> {
    this.#directory ??= DiskFile.open(this.#path)
    await this.#directory.sync()
  }
}

/** Brings the entries of a directory to the disk, for one who waits alone. */
export async function syncDirectory(path: string): Promise<void> {
  using directory = DiskFile.open(path)
  await directory.sync()
}
