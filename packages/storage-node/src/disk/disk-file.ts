/**
 * A file by its descriptor. It is opened and closed at once, as the index is looked at, because that moves no content and
 * takes less time than to hand it to a thread. So do short reads and writes, as long as the disk is quick; long ones,
 * and syncs, are the thread pool's.
 */
import {
  closeSync,
  fdatasync,
  fstatSync,
  fsync,
  type NoParamCallback,
  openSync,
  read,
  readSync,
  write,
  writeSync,
} from 'node:fs'
import { DataDamagedError } from './errors.ts'
import { Pace } from './pace.ts'

const SHORT_BYTES = 64 * 1024
/** Of the disk, as far as this process sees it. */
const pace = new Pace()

export class DiskFile implements Disposable {
  readonly #fd: number
  #isClosed = false

  private constructor(fd: number) {
    this.#fd = fd
  }

  /** A new file. */
  static create(path: string): DiskFile {
    return new DiskFile(openSync(path, 'wx', 0o600))
  }

  /** @param flags - to read, unless given. */
  static open(path: string, flags: 'r' | 'r+' = 'r'): DiskFile {
    return new DiskFile(openSync(path, flags))
  }

  /** Nothing of the file's may be under way any more: its descriptor may be another file's at once. */
  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    closeSync(this.#fd)
  }

  [Symbol.dispose](): void {
    this.close()
  }

  get size(): number {
    return fstatSync(this.#fd).size
  }

  /** @throws {@link DataDamagedError} if the file ends before. */
  async readExactly(
    offset: number,
    length: number,
    into: Buffer = Buffer.allocUnsafe(length),
  ): Promise<Buffer> {
    for (let at = 0; at < length; ) {
      const bytes = await this.#read(into, at, length - at, offset + at)
      if (bytes === 0) throw new DataDamagedError('the file is too short')
      at += bytes
    }
    return into.subarray(0, length)
  }

  /** Behind what was written before. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) at += await this.#write(bytes, at)
  }

  /** Brings the content to the disk. */
  datasync(): Promise<void> {
    return this.#call((done) => fdatasync(this.#fd, done))
  }

  /** Brings all of the file to the disk; of a directory, its entries. */
  sync(): Promise<void> {
    return this.#call((done) => fsync(this.#fd, done))
  }

  #read(into: Buffer, at: number, length: number, position: number): number | Promise<number> {
    if (length <= SHORT_BYTES && pace.isQuick)
      return pace.time(() => readSync(this.#fd, into, at, length, position))
    return new Promise((resolve, reject) => {
      read(this.#fd, into, at, length, position, (error, bytes) => {
        if (error) reject(error)
        else resolve(bytes)
      })
    })
  }

  #write(bytes: Uint8Array, at: number): number | Promise<number> {
    const length = bytes.length - at
    if (length <= SHORT_BYTES && pace.isQuick) return pace.time(() => writeSync(this.#fd, bytes, at, length))
    return new Promise((resolve, reject) => {
      write(this.#fd, bytes, at, length, null, (error, written) => {
        if (error) reject(error)
        else resolve(written)
      })
    })
  }

  #call(operation: (done: NoParamCallback) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      operation((error) => {
        if (error) reject(error)
        else resolve()
      })
    })
  }
}
