/** Live log streams: each event goes to whoever is listening, and nobody may slow the server by not reading. */
import type { Writable } from 'node:stream'

/** A reader that is this many bytes behind is cut. */
const BEHIND_BYTES_MAX = 1024 * 1024

/** A response: HTTP/1.1's own, or the stream of an HTTP/2 exchange. */
export type StreamReader = Pick<Writable, 'write' | 'writableLength' | 'destroy' | 'on'>

export class Broadcast {
  readonly #readers = new Set<StreamReader>()
  readonly #onSent: () => void

  /** @param onSent - called once for each event and reader; the metrics count these. */
  constructor(onSent: () => void) {
    this.#onSent = onSent
  }

  get hasReaders(): boolean {
    return this.#readers.size > 0
  }

  add(reader: StreamReader): void {
    this.#readers.add(reader)
    reader.on('close', () => this.#readers.delete(reader))
  }

  send(line: string): void {
    for (const reader of this.#readers) {
      if (reader.writableLength > BEHIND_BYTES_MAX) {
        this.#readers.delete(reader)
        reader.destroy()
        continue
      }
      reader.write(line)
      this.#onSent()
    }
  }

  /** Ends every stream, so that its connection can close. */
  close(): void {
    for (const reader of this.#readers) reader.destroy()
    this.#readers.clear()
  }
}
