/**
 * Text on the disk for as long as somebody fetches it, unreadable to everybody else.
 *
 * It is encrypted under a random key that stays in this process (AES-256-CTR: the key serves once), and the file has
 * no name any more when the first byte is written. So nothing of it outlives the process, and what its blocks leave
 * on the disk is noise: an erased key is not found again in them.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'

const CIPHER = 'aes-256-ctr'
const BLOCK_BYTES = 16

export class Spool {
  readonly #file: number
  readonly #key = randomBytes(32)
  readonly #cipher = createCipheriv(CIPHER, this.#key, counterAt(0))
  #length = 0
  #isOpen = true

  /** @param path - of a file that does not exist, on the disk that the text is to lie on. */
  constructor(path: string) {
    this.#file = openSync(path, 'wx+', 0o600)
    rmSync(path)
  }

  /** Bytes. */
  get length(): number {
    return this.#length
  }

  /** @throws what the disk answers. */
  write(text: string): void {
    const bytes = this.#cipher.update(text, 'utf8')
    for (let at = 0; at < bytes.length; )
      at += writeSync(this.#file, bytes, at, bytes.length - at, this.#length + at)
    this.#length += bytes.length
  }

  /** @returns fewer than `length` bytes at the end. */
  read(offset: number, length: number): Buffer {
    const wanted = Math.min(length, this.#length - offset)
    if (wanted <= 0) return Buffer.alloc(0)
    const skipped = offset % BLOCK_BYTES
    const encrypted = Buffer.alloc(wanted + skipped)
    let read = 0
    while (read < encrypted.length) {
      const count = readSync(this.#file, encrypted, read, encrypted.length - read, offset - skipped + read)
      if (count === 0) throw new Error('the text on the disk is cut off')
      read += count
    }
    const decipher = createDecipheriv(CIPHER, this.#key, counterAt(offset - skipped))
    return decipher.update(encrypted).subarray(skipped)
  }

  /** Gives the disk's space back. */
  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    closeSync(this.#file)
    this.#key.fill(0)
  }
}

/** The counter block of the cipher for the block at this offset. */
function counterAt(offset: number): Buffer {
  const counter = Buffer.alloc(BLOCK_BYTES)
  counter.writeBigUInt64BE(BigInt(offset / BLOCK_BYTES), 8)
  return counter
}
