import { expect, test } from 'vitest'
import { parseAlgorithm } from './algorithm.ts'

test.each(['', 'aes256', 'AES256 ', 'AES-256-GCM-HMAC-SHA-256', 'ChaCha20Poly1305', 'constructor'])(
  '%j is no algorithm',
  (name) => {
    expect(parseAlgorithm(name)).toBeUndefined()
  },
)

test.each([
  ['AES256', 'AES256'],
  ['AES256-GCM_SHA256', 'AES256'],
  ['ChaCha20', 'ChaCha20'],
  ['XCHACHA20-POLY1305', 'ChaCha20'],
])('%s stands for %s', (name, algorithm) => {
  expect(parseAlgorithm(name)).toBe(algorithm)
})
