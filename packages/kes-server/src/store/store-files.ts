/**
 * Reads the raw bytes of the store's files while SQLite has them open.
 *
 * POSIX drops all of a process's locks on a file as soon as the process closes *any* descriptor of it, so each file is
 * opened once and stays open until SQLite has let go of it. The descriptors are numbers: a `FileHandle` closes itself
 * when it is collected. Reads are synchronous, so that none is under way when the store is closed.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StoreOpenError } from './open-errors.ts'
import type { RecordSearch } from './record-search.ts'

/** Read and searched in one turn of the event loop, in half a millisecond. */
const SLICE_BYTES = 2 ** 20
const OVERLAP_BYTES = 4

/**
 * Beside the database: its log, the log's index, and the lock. The database stands first: while a search runs,
 * pages move from the database to the log only.
 */
const SUFFIXES = ['', '-wal', '-shm', '.lock']

export class StoreFiles {
  readonly #files: readonly { readonly path: string; readonly descriptor: number }[]
  readonly #slice = new Uint8Array(SLICE_BYTES + OVERLAP_BYTES)
  #isOpen = true

  /**
   * @param path - a store that SQLite has opened.
   * @throws {@link StoreOpenError}
   */
  constructor(path: string) {
    const files: { path: string; descriptor: number }[] = []
    try {
      for (const suffix of SUFFIXES) {
        files.push({ path: path + suffix, descriptor: openSync(path + suffix, 'r') })
      }
    } catch (error) {
      for (const { descriptor } of files) closeSync(descriptor)
      const text = `the store '${path}' can not be opened: its files can not be searched for erased keys`
      throw new StoreOpenError(path, text, { cause: error })
    }
    this.#files = files
  }

  /** Bytes of all files together. */
  get size(): number {
    return this.#files.reduce((sum, { descriptor }) => sum + fstatSync(descriptor).size, 0)
  }

  /**
   * Looks through every byte of every file, a slice in each turn of the event loop.
   *
   * @throws an Error if a file can't be read, was replaced, or the store was closed meanwhile.
   */
  async search(search: RecordSearch): Promise<void> {
    for (const { path, descriptor } of this.#files) {
      const [named, opened] = [statSync(path), fstatSync(descriptor)]
      if (named.ino !== opened.ino || named.dev !== opened.dev) {
        throw new Error(`'${path}' is another file than the one that was opened`)
      }
      for (let position = 0; ; position += SLICE_BYTES) {
        const length = readSync(descriptor, this.#slice, 0, this.#slice.length, position)
        search.look(new Uint32Array(this.#slice.buffer, 0, Math.floor(length / OVERLAP_BYTES)))
        if (length < this.#slice.length) break
        await nextTurn()
        if (!this.#isOpen) throw new Error('the store was closed')
      }
    }
  }

  /** Only when SQLite has closed the files: this drops the process's locks on them. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    for (const { descriptor } of this.#files) closeSync(descriptor)
  }
}
