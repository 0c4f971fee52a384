/** Content of objects, encrypted and decrypted: in one piece under the object's key, in parts under a key each. */
import type { KeyObject } from 'node:crypto'
import { DareDecryptor } from '../dare/decrypt.ts'
import { encryptStream } from '../dare/encrypt.ts'
import { DareError } from '../dare/errors.ts'
import { plainSize, SEALED_PACKAGE_BYTES } from '../dare/format.ts'
import { sealedRange } from '../dare/range.ts'
import { Blocks } from '../memory/blocks.ts'
import { giveBack } from '../memory/give-back.ts'
import { ObjectTamperedError } from './errors.ts'
import { isMultipart, type Metadata } from './metadata.ts'
import type { ObjectKey } from './object-key.ts'

/** A part as it is stored; an object that came in one piece has one. */
export interface ContentPart {
  readonly number: number
  /** Of the plaintext. */
  readonly size: number
  readonly storedBytes: number
}

/** Where stored bytes come from. */
export interface ContentSource {
  readonly record: { readonly parts: readonly ContentPart[]; readonly internal: Metadata }
  /**
   * @param part - its index in `record.parts`.
   * @param into - may be read into each time: a yielded buffer need not be good for longer than until the next.
   */
  read(part: number, offset: number, length: number, into?: Buffer): AsyncIterable<Uint8Array>
}

/** Packages that are read, and given, together: each read and each write to a socket costs as much as several of them. */
const READ_BYTES = 16 * SEALED_PACKAGE_BYTES
/** A buffer of less is made for each read: most objects are small. */
const SMALL_BYTES = 64 * 1024
const blocks = new Blocks(READ_BYTES, 8)

/** A range of the plaintext. */
export interface Range {
  readonly offset: number
  readonly length: number
}

/** @param partNumber - of an upload in parts. */
export function encryptContent(
  content: AsyncIterable<Uint8Array>,
  objectKey: ObjectKey,
  partNumber?: number,
): AsyncIterable<Uint8Array> {
  return encryptStream(
    content,
    partNumber === undefined ? objectKey.contentKey : objectKey.partKey(partNumber),
  )
}

/**
 * The plaintext of a range, across parts. Only the packages that hold it are read.
 *
 * @param objectKey - `undefined` if the object is not encrypted.
 * @param signal - asked before packages are opened: once it is aborted, no further plaintext is given.
 * @returns buffers that hold their bytes until the next one is asked for.
 * @throws {@link ObjectTamperedError} where the stored bytes are not what was written; what came before was.
 */
export async function* readContent(
  source: ContentSource,
  objectKey: ObjectKey | undefined,
  range: Range,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { parts, internal } = source.record
  const end = range.offset + range.length
  let partStart = 0
  for (const [index, part] of parts.entries()) {
    const partEnd = partStart + part.size
    const offset = Math.max(range.offset, partStart)
    const length = Math.min(end, partEnd) - offset
    if (length > 0) {
      const inPart = { offset: offset - partStart, length }
      if (objectKey) {
        const key = isMultipart(internal) ? objectKey.partKey(part.number) : objectKey.contentKey
        yield* decryptRange(source, index, part, key, inPart, signal)
      } else {
        const block = blockFor(length)
        for await (const piece of source.read(index, inPart.offset, length, block)) {
          signal?.throwIfAborted()
          yield piece
        }
        giveBackBlock(block)
      }
    }
    partStart = partEnd
  }
}

function blockFor(bytes: number): Buffer {
  return bytes <= SMALL_BYTES ? Buffer.allocUnsafeSlow(bytes) : blocks.take()
}

/** Not in the case of an error, or of a reader who left early: the last piece may still be on its way. */
function giveBackBlock(block: Buffer): void {
  if (block.length === READ_BYTES) blocks.giveBack(block)
}

async function* decryptRange(
  source: ContentSource,
  index: number,
  part: ContentPart,
  key: KeyObject,
  { offset, length }: Range,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    if (plainSize(part.storedBytes) !== part.size) throw new DareError('size')
    const range = sealedRange(part.storedBytes, offset, length)
    const decryptor = new DareDecryptor(key, { versionMin: '1.0', ...range })
    let { skip } = range
    let missing = length
    // The plaintext goes where its packages were: they are longer, and done with.
    const block = blockFor(range.length)
    for await (const sealed of source.read(index, range.offset, range.length, block)) {
      signal?.throwIfAborted()
      let blockBytes = 0
      for (const plaintext of decryptor.update(sealed)) {
        const wanted = plaintext.subarray(skip, skip + missing)
        skip = 0
        missing -= wanted.length
        // Never where the source reads into the block, but it may give what it has, in any length.
        if (blockBytes + wanted.length > block.length) {
          yield block.subarray(0, blockBytes)
          signal?.throwIfAborted()
          blockBytes = 0
        }
        block.set(wanted, blockBytes)
        blockBytes += wanted.length
        giveBack(plaintext)
      }
      if (blockBytes > 0) yield block.subarray(0, blockBytes)
    }
    decryptor.end()
    // Version 1.0 does not tell that its end is missing, nor does a stream of which nothing is left.
    if (missing > 0) throw new DareError('early end')
    giveBackBlock(block)
  } catch (error) {
    if (error instanceof DareError) throw new ObjectTamperedError({ cause: error })
    throw error
  }
}
