import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AEAD_OVERHEAD_BYTES, aeadOpen, aeadSeal } from './aead.ts'

const key = createSecretKey(randomBytes(32))

test('what was sealed opens with the same associated data, and is 28 bytes longer', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.uint8Array(), (plaintext, associated) => {
      const box = aeadSeal(key, associated, plaintext)
      expect(box).toHaveLength(plaintext.length + AEAD_OVERHEAD_BYTES)
      expect(aeadOpen(key, associated, box)).toEqual(Buffer.from(plaintext))
    }),
  )
})

test('a box does not open with other associated data or another key', () => {
  const box = aeadSeal(key, Buffer.from('a'), Buffer.from('secret'))
  expect(aeadOpen(key, Buffer.from('b'), box)).toBeUndefined()
  expect(aeadOpen(createSecretKey(randomBytes(32)), Buffer.from('a'), box)).toBeUndefined()
})

test('every shorter piece of a box stays shut', () => {
  const box = aeadSeal(key, Buffer.of(), Buffer.from('secret'))
  for (let length = 0; length < box.length; length++) {
    expect(aeadOpen(key, Buffer.of(), box.subarray(0, length))).toBeUndefined()
  }
})

test('two seals of the same bytes share no nonce', () => {
  const nonces = Array.from({ length: 100 }, () =>
    aeadSeal(key, Buffer.of(), Buffer.of(1)).subarray(0, 12).toString('hex'),
  )
  expect(new Set(nonces).size).toBe(nonces.length)
})
