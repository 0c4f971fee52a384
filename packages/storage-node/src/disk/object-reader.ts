/** Reads the stored bytes of one object, and checks those that don't authenticate themselves. */
import assert from 'node:assert/strict'
import { crc32 } from 'node:zlib'
import type { DiskFile } from './disk-file.ts'
import { DataDamagedError } from './errors.ts'
import { type FileFolder, readTail } from './file-folder.ts'
import type { IndexedObject } from './object-index.ts'
import type { OpenObject } from './object-store.ts'
import { CHECKED_BYTES, type FiledPart, type Tail } from './record-file.ts'

const READ_BYTES = 256 * 1024

interface OpenFile {
  readonly file: DiskFile
  /** Of content that has checksums. */
  readonly tail: Tail | undefined
}

export class ObjectReader implements OpenObject {
  readonly record: IndexedObject
  readonly #folder: FileFolder
  readonly #files = new Map<string, Promise<OpenFile>>()
  readonly #onClose: () => void
  #isClosed = false

  /** @param onClose - the files may be removed from now on. */
  constructor(record: IndexedObject, folder: FileFolder, onClose: () => void) {
    this.record = record
    this.#folder = folder
    this.#onClose = onClose
  }

  /** Opens the only file of an object in one piece, so that one that is gone is noticed early. */
  async openFirst(): Promise<void> {
    if (this.record.parts.length === 1) await this.#file(0)
  }

  async *read(part: number, offset: number, length: number, into?: Buffer): AsyncGenerator<Buffer> {
    const { file, tail } = await this.#file(part)
    if (tail) {
      yield* readChecked(file, tail, offset, length, into)
      return
    }
    const bytesMax = into?.length ?? READ_BYTES
    for (let at = 0; at < length; at += bytesMax) {
      yield await file.readExactly(offset + at, Math.min(bytesMax, length - at), into)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    for (const file of this.#files.values()) {
      // One that did not open has been reported to whoever read from it.
      const opened = await file.catch(() => undefined)
      opened?.file.close()
    }
    this.#onClose()
  }

  #file(part: number): Promise<OpenFile> {
    const { file: id = this.record.file, storedBytes, isChecked } = partAt(this.record, part)
    const opened = this.#files.get(id) ?? openFile(this.#folder, id, storedBytes, isChecked)
    this.#files.set(id, opened)
    return opened
  }
}

function partAt({ parts }: IndexedObject, index: number): FiledPart {
  const part = parts[index]
  assert(part, 'the object has such a part')
  return part
}

async function openFile(
  folder: FileFolder,
  id: string,
  storedBytes: number,
  isChecked: boolean,
): Promise<OpenFile> {
  const file = folder.open(id)
  if (!isChecked) return { file, tail: undefined }
  try {
    const tail = await readTail(file)
    if (tail.contentBytes === storedBytes) return { file, tail }
    throw new DataDamagedError('the content has another length')
  } catch (error) {
    file.close()
    throw error
  }
}

async function* readChecked(
  file: DiskFile,
  { contentBytes, checksums }: Tail,
  offset: number,
  length: number,
  into: Buffer | undefined,
): AsyncGenerator<Buffer> {
  const end = offset + length
  const blocks = Math.max(1, Math.floor((into?.length ?? 0) / CHECKED_BYTES))
  let block = Math.floor(offset / CHECKED_BYTES)
  while (block * CHECKED_BYTES < end) {
    const start = block * CHECKED_BYTES
    const last = Math.min(block + blocks, Math.ceil(end / CHECKED_BYTES))
    const bytes = Math.min(last * CHECKED_BYTES, contentBytes) - start
    const content = await file.readExactly(start, bytes, into && into.length >= bytes ? into : undefined)
    for (; block < last; block++) {
      const at = block * CHECKED_BYTES - start
      const isRight = crc32(content.subarray(at, at + CHECKED_BYTES)) === checksums[block]
      if (!isRight) throw new DataDamagedError('a checksum is wrong')
    }
    yield content.subarray(Math.max(0, offset - start), Math.min(content.length, end - start))
  }
}
