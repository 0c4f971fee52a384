import { createSecretKey, generateKeyPairSync, randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { sealJournalKey, unsealJournalKey } from './journal-key.ts'
import { SealDamagedError } from './seal-errors.ts'

const sealingKey = createSecretKey(Buffer.alloc(32, 1))
const storeId = Buffer.alloc(16, 2)
const { privateKey } = generateKeyPairSync('ed25519')

test('a journal key opens again, in its own store', () => {
  const sealed = sealJournalKey(sealingKey, storeId, privateKey)
  expect(sealed).toHaveLength(77)
  expect(unsealJournalKey(sealingKey, storeId, sealed).equals(privateKey)).toBe(true)
})

test('no flipped bit, other store or other root key opens it', () => {
  const sealed = sealJournalKey(sealingKey, storeId, privateKey)
  for (let bit = 0; bit < sealed.length * 8; bit += 1) {
    const wrong = Buffer.from(sealed)
    wrong[bit >> 3] = (wrong[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    expect(() => unsealJournalKey(sealingKey, storeId, wrong)).toThrow(SealDamagedError)
  }
  expect(() => unsealJournalKey(sealingKey, randomBytes(16), sealed)).toThrow(SealDamagedError)
  expect(() => unsealJournalKey(createSecretKey(randomBytes(32)), storeId, sealed)).toThrow(SealDamagedError)
  expect(() => unsealJournalKey(sealingKey, storeId, new Uint8Array())).toThrow(SealDamagedError)
})
