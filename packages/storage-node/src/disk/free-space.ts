/**
 * What is left of the disk for new data. A reserve of it is not: deletes and the index need room, and a disk that is
 * full to the last byte has none.
 */
import { statfsSync } from 'node:fs'
import { DiskFullError } from './errors.ts'

const MIB = 2 ** 20
const SHARE_OF_DISK = 0.01
const RESERVE_BYTES_MIN = 64 * MIB
const RESERVE_BYTES_MAX = 1024 * MIB
/** Others may write to the disk, too. */
const LOOK_AGAIN_MS = 100

export interface DiskState {
  readonly totalBytes: number
  /** To a process without privileges. */
  readonly freeBytes: number
}

export function diskStateOf(folder: string): DiskState {
  const { bsize, blocks, bavail } = statfsSync(folder)
  return { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
}

/** A hundredth of the disk, within limits. */
export function defaultReserve({ totalBytes }: DiskState): number {
  return Math.min(RESERVE_BYTES_MAX, Math.max(RESERVE_BYTES_MIN, Math.floor(totalBytes * SHARE_OF_DISK)))
}

export class FreeSpace {
  readonly #look: () => DiskState
  readonly #reserveBytes: number | undefined
  /** What may be written before the next look. */
  #leftBytes = 0
  #lookAgainMs = 0

  /** @param reserveBytes - by default, {@link defaultReserve}. */
  constructor(look: () => DiskState, reserveBytes: number | undefined) {
    this.#look = look
    this.#reserveBytes = reserveBytes
  }

  /**
   * Before so many bytes are written. The disk is asked now and then, and whenever little is left.
   *
   * @throws {@link DiskFullError} if they would touch the reserve.
   */
  take(bytes: number): void {
    const nowMs = performance.now()
    if (this.#leftBytes <= bytes || nowMs >= this.#lookAgainMs) {
      const state = this.#look()
      this.#leftBytes = state.freeBytes - (this.#reserveBytes ?? defaultReserve(state))
      this.#lookAgainMs = nowMs + LOOK_AGAIN_MS
    }
    this.#leftBytes -= bytes
    if (this.#leftBytes < 0) throw new DiskFullError()
  }
}
