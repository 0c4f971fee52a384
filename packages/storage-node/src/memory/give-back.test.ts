import { createCipheriv } from 'node:crypto'
import { expect, test } from 'vitest'
import { giveBack } from './give-back.ts'

const BYTES = 64 * 1024

test('what was made for one piece of data is freed, with every view of it', () => {
  const cipher = createCipheriv('aes-256-gcm', Buffer.alloc(32), Buffer.alloc(12))
  const piece = cipher.update(Buffer.alloc(BYTES))
  const view = piece.subarray(1)
  giveBack(piece)
  expect(piece.buffer.byteLength).toBe(0)
  expect(view).toHaveLength(0)
})

test('a part of a larger memory stays, and so does a short buffer', () => {
  const memory = Buffer.alloc(BYTES, 7)
  for (const kept of [memory.subarray(1), memory.subarray(0, -1), Buffer.alloc(100, 7)]) {
    giveBack(kept)
    expect(kept.every((byte) => byte === 7)).toBe(true)
    expect(kept.length).toBeGreaterThan(0)
  }
})

test('memory that threads share stays', () => {
  const shared = new Uint8Array(new SharedArrayBuffer(BYTES))
  giveBack(shared)
  expect(shared).toHaveLength(BYTES)
})
