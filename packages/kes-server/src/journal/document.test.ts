import { generateKeyPairSync } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { entryDocument, ProofError, parseEntryLine, receiptDocument, verifyReceipt } from './document.ts'
import { type Action, type Entry, signEntry } from './entry.ts'

const { privateKey, publicKey } = generateKeyPairSync('ed25519')

function erasure(action: Action = 'erase'): Entry {
  return {
    storeId: Buffer.alloc(16, 1),
    number: 7,
    previous: Buffer.alloc(32, 2),
    time: '2026-11-24T04:00:00.5Z',
    action,
    name: 'orders',
    keyId: Buffer.alloc(16, 3),
    algorithm: 'AES256',
    state: 'erased',
    revision: 4,
    identity: 'bob',
    ip: '192.0.2.1',
    createdAt: '2026-01-01T00:00:00Z',
    createdBy: 'alice',
    fingerprint: Buffer.alloc(16, 4),
  }
}

const NO_BACKUPS = { latest: [], count: 0 }
const receipt = receiptDocument(signEntry(privateKey, erasure()), NO_BACKUPS)

describe('a receipt', () => {
  test('says what was erased, when and by whom, and what it does not cover', () => {
    expect(verifyReceipt(JSON.stringify(receipt), publicKey)).toMatchObject({
      name: 'orders',
      fingerprint: '04'.repeat(16),
      created_at: '2026-01-01T00:00:00Z',
      created_by: 'alice',
      erased_at: '2026-11-24T04:00:00.5Z',
      erased_by: 'bob',
    })
    expect(receipt.not_covered.length).toBeGreaterThan(0)
  })

  test('is refused when any of its fields says something else than what was signed', () => {
    const text = JSON.stringify(receipt)
    const { not_covered, journal, ...facts } = receipt
    for (const field of Object.keys(facts)) {
      const changed = { ...receipt, [field]: 'other' }
      expect(() => verifyReceipt(JSON.stringify(changed), publicKey), field).toThrow(ProofError)
    }
    for (const field of Object.keys(journal)) {
      const changed = { ...receipt, journal: { ...journal, [field]: 'b3RoZXI=' } }
      expect(() => verifyReceipt(JSON.stringify(changed), publicKey), field).toThrow(ProofError)
    }
    expect(() => verifyReceipt(text.replace('{', '{"approved_by":"carol",'), publicKey)).toThrow(ProofError)
    expect(() => verifyReceipt(text.slice(1), publicKey)).toThrow(ProofError)
    expect(() => verifyReceipt('null', publicKey)).toThrow(ProofError)
    expect(() => verifyReceipt('{}', publicKey)).toThrow(ProofError)
  })

  test('of another signer is refused, also with that public key in the file', () => {
    const other = generateKeyPairSync('ed25519')
    const forged = receiptDocument(signEntry(other.privateKey, erasure()), NO_BACKUPS)
    const pem = other.publicKey.export({ format: 'pem', type: 'spki' })
    expect(() => verifyReceipt(JSON.stringify({ ...forged, public_key: pem }), publicKey)).toThrow(ProofError)
  })

  test('is refused when its entry is signed but no erasure', () => {
    const disabled = receiptDocument(signEntry(privateKey, erasure('disable')), NO_BACKUPS)
    expect(() => verifyReceipt(JSON.stringify(disabled), publicKey)).toThrow(/no erasure, but: disable/)
  })
})

test('a line of an export is read back with what the store has it under', () => {
  const signed = signEntry(privateKey, erasure())
  const { name, entry, signature } = entryDocument(signed)
  const line = JSON.stringify({ number: 8, name, entry, signature })
  expect(Buffer.from(parseEntryLine(line).bytes)).toEqual(signed.bytes)
  expect(parseEntryLine(line)).toMatchObject({ number: 8, name: 'orders' })
  const reordered = JSON.stringify({ name, number: 8, entry, signature })
  for (const wrong of [`${line} `, reordered, line.replace('8', '8.0')]) {
    expect(() => parseEntryLine(wrong)).toThrow('the line is not as it was exported')
  }
  for (const wrong of ['', '[]', '{}', '{"entry":"AA==","signature":1}', '{"entry":"A A=","signature":""}']) {
    expect(() => parseEntryLine(wrong)).toThrow(ProofError)
  }
})

test('a receipt names the latest backups that hold the key, and counts the others', () => {
  const backup = { number: 9, backupId: 'b-1', madeAt: '2026-11-25T00:00:00Z' }
  const { not_covered } = receiptDocument(signEntry(privateKey, erasure()), { latest: [backup], count: 4 })
  expect(not_covered.slice(-2)).toEqual([
    'backup b-1 of 2026-11-25T00:00:00Z (journal entry 9), which holds the sealed key',
    '3 earlier backups of the store, which hold the sealed key',
  ])
})
