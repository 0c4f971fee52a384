import { AssertionError } from 'node:assert'
import { expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { HmacKey } from './hmac-key.ts'

interface Vectors {
  rows: { id: string; hmac_key: string; message: string; hmac: string }[]
}

test.each([0, 31, 33])('a key of %i bytes is refused', (length) => {
  expect(() => HmacKey.from(new Uint8Array(length))).toThrow(AssertionError)
})

test('a destroyed key makes no MAC', () => {
  const key = HmacKey.from(new Uint8Array(32))
  key.destroy()
  expect(() => key.mac(new Uint8Array(1))).toThrow(AssertionError)
})

test('the key does not change with the buffer it came from', () => {
  const bytes = Buffer.alloc(32, 7)
  const key = HmacKey.from(bytes)
  const before = key.mac(Buffer.from('probe'))
  bytes.fill(0)
  expect(key.mac(Buffer.from('probe'))).toEqual(before)
})

test.each(readVectors<Vectors>('hmac.json').rows)(
  '$id gives what KES gave',
  ({ hmac_key, message, hmac }) => {
    const mac = HmacKey.from(Buffer.from(hmac_key, 'base64')).mac(Buffer.from(message, 'base64'))
    expect(mac.toString('base64')).toBe(hmac)
  },
)
