import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import type { NewSlot, SlotRow } from '../store/seal-store.ts'
import type { PassphraseCost } from './passphrase-cost.ts'
import { RootKey } from './root-key.ts'
import { SealDamagedError, UnfitSecretError, WrongKeyFileError, WrongPassphraseError } from './seal-errors.ts'
import { createKeyFileSlot, createPassphraseSlot, openSlots, type Secret, SLOTS_MAX } from './slots.ts'

const CHEAP: PassphraseCost = { memoryKiB: 8 * 1024, passes: 1, parallelism: 1 }

const storeId = randomBytes(16)
const facts = { storeId, label: 'first', createdAt: '2026-11-24T01:42:04Z' }
const rootKey = RootKey.generate()
const fileBytes = randomBytes(32)

const passphrase = (text = 'correct horse'): Secret => ({ kind: 'passphrase', passphrase: Buffer.from(text) })
const keyFile = (bytes: Uint8Array = fileBytes): Secret => ({ kind: 'key file', bytes })

const passphraseSlot = createPassphraseSlot(rootKey, Buffer.from('correct horse'), CHEAP, facts)
const keyFileSlot = createKeyFileSlot(rootKey, fileBytes, facts)

const rows = (...slots: NewSlot[]): SlotRow[] => slots.map((slot, index) => ({ ...slot, slotId: index + 1 }))
const bytesOf = (key: RootKey) => key.lend((bytes) => Buffer.from(bytes))
const opened = (...of: Parameters<typeof openSlots>) => bytesOf(openSlots(...of).rootKey)
const record = (slot: NewSlot, change: (bytes: Buffer) => void): NewSlot => {
  const bytes = Buffer.from(slot.record)
  change(bytes)
  return { ...slot, record: bytes }
}
const flipped = (slot: NewSlot, bit: number) =>
  record(slot, (bytes) => {
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  })

test('a passphrase slot has 90 bytes, a key file slot 78, and each opens to the root key', () => {
  expect(passphraseSlot.record).toHaveLength(90)
  expect(keyFileSlot.record).toHaveLength(78)
  expect(opened(rows(passphraseSlot), passphrase(), storeId)).toEqual(bytesOf(rootKey))
  expect(opened(rows(keyFileSlot), keyFile(), storeId)).toEqual(bytesOf(rootKey))
})

test('one secret opens its slot among others, in any order and beside damaged ones', () => {
  const other = createPassphraseSlot(rootKey, Buffer.from('other passphrase'), CHEAP, facts)
  const short = { ...passphraseSlot, record: passphraseSlot.record.subarray(1) }
  const slots = rows(short, other, keyFileSlot, flipped(passphraseSlot, 400), passphraseSlot)
  expect(opened(slots, passphrase(), storeId)).toEqual(bytesOf(rootKey))
  expect(opened(slots, keyFile(), storeId)).toEqual(bytesOf(rootKey))
})

test('a wrong passphrase or key file opens nothing and is told in one line', () => {
  const openWith = (secret: Secret) => () => openSlots(rows(passphraseSlot, keyFileSlot), secret, storeId)
  expect(openWith(passphrase('correct horsf'))).toThrow(WrongPassphraseError)
  expect(openWith(passphrase('correct horse '))).toThrow(WrongPassphraseError)
  expect(openWith(passphrase(''))).toThrow('the passphrase does not open this store')
  expect(openWith(keyFile(randomBytes(32)))).toThrow(WrongKeyFileError)
  expect(openWith(keyFile(Buffer.concat([fileBytes, Buffer.from('\n')])))).toThrow(WrongKeyFileError)
})

test('a secret of the other kind is told what the store is opened with', () => {
  expect(() => openSlots(rows(keyFileSlot), passphrase(), storeId)).toThrow(/opened with a key file/)
  expect(() => openSlots(rows(passphraseSlot), keyFile(), storeId)).toThrow(/opened with a passphrase/)
})

test('no key file slot with one bit flipped opens', () => {
  for (let bit = 0; bit < keyFileSlot.record.length * 8; bit++) {
    const slots = rows(flipped(keyFileSlot, bit))
    expect(() => openSlots(slots, keyFile(), storeId), `bit ${bit}`).toThrow(WrongKeyFileError)
  }
})

test('no passphrase slot with a bit flipped opens: each bit of the parameters, one of every other byte', () => {
  const parameterBits = Array.from({ length: 14 * 8 }, (_, bit) => bit)
  const otherBits = Array.from({ length: 90 - 14 }, (_, index) => (14 + index) * 8 + (index & 7))
  // Three bits of the memory leave an allowed cost of up to a second each; the other bits stand for them.
  const isSlow = (bit: number) => isAllowedButDear(flipped(passphraseSlot, bit).record)
  for (const bit of [...parameterBits, ...otherBits].filter((bit) => !isSlow(bit))) {
    const slots = rows(flipped(passphraseSlot, bit))
    expect(() => openSlots(slots, passphrase(), storeId), `bit ${bit}`).toThrow(WrongPassphraseError)
  }
})

const isAllowedButDear = (bytes: Uint8Array) => {
  const memoryKiB = Buffer.from(bytes).readUInt32BE(2)
  return memoryKiB > 128 * 1024 && memoryKiB <= 1024 * 1024
}

test.each([
  ['a shortened', (slot: NewSlot) => ({ ...slot, record: slot.record.subarray(0, -1) })],
  ['a lengthened', (slot: NewSlot) => ({ ...slot, record: Buffer.concat([slot.record, Buffer.of(0)]) })],
  ['an empty', (slot: NewSlot) => ({ ...slot, record: new Uint8Array(0) })],
])('%s slot counts as one that can not be read', (_, change) => {
  expect(() => openSlots(rows(change(keyFileSlot)), keyFile(), storeId)).toThrow(
    /1 of its slots can not be read/,
  )
  expect(() => openSlots(rows(change(passphraseSlot)), passphrase(), storeId)).toThrow(
    /1 of its slots can not be read/,
  )
})

test('a slot opens in no other store and with no other label or time', () => {
  expect(() => openSlots(rows(keyFileSlot), keyFile(), randomBytes(16))).toThrow(WrongKeyFileError)
  expect(() => openSlots(rows({ ...keyFileSlot, label: 'x' }), keyFile(), storeId)).toThrow(WrongKeyFileError)
  expect(() => openSlots(rows({ ...keyFileSlot, createdAt: 'x' }), keyFile(), storeId)).toThrow(
    WrongKeyFileError,
  )
})

test.each([
  ['1 TiB of memory', 2, 2 ** 30],
  ['one KiB over the limit', 2, 1024 * 1024 + 1],
  ['too little memory', 2, 8 * 1024 - 1],
  ['no memory', 2, 0],
  ['four thousand million passes', 6, 2 ** 32 - 1],
  ['one pass over the limit', 6, 17],
  ['no pass', 6, 0],
  ['too many lanes', 10, 17],
  ['no lane', 10, 0],
])('a slot that asks for %s costs nothing and opens nothing', (_, offset, value) => {
  const crafted = record(passphraseSlot, (bytes) => bytes.writeUInt32BE(value, offset))
  const start = performance.now()
  expect(() => openSlots(rows(crafted), passphrase(), storeId)).toThrow(/1 of its slots can not be read/)
  expect(performance.now() - start).toBeLessThan(100)
})

test('memory and passes that are allowed apart are refused together', () => {
  const dear = { memoryKiB: 1024 * 1024, passes: 5, parallelism: 1 }
  expect(() => createPassphraseSlot(rootKey, Buffer.from('long enough'), dear, facts)).toThrow(
    UnfitSecretError,
  )
})

test('no slot is made with a short passphrase, a short key file or a cost out of bounds', () => {
  const make = (text: string, cost: Partial<PassphraseCost>) => () =>
    createPassphraseSlot(rootKey, Buffer.from(text), { ...CHEAP, ...cost }, facts)
  expect(make('1234567', {})).toThrow(UnfitSecretError)
  expect(make('long enough', { memoryKiB: 8 * 1024 - 1 })).toThrow(UnfitSecretError)
  expect(make('long enough', { memoryKiB: 1024 * 1024 + 1 })).toThrow(UnfitSecretError)
  expect(make('long enough', { passes: 1.5 })).toThrow(UnfitSecretError)
  expect(make('long enough', { parallelism: 0 })).toThrow(UnfitSecretError)
  expect(() => createKeyFileSlot(rootKey, randomBytes(31), facts)).toThrow(UnfitSecretError)
})

test('a store with no slot, or with more than the limit, is damaged', () => {
  expect(() => openSlots([], keyFile(), storeId)).toThrow(SealDamagedError)
  const many = rows(...Array.from({ length: SLOTS_MAX + 1 }, () => keyFileSlot))
  expect(() => openSlots(many, keyFile(), storeId)).toThrow(SealDamagedError)
  expect(opened(many.slice(1), keyFile(), storeId)).toEqual(bytesOf(rootKey))
})
