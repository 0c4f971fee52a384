/**
 * `GET /v1/key/watch/<prefix>`: what keys there are and in which state, and then every change, as lines of JSON.
 *
 * A snapshot is read page by page while keys change. Nothing is missed, because the journal is read from where it stood
 * *before* the first page: a change is in the page, or in the journal behind that, or in both. Only when the journal has
 * been sent as far as it reached after the last page does the reader get the end of the snapshot. From then on it is told
 * each change once, in order.
 *
 * The journal is also the buffer. What a reader has not taken yet is not kept for it: its next page is read when it has
 * taken the last one, and a reader that takes nothing for a while is cut.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Journal } from '../journal/journal.ts'
import type { DamagedKey, KeyDescription, KeyRing } from '../keyring/key-ring.ts'

/** A page takes one or two milliseconds; others have their turn behind it. */
const PAGE_KEYS = 50
const PAGE_ENTRIES = 200
/** Clients take a silence of some of these for a dead connection. */
const HEARTBEAT_MS = 5000
/** A reader that takes nothing for so long is cut at the next heartbeat. */
const STALLED_MS = 30_000

/** A response: HTTP/1.1's own, or the stream of an HTTP/2 exchange. */
export interface WatchReader {
  write(chunk: string): boolean
  destroy(): unknown
  on(event: 'close' | 'drain', listener: () => void): unknown
}

export interface Watched {
  readonly prefix: string
  /** Asked at each heartbeat: rights may be taken away while a stream is open. */
  readonly mayGoOn: () => boolean
}

/** Lines of one page of the journal, by the name that each is about. */
interface Changes {
  readonly after: number
  readonly last: number
  readonly lines: readonly { readonly name: string; readonly line: string }[]
}

export class KeyWatch {
  readonly #ring: KeyRing
  readonly #journal: Journal
  readonly #onProblem: (error: unknown) => void
  readonly #readers = new Set<Watcher>()
  readonly #timer: NodeJS.Timeout
  /** Most readers wait for the same page. */
  #changes: Changes | undefined

  /** @param onProblem - told when a stream had to be cut because the store failed. */
  constructor(ring: KeyRing, journal: Journal, onProblem: (error: unknown) => void) {
    this.#ring = ring
    this.#journal = journal
    this.#onProblem = onProblem
    this.#timer = setInterval(() => this.#beat(), HEARTBEAT_MS)
    this.#timer.unref()
  }

  add(reader: WatchReader, watched: Watched): void {
    const watcher = new Watcher(reader, watched)
    this.#readers.add(watcher)
    this.#serve(watcher)
      .catch(this.#onProblem)
      .finally(() => {
        this.#readers.delete(watcher)
        watcher.cut()
      })
  }

  /** The journal may have grown. */
  wake(): void {
    this.#changes = undefined
    for (const watcher of this.#readers) watcher.wake()
  }

  /** Ends every stream, so that its connection can close. */
  close(): void {
    clearInterval(this.#timer)
    for (const watcher of this.#readers) watcher.cut()
  }

  async #serve(watcher: Watcher): Promise<void> {
    watcher.epoch = this.#journal.head().number // Before the first page.
    for (let after: string | undefined; !watcher.isClosed; ) {
      const keys = this.#ring.descriptions(watcher.prefix, after, PAGE_KEYS)
      after = keys.at(-1)?.name
      if (after === undefined) break
      await watcher.write(keys.map(snapshotLine).join(''))
    }
    const head = this.#journal.head().number
    for (let hasEnded = false; !watcher.isClosed; ) {
      if (!hasEnded && watcher.epoch >= head) {
        hasEnded = true
        watcher.isLive = true
        await watcher.write(lineOf({ event: 'snapshot-end', epoch: watcher.epoch }))
      }
      const { lines, last } = this.#changesAfter(watcher.epoch)
      if (last === watcher.epoch) await watcher.woken()
      else {
        watcher.epoch = last
        const own = lines.filter(({ name }) => name.startsWith(watcher.prefix))
        await watcher.write(own.map(({ line }) => line).join(''))
      }
    }
  }

  #changesAfter(after: number): Changes {
    if (this.#changes?.after !== after) {
      const entries = this.#journal.changes(after, PAGE_ENTRIES)
      const lines = entries.flatMap(({ number, name, entry }) =>
        name === '' ? [] : { name, line: changeLine(number, name, entry) },
      )
      this.#changes = { after, lines, last: entries.at(-1)?.number ?? after }
    }
    return this.#changes
  }

  #beat(): void {
    this.wake()
    for (const watcher of this.#readers) {
      if (watcher.isStalled() || !watcher.mayGoOn()) watcher.cut()
      else if (watcher.isLive && !watcher.isFull) {
        watcher.send(lineOf({ event: 'heartbeat', epoch: watcher.epoch }))
      }
    }
  }
}

/** One reader, and how far it is. */
class Watcher {
  readonly prefix: string
  readonly mayGoOn: () => boolean
  /** Number of the last entry that it has been sent, or that it needs not be sent. */
  epoch = 0
  /** Whether it has had its snapshot. */
  isLive = false
  isClosed = false
  readonly #reader: WatchReader
  #fullSinceMs: number | undefined
  #isWoken = false
  #resume: (() => void) | undefined

  constructor(reader: WatchReader, { prefix, mayGoOn }: Watched) {
    this.prefix = prefix
    this.mayGoOn = mayGoOn
    this.#reader = reader
    reader.on('drain', () => {
      this.#fullSinceMs = undefined
      this.#goOn()
    })
    reader.on('close', () => {
      this.isClosed = true
      this.#goOn()
    })
  }

  get isFull(): boolean {
    return this.#fullSinceMs !== undefined
  }

  isStalled(): boolean {
    return this.#fullSinceMs !== undefined && performance.now() - this.#fullSinceMs > STALLED_MS
  }

  send(text: string): void {
    if (text !== '' && !this.isClosed && !this.#reader.write(text)) this.#fullSinceMs ??= performance.now()
  }

  /** Ends when there is room for more, or the reader has gone; in a later turn at the earliest. */
  async write(text: string): Promise<void> {
    this.send(text)
    await nextTurn()
    while (this.isFull && !this.isClosed) await this.#pause()
  }

  /** Ends when the journal may have grown since the last call, or the reader has gone. */
  async woken(): Promise<void> {
    while (!this.#isWoken && !this.isClosed) await this.#pause()
    this.#isWoken = false
  }

  wake(): void {
    this.#isWoken = true
    this.#goOn()
  }

  cut(): void {
    this.isClosed = true
    this.#reader.destroy()
    this.#goOn()
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve
    })
  }

  #goOn(): void {
    this.#resume?.()
    this.#resume = undefined
  }
}

function snapshotLine(key: KeyDescription | DamagedKey): string {
  if (key.state === 'damaged') return lineOf({ event: 'snapshot', name: key.name, state: key.state })
  const { name, state, epoch, deletionAt } = key
  const deletion = deletionAt === undefined ? {} : { deletion_at: deletionAt }
  return lineOf({ event: 'snapshot', name, state, epoch, ...deletion })
}

/** @param entry - undefined if it can't be read any more. */
function changeLine(
  epoch: number,
  name: string,
  entry: ReturnType<Journal['changes']>[number]['entry'],
): string {
  if (entry === undefined) return lineOf({ event: 'change', name, state: 'damaged', epoch })
  const { state, action, time, detail } = entry
  const deletion = state === 'pending' ? { deletion_at: detail?.deletion_at } : {}
  return lineOf({ event: 'change', name, state, epoch, action, time, ...deletion })
}

function lineOf(value: object): string {
  return `${JSON.stringify(value)}\n`
}
