/**
 * Space that is set aside on a disk while there is some, and given back when a write that must not fail finds the disk
 * full. It is a file of random bytes, so that a file system that compresses sets aside as much as any other.
 */
import { randomFillSync } from 'node:crypto'
import { existsSync, unlinkSync } from 'node:fs'
import { open, stat, statfs, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { isCode } from '../store/store-file.ts'
import { isDiskFull } from './disk-full.ts'

const RESERVE_BYTES = 8 * 2 ** 20
/** A reserve that took the last free space would be spent by the next write. */
const FREE_BYTES_MIN = RESERVE_BYTES

export class DiskReserve {
  readonly path: string
  readonly #onSpent: () => void
  #isThere = false
  /** How many times. */
  #spent = 0

  constructor(path: string, onSpent: () => void) {
    this.path = path
    this.#onSpent = onSpent
  }

  /** As this process knows it; see {@link DiskReserve.restore}. */
  get isThere(): boolean {
    return this.#isThere
  }

  /** @returns false if there is nothing to give back. */
  spend(): boolean {
    this.#isThere = false
    this.#spent += 1
    try {
      unlinkSync(this.path)
      this.#onSpent()
      return true
    } catch {
      return false // It was spent before, or its folder is gone too: in either case there is no more space now.
    }
  }

  /**
   * Makes the reserve if it is not there and the disk has room for it twice.
   *
   * @returns whether it is there.
   * @throws what `node:fs` does.
   */
  async restore(): Promise<boolean> {
    const spent = this.#spent
    if (!(await this.#isWhole()) && (await this.#hasRoom())) await this.#make()
    const isWhole = await this.#isWhole()
    this.#isThere = isWhole && spent === this.#spent // It may have been spent meanwhile.
    return this.#isThere
  }

  async #isWhole(): Promise<boolean> {
    try {
      return (await stat(this.path)).size === RESERVE_BYTES
    } catch (error) {
      if (isCode(error, 'ENOENT')) return false
      throw error
    }
  }

  async #hasRoom(): Promise<boolean> {
    const { bavail, bsize } = await statfs(dirname(this.path))
    return bavail * bsize >= RESERVE_BYTES + FREE_BYTES_MIN
  }

  async #make(): Promise<void> {
    try {
      await using file = await open(this.path, 'w', 0o600)
      await file.writeFile(randomFillSync(Buffer.allocUnsafe(RESERVE_BYTES)))
      await file.datasync()
    } catch (error) {
      if (existsSync(this.path)) await unlink(this.path) // Half a reserve is of no use.
      if (!isDiskFull(error)) throw error
    }
  }
}
