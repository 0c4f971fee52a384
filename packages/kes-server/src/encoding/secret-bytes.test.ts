import { expect, test } from 'vitest'
import { allocSecret, randomSecret } from './secret-bytes.ts'

test('a secret has its bytes for itself, and they begin as zeros', () => {
  const secret = allocSecret(32)
  expect([secret.length, secret.byteOffset, secret.buffer.byteLength]).toEqual([32, 0, 32])
  expect(secret.every((byte) => byte === 0)).toBe(true)
  expect(allocSecret(32).buffer).not.toBe(secret.buffer)
})

test('random secrets differ, and are random to their ends', () => {
  const secrets = Array.from({ length: 200 }, () => randomSecret(32))
  expect(new Set(secrets.map((secret) => secret.toString('hex'))).size).toBe(200)
  expect(secrets.some((secret) => secret[0] !== 0)).toBe(true)
  expect(secrets.some((secret) => secret[31] !== 0)).toBe(true)
})
