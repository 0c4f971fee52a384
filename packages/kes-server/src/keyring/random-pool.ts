/**
 * Random bytes in small portions. A call into the system's generator costs about as much for 16 KiB as for 16
 * bytes, so they are drawn ahead; each byte is handed out once and leaves a zero behind.
 */
import { randomFillSync } from 'node:crypto'

const POOL_BYTES = 16 * 1024

const pool = Buffer.allocUnsafeSlow(POOL_BYTES)
let used = POOL_BYTES

/** Fills `target` from `start` to before `end` with bytes that nobody else gets. */
export function fillRandom(target: Buffer, start: number, end: number): void {
  const length = end - start
  if (length > POOL_BYTES) {
    randomFillSync(target, start, length)
    return
  }
  if (used + length > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  pool.copy(target, start, used, used + length)
  pool.fill(0, used, used + length)
  used += length
}

export function takeRandom(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  fillRandom(bytes, 0, length)
  return bytes
}
