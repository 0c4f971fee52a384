/** Live log streams: each event goes to whoever is listening, and nobody may slow the server by not reading. */
import type { Writable } from 'node:stream'

/** A reader that is this many bytes behind is cut. */
const BEHIND_BYTES_MAX = 1024 * 1024

/** A response: HTTP/1.1's own, or the stream of an HTTP/2 exchange. */
export type StreamReader = Pick<Writable, 'write' | 'writableLength' | 'destroy' | 'on'>

/** One of the logs, as a stream to whoever asks for it. */
export interface LogStream {
  /** Whether anybody would see an event: if not, it need not be made. */
  readonly isWanted: boolean
  send(line: string): void
  /**
   * What is sent when the promise is fulfilled, and later, reaches a reader that is added then. Until it is added or
   * closed, the stream stays open for it.
   */
  open(reader: StreamReader): Promise<void>
  /** After it was opened: whoever listens to its end since then finds it gone. */
  add(reader: StreamReader): void
  /** Ends every stream, so that its connection can close. */
  close(): void
}

export class Broadcast implements LogStream {
  readonly #readers = new Set<StreamReader>()
  /** Opened, and not added yet. */
  readonly #coming = new Set<StreamReader>()
  readonly #onSent: () => void

  /** @param onSent - called once for each event and reader; the metrics count these. */
  constructor(onSent: () => void) {
    this.#onSent = onSent
  }

  get isWanted(): boolean {
    return this.#readers.size > 0 || this.#coming.size > 0
  }

  open(reader: StreamReader): Promise<void> {
    this.#coming.add(reader)
    reader.on('close', () => {
      this.#coming.delete(reader)
      this.#readers.delete(reader)
    })
    return Promise.resolve()
  }

  add(reader: StreamReader): void {
    this.#coming.delete(reader)
    this.#readers.add(reader)
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

  close(): void {
    for (const reader of this.#readers) reader.destroy()
    this.#readers.clear()
  }
}
