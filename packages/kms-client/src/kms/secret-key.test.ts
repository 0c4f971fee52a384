import { format, inspect } from 'node:util'
import { expect, test } from 'vitest'
import { SecretKey } from './secret-key.ts'

const TEXT = 'a secret of thirty-two bytes, ok'
const secret = () => new SecretKey(Buffer.from(TEXT))

test('only `bytes` shows the key', () => {
  const key = secret()
  const shown = [
    `${key}`,
    String(key),
    JSON.stringify({ key }),
    inspect({ key }, { showHidden: true, depth: null }),
    format('%s %o %j', key, key, key),
    Object.entries(key).toString(),
    JSON.stringify(structuredClone(key)),
    new Error('failed', { cause: key }).cause?.toString() ?? '',
  ].join('\n')
  for (const leak of [
    TEXT,
    Buffer.from(TEXT).toString('base64'),
    Buffer.from(TEXT).toString('hex'),
    '97, 32',
  ]) {
    expect(shown).not.toContain(leak)
  }
  expect(Buffer.from(key.bytes).toString()).toBe(TEXT)
})

test('a disposed key is zeros, and gives its bytes no more', () => {
  const bytes = Buffer.from(TEXT)
  {
    using key = new SecretKey(bytes)
    expect(key.length).toBe(32)
  }
  expect(bytes).toEqual(Buffer.alloc(32))
  const key = secret()
  key[Symbol.dispose]()
  expect(() => key.bytes).toThrow('the secret key was wiped')
  expect(() => key.equals(secret())).toThrow('the secret key was wiped')
})

test('keys are equal if their bytes are', () => {
  expect(secret().equals(secret())).toBe(true)
  expect(secret().equals(new SecretKey(Buffer.alloc(32)))).toBe(false)
  expect(secret().equals(new SecretKey(Buffer.alloc(31)))).toBe(false)
})
