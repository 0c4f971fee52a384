/** A range of content → the packages that hold it. */
import assert from 'node:assert/strict'
import { PACKAGE_BYTES, plainSize, SEALED_PACKAGE_BYTES } from './format.ts'

export interface SealedRange {
  /** Where to read in the stream, and how much. */
  readonly offset: number
  readonly length: number
  readonly firstPackage: number
  /** What to drop at the start of the decrypted content; then the range follows. */
  readonly skip: number
  readonly mayEndEarly: boolean
}

/**
 * @param sealedBytes - length of the whole stream.
 * @param offset - first byte of the content that is wanted.
 * @param length - how many; offset + length lies within the content.
 * @throws {@link DareError} (size) if no stream has that length.
 */
export function sealedRange(sealedBytes: number, offset: number, length: number): SealedRange {
  assert(
    offset >= 0 && length >= 0 && offset + length <= plainSize(sealedBytes),
    'range lies within the content',
  )
  const firstPackage = Math.floor(offset / PACKAGE_BYTES)
  const afterLast = Math.max(firstPackage, Math.ceil((offset + length) / PACKAGE_BYTES))
  const start = Math.min(firstPackage * SEALED_PACKAGE_BYTES, sealedBytes)
  const end = Math.min(afterLast * SEALED_PACKAGE_BYTES, sealedBytes)
  return {
    offset: start,
    length: end - start,
    firstPackage,
    skip: offset - firstPackage * PACKAGE_BYTES,
    mayEndEarly: end < sealedBytes,
  }
}
