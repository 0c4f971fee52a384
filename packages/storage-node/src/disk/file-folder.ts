/**
 * The files of the store, by ids that say nothing of what they hold.
 *
 *     incoming/<id>      being written, or not yet moved to its place
 *     files/<ab>/<id>    at its place; `ab` are the first digits of the id
 *
 * A file counts once the index names it, whichever of the two places it is at. So nothing has to be undone after a
 * crash: what lies in `incoming/` and is not named is removed at the start, without a look at all the others.
 */
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { rename, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DirectorySync, syncDirectory } from './directory-sync.ts'
import { DiskFile } from './disk-file.ts'
import { DataDamagedError, DiskFullError } from './errors.ts'
import type { FreeSpace } from './free-space.ts'
import {
  Checksums,
  decodeTail,
  encodeTail,
  type FileRecord,
  FOOTER_BYTES,
  type Tail,
  tailBytes,
} from './record-file.ts'

const ID_BYTES = 16
const ID = /^[0-9a-f]{32}$/
/** Pieces shorter than this are written together: a write costs more than the copy. */
const GATHERED_BYTES = 256 * 1024

/** About what a record takes, and its rows in the index. */
const RECORD_BYTES = 4096

/** Whether there is more data with a new file than before, or it takes the place of others. */
export type Growth = 'grows' | 'replaces'

export class FileFolder {
  readonly #incoming: string
  readonly #files: string
  readonly #incomingSync: DirectorySync
  readonly #space: FreeSpace | undefined

  /**
   * @param path - of the data folder.
   * @param space - that new data comes from.
   */
  constructor(path: string, space?: FreeSpace) {
    this.#space = space
    this.#incoming = join(path, 'incoming')
    this.#files = join(path, 'files')
    this.#incomingSync = new DirectorySync(this.#incoming)
  }

  close(): void {
    this.#incomingSync.close()
  }

  /**
   * @param hasChecksums - of the content that will be written.
   * @throws {@link DiskFullError} if `growth` is `grows`, and only the reserve is left.
   */
  create(hasChecksums: boolean, growth: Growth): NewFile {
    const space = growth === 'grows' ? this.#space : undefined
    space?.take(RECORD_BYTES)
    const id = randomBytes(ID_BYTES).toString('hex')
    const path = join(this.#incoming, id)
    try {
      return new NewFile(id, path, DiskFile.create(path), hasChecksums, this.#incomingSync, space)
    } catch (error) {
      throw asStorageError(error)
    }
  }

  /** @throws {@link DataDamagedError} if there is no such file. */
  open(id: string): DiskFile {
    // It may move between the two looks, but only from `incoming`, and once.
    for (const path of [this.#placeOf(id), join(this.#incoming, id), this.#placeOf(id)]) {
      try {
        return DiskFile.open(path)
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error
      }
    }
    throw new DataDamagedError(`its file ${id} is gone`)
  }

  /** Moves a file that the index names by now. It is found at both places, so a failure has no effect. */
  async settle(id: string): Promise<void> {
    try {
      renameSync(join(this.#incoming, id), this.#placeOf(id))
    } catch (error) {
      ignoreMissing(error)
    }
  }

  /** Puts a file that is finished in the place of another one, whose id it takes, and brings that to the disk. */
  async replace(id: string, by: NewFile): Promise<void> {
    await this.settle(id) // So that nobody moves the old one there afterwards.
    await rename(join(this.#incoming, by.id), this.#placeOf(id))
    await syncDirectory(dirname(this.#placeOf(id)))
  }

  async remove(id: string): Promise<void> {
    await unlink(this.#placeOf(id)).catch(ignoreMissing)
    await unlink(join(this.#incoming, id)).catch(ignoreMissing)
  }

  /** Takes a file out of the store. */
  moveAway(id: string, path: string): void {
    const place = this.#placeOf(id)
    renameSync(existsSync(place) ? place : join(this.#incoming, id), path)
  }

  /** What was being written, or not yet moved, when the node ended. */
  incoming(): string[] {
    return readdirSync(this.#incoming).filter((name) => ID.test(name))
  }

  /** As {@link settle} and {@link remove}, before anybody else is there. */
  sweep(id: string, isNamed: boolean): void {
    const path = join(this.#incoming, id)
    if (isNamed) renameSync(path, this.#placeOf(id))
    else rmSync(path, { force: true })
  }

  isEmpty(): boolean {
    for (const _ of this.all()) return false
    return true
  }

  /** Ids of all files, wherever they are. */
  *all(): Generator<string> {
    for (const shard of readdirSync(this.#files)) {
      for (const name of readdirSync(join(this.#files, shard))) if (ID.test(name)) yield name
    }
    yield* this.incoming()
  }

  #placeOf(id: string): string {
    return join(this.#files, id.slice(0, 2), id)
  }
}

/** A file that is being written. Until the index names it, it is nothing. */
export class NewFile {
  readonly id: string
  readonly #path: string
  readonly #file: DiskFile
  readonly #checksums: Checksums | undefined
  readonly #directory: DirectorySync
  readonly #space: FreeSpace | undefined
  #gathered: Buffer | undefined
  #gatheredBytes = 0
  #contentBytes = 0

  /** @param space - that its content comes from; undefined for one that may use the reserve. */
  constructor(
    id: string,
    path: string,
    file: DiskFile,
    hasChecksums: boolean,
    directory: DirectorySync,
    space: FreeSpace | undefined,
  ) {
    this.id = id
    this.#space = space
    this.#path = path
    this.#file = file
    this.#checksums = hasChecksums ? new Checksums() : undefined
    this.#directory = directory
  }

  /** Length of what was written so far, without what will follow it. */
  get contentBytes(): number {
    return this.#contentBytes
  }

  /** Keeps no reference to the piece. @throws {@link DiskFullError} */
  async write(piece: Uint8Array): Promise<void> {
    this.#contentBytes += piece.length
    this.#checksums?.update(piece)
    await this.#append(piece)
  }

  /**
   * Ends the file with its record, and brings it to the disk.
   *
   * @throws {@link DiskFullError}
   */
  async finish(record: FileRecord): Promise<void> {
    await this.#append(encodeTail(this.#contentBytes, this.#checksums?.end() ?? [], record))
    await this.#flush()
    for (const synced of await Promise.allSettled([this.#file.datasync(), this.#directory.sync()])) {
      if (synced.status === 'rejected') throw asStorageError(synced.reason)
    }
    this.#file.close()
  }

  /** Leaves nothing of it. Also after a failed {@link finish}. */
  async discard(): Promise<void> {
    this.#file.close()
    await unlink(this.#path).catch(ignoreMissing)
  }

  async #append(piece: Uint8Array): Promise<void> {
    if (this.#gatheredBytes + piece.length > GATHERED_BYTES) await this.#flush()
    if (piece.length >= GATHERED_BYTES / 2) {
      await this.#flush()
      await this.#writeAll(piece)
      return
    }
    this.#gathered = grown(this.#gathered, this.#gatheredBytes + piece.length)
    this.#gathered.set(piece, this.#gatheredBytes)
    this.#gatheredBytes += piece.length
  }

  async #flush(): Promise<void> {
    if (this.#gathered === undefined || this.#gatheredBytes === 0) return
    const bytes = this.#gatheredBytes
    this.#gatheredBytes = 0
    await this.#writeAll(this.#gathered.subarray(0, bytes))
  }

  async #writeAll(bytes: Uint8Array): Promise<void> {
    this.#space?.take(bytes.length)
    try {
      await this.#file.append(bytes)
    } catch (error) {
      throw asStorageError(error)
    }
  }
}

const SMALL_BYTES = 8 * 1024

/** Most objects are small, and a long one needs the whole buffer at its second piece. */
function grown(buffer: Buffer | undefined, bytes: number): Buffer {
  if (buffer !== undefined && buffer.length >= bytes) return buffer
  const larger = Buffer.allocUnsafeSlow(bytes <= SMALL_BYTES ? SMALL_BYTES : GATHERED_BYTES)
  if (buffer !== undefined) larger.set(buffer)
  return larger
}

/** What a file says of itself, and how its content is checked. @throws {@link DataDamagedError} */
export async function readTail(file: DiskFile): Promise<Tail> {
  const { size } = file
  const footer = await file.readExactly(Math.max(0, size - FOOTER_BYTES), Math.min(size, FOOTER_BYTES))
  const bytes = tailBytes(footer, size)
  return decodeTail(await file.readExactly(size - bytes, bytes))
}

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** What says that there is no room is one error; everything else stays as it is. */
export function asStorageError(error: unknown): unknown {
  const code = codeOf(error)
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG' || code === 'SQLITE_FULL'
    ? new DiskFullError({ cause: error })
    : error
}

function ignoreMissing(error: unknown): void {
  if (codeOf(error) !== 'ENOENT') throw error
}
