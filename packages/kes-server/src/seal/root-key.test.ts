import { expect, test } from 'vitest'
import { deriveKey, RootKey } from './root-key.ts'

test('a derived key is the first 32 bytes of RFC 5869, test case 3', () => {
  expect(deriveKey(Buffer.alloc(22, 0x0b), '', '').export().toString('hex')).toBe(
    '8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d',
  )
})

test('each purpose and each root key has a subkey of its own', () => {
  const one = RootKey.generate()
  const other = RootKey.generate()
  const subkeys = [one, other].flatMap((rootKey) => [
    rootKey.subkey('latchkey/seal/v1'),
    rootKey.subkey('latchkey/row-mac/v1'),
    rootKey.subkey('latchkey/store-check/v1'),
    rootKey.lend((bytes) => deriveKey(bytes, '', '')),
  ])
  expect(new Set(subkeys.map((key) => key.export().toString('hex'))).size).toBe(subkeys.length)
})

test('a subkey is the same for the same root key', () => {
  const subkey = () => RootKey.from(Buffer.alloc(32, 7)).subkey('latchkey/seal/v1').export().toString('hex')
  expect(subkey()).toBe(subkey())
})

test('a destroyed root key is all zeros and gives nothing any more', () => {
  const bytes = Buffer.alloc(32, 7)
  const rootKey = RootKey.from(bytes)
  rootKey.destroy()
  expect(bytes).toEqual(Buffer.alloc(32))
  expect(() => rootKey.subkey('latchkey/seal/v1')).toThrow(/destroyed/)
})

test('a root key of any length but 32 bytes is refused', () => {
  expect(() => RootKey.from(Buffer.alloc(31))).toThrow()
  expect(() => RootKey.from(Buffer.alloc(33))).toThrow()
})
