import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseKeyName } from '../names.ts'
import type { ErasedName, KeyRow } from '../store/key-store.ts'
import { macOfErased, macOfRow, verifyErased, verifyRow } from './row-mac.ts'

const macKey = createSecretKey(randomBytes(32))
const storeId = randomBytes(16)

const facts: Omit<KeyRow, 'mac'> = {
  keyId: randomBytes(16),
  name: parseKeyName('invoices'),
  algorithm: 'AES256',
  createdAt: '2026-11-24T01:42:04Z',
  createdBy: 'alice',
  sealed: randomBytes(93),
  state: 'disabled',
  revision: 2,
  changedAt: '2026-11-25T01:42:04Z',
  changedBy: 'bob',
  journalEntry: 7,
  rootGeneration: 1,
}
const row: KeyRow = { ...facts, mac: macOfRow(macKey, storeId, facts) }

test('a row is authentic as it was written', () => {
  expect(verifyRow(macKey, storeId, row)).toBe(true)
})

test.each<[string, Partial<KeyRow>]>([
  ['enabled by hand', { state: 'enabled' }],
  ['with another revision', { revision: 1 }],
  ['with another name', { name: parseKeyName('invoices2') }],
  ['with another key id', { keyId: randomBytes(16) }],
  ['with another algorithm', { algorithm: 'ChaCha20' }],
  ['with another time of creation', { createdAt: '2026-11-24T01:42:05Z' }],
  ['with another creator', { createdBy: 'mallory' }],
  ['with another time of change', { changedAt: '2026-11-25T01:42:05Z' }],
  ['with another author of the change', { changedBy: 'mallory' }],
  ['with another journal entry', { journalEntry: 8 }],
  ['with its creator and author swapped', { createdBy: 'bob', changedBy: 'alice' }],
  ['without MAC', { mac: new Uint8Array(0) }],
  ['with a MAC cut short', { mac: row.mac.subarray(0, 31) }],
  ['with a longer MAC', { mac: Buffer.concat([row.mac, Buffer.of(0)]) }],
])('a row %s is not authentic', (_, changed) => {
  expect(verifyRow(macKey, storeId, { ...row, ...changed })).toBe(false)
})

test('a row with damaged sealed bytes is authentic, so it can be disabled', () => {
  const damaged: KeyRow = { ...row, sealed: new Uint8Array(0) }
  expect(verifyRow(macKey, storeId, damaged)).toBe(true)
})

test('no MAC with one bit flipped is accepted', () => {
  fc.assert(
    fc.property(fc.nat(255), (bit) => {
      const mac = Uint8Array.from(row.mac)
      mac[bit >> 3] = (mac[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(verifyRow(macKey, storeId, { ...row, mac })).toBe(false)
    }),
  )
})

test('a row is not authentic in another store or under another key', () => {
  expect(verifyRow(macKey, randomBytes(16), row)).toBe(false)
  expect(verifyRow(createSecretKey(randomBytes(32)), storeId, row)).toBe(false)
})

const erasedFacts: Omit<ErasedName, 'mac'> = {
  name: facts.name,
  keyId: facts.keyId,
  erasedAt: '2026-11-26T01:42:04Z',
  erasedBy: 'bob',
  rootGeneration: 1,
}
const erased: ErasedName = { ...erasedFacts, mac: macOfErased(macKey, storeId, erasedFacts) }

test('an erased name is authentic as it was written, and with nothing changed', () => {
  expect(verifyErased(macKey, storeId, erased)).toBe(true)
  expect(verifyErased(macKey, storeId, { ...erased, name: parseKeyName('other') })).toBe(false)
  expect(verifyErased(macKey, storeId, { ...erased, keyId: randomBytes(16) })).toBe(false)
  expect(verifyErased(macKey, storeId, { ...erased, erasedAt: '2026-11-26T01:42:05Z' })).toBe(false)
  expect(verifyErased(macKey, storeId, { ...erased, erasedBy: '' })).toBe(false)
  expect(verifyErased(macKey, randomBytes(16), erased)).toBe(false)
})

test("a key's MAC is none of an erased name, whatever the fields", () => {
  expect(verifyErased(macKey, storeId, { ...erased, mac: row.mac })).toBe(false)
  expect(verifyRow(macKey, storeId, { ...row, mac: erased.mac })).toBe(false)
})
