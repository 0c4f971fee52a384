/** One audit file that is being written: whole batches of lines, each on the disk before the next one begins. */
import type { FileHandle, open } from 'node:fs/promises'

export type OpenFile = typeof open

export class AuditFile {
  readonly number: number
  readonly openedMs: number
  readonly #handle: FileHandle
  /** Up to here everything is on the disk; behind it may stand what a failed write has left. */
  #bytes: number
  #hasRest = false

  constructor(handle: FileHandle, number: number, openedMs: number, bytes: number) {
    this.#handle = handle
    this.number = number
    this.openedMs = openedMs
    this.#bytes = bytes
  }

  get bytes(): number {
    return this.#bytes
  }

  /**
   * All of it is on the disk when the promise is fulfilled. When it rejects nothing of it counts: the file goes on
   * where it was before.
   */
  async append(lines: Buffer): Promise<void> {
    try {
      if (this.#hasRest) await this.#cutRest()
      for (let at = 0; at < lines.length; ) {
        // At a position, because an earlier write may have failed after a part of its bytes.
        const { bytesWritten } = await this.#handle.write(lines, at, lines.length - at, this.#bytes + at)
        at += bytesWritten
      }
      await this.#handle.datasync()
      this.#bytes += lines.length
    } catch (error) {
      this.#hasRest = true
      await this.#cutRest().catch(() => {}) // Tried again before the next write, which fails if this does.
      throw error
    }
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  async #cutRest(): Promise<void> {
    await this.#handle.truncate(this.#bytes)
    this.#hasRest = false
  }
}
