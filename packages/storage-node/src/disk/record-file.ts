/**
 * The form of every file of the store: content, and behind it the record of what it is. So the index can be made anew
 * from the files.
 *
 *     bytes  field
 *         n  content, as stored
 *       4 k  CRC-32 of each 256 KiB of the content, little-endian; none for content that authenticates itself
 *         m  record, JSON
 *         8  n, little-endian, as are the next
 *         4  k
 *         4  m
 *         4  CRC-32 of checksums, record and the three numbers
 *        12  "latchkey o1" LF
 */
import { crc32 } from 'node:zlib'
import { DataDamagedError } from './errors.ts'
import type { ListedEtag, StoredPart } from './object-store.ts'

export const FOOTER_BYTES = 32
const MAGIC = Buffer.from('latchkey o1\n')
/** One checksum each. */
export const CHECKED_BYTES = 256 * 1024
const CHECKSUM_BYTES = 4

/** A part of an object, and the file that holds it; the object's own file if it has none. */
export interface FiledPart extends StoredPart {
  readonly file?: string
  /** Its file has checksums of the content. */
  readonly isChecked: boolean
}

interface Revised {
  /** Of several records of one thing, the one with the highest is in force. */
  readonly revision: number
}

export interface BucketFile extends Revised {
  readonly kind: 'bucket'
  /** Of the bucket's first record: its identity, also after a bucket of that name was made anew. */
  readonly firstFile: string
  readonly name: string
  readonly createdAt: number
  /** Base64. */
  readonly settings?: string
}

export interface ObjectFile extends Revised {
  readonly kind: 'object'
  /** {@link BucketFile.firstFile} */
  readonly bucket: string
  readonly key: string
  readonly modifiedAt: number
  readonly size: number
  readonly etag: string
  readonly internal: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  /** The sealed ETag is base64. */
  readonly listedEtag?: { readonly listingKey: string; readonly sealed: string }
  readonly parts: readonly FiledPart[]
}

export interface UploadFile extends Revised {
  readonly kind: 'upload'
  readonly bucket: string
  readonly key: string
  readonly initiatedAt: number
  readonly internal: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
}

export interface PartFile extends Revised, Omit<FiledPart, 'file'> {
  readonly kind: 'part'
  readonly upload: string
  readonly modifiedAt: number
}

export interface ListingKeyFile extends Revised {
  readonly kind: 'listing-key'
  readonly bucket: string
  readonly externalKey: string
  /** Base64. */
  readonly ciphertext: string
}

export type FileRecord = BucketFile | ObjectFile | UploadFile | PartFile | ListingKeyFile

/** Checksums of content that comes in pieces of any length. */
export class Checksums {
  readonly #complete: number[] = []
  #current = 0
  #bytes = 0

  update(piece: Uint8Array): void {
    for (let at = 0; at < piece.length; ) {
      const taken = piece.subarray(at, at + CHECKED_BYTES - this.#bytes)
      this.#current = crc32(taken, this.#current)
      this.#bytes += taken.length
      at += taken.length
      if (this.#bytes === CHECKED_BYTES) this.#next()
    }
  }

  /** @returns one for each {@link CHECKED_BYTES}, and for what is left at the end. */
  end(): readonly number[] {
    if (this.#bytes > 0) this.#next()
    return this.#complete
  }

  #next(): void {
    this.#complete.push(this.#current)
    this.#current = 0
    this.#bytes = 0
  }
}

/** What follows the content in the file. */
export function encodeTail(contentBytes: number, checksums: readonly number[], record: FileRecord): Buffer {
  const json = Buffer.from(JSON.stringify(record))
  const tail = Buffer.alloc(checksums.length * CHECKSUM_BYTES + json.length + FOOTER_BYTES)
  for (const [index, checksum] of checksums.entries()) tail.writeUInt32LE(checksum, index * CHECKSUM_BYTES)
  tail.set(json, checksums.length * CHECKSUM_BYTES)
  const footer = tail.length - FOOTER_BYTES
  tail.writeBigUInt64LE(BigInt(contentBytes), footer)
  tail.writeUInt32LE(checksums.length, footer + 8)
  tail.writeUInt32LE(json.length, footer + 12)
  tail.writeUInt32LE(crc32(tail.subarray(0, footer + 16)), footer + 16)
  tail.set(MAGIC, footer + 20)
  return tail
}

export interface Tail {
  readonly contentBytes: number
  readonly checksums: readonly number[]
  readonly record: FileRecord
}

/**
 * How many of a file's last bytes {@link decodeTail} takes.
 *
 * @param footer - the last {@link FOOTER_BYTES} bytes.
 * @throws {@link DataDamagedError} if no such file ends so.
 */
export function tailBytes(footer: Buffer, fileBytes: number): number {
  if (footer.length !== FOOTER_BYTES || !footer.subarray(20).equals(MAGIC)) {
    throw new DataDamagedError('the end of the file is missing')
  }
  const bytes = footer.readUInt32LE(8) * CHECKSUM_BYTES + footer.readUInt32LE(12) + FOOTER_BYTES
  if (footer.readBigUInt64LE(0) + BigInt(bytes) !== BigInt(fileBytes)) {
    throw new DataDamagedError('the length of the file is wrong')
  }
  return bytes
}

/** @throws {@link DataDamagedError} */
export function decodeTail(tail: Buffer): Tail {
  const footer = tail.length - FOOTER_BYTES
  if (crc32(tail.subarray(0, footer + 16)) !== tail.readUInt32LE(footer + 16)) {
    throw new DataDamagedError('the record of the file was changed')
  }
  const checksumCount = tail.readUInt32LE(footer + 8)
  const checksums = Array.from({ length: checksumCount }, (_, index) =>
    tail.readUInt32LE(index * CHECKSUM_BYTES),
  )
  // Its checksum is right: this is what was written.
  const record: FileRecord = JSON.parse(tail.subarray(checksumCount * CHECKSUM_BYTES, footer).toString())
  return { contentBytes: Number(tail.readBigUInt64LE(footer)), checksums, record }
}

export function encodeListedEtag({ listingKey, sealed }: ListedEtag): { listingKey: string; sealed: string } {
  return { listingKey, sealed: Buffer.from(sealed).toString('base64') }
}
