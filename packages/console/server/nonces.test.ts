import { expect, test } from 'vitest'
import { NONCE_SECONDS, Nonces } from './nonces.ts'

function noncesAt(startMs = 1000) {
  const clock = { nowMs: startMs }
  return { clock, nonces: new Nonces(() => clock.nowMs) }
}

test('a nonce is open until its minute is over', () => {
  const { clock, nonces } = noncesAt()
  const nonce = nonces.issue()
  expect(Buffer.from(nonce, 'base64url')).toHaveLength(32)
  expect(nonces.isOpen(nonce)).toBe(true)
  clock.nowMs += NONCE_SECONDS * 1000 - 1
  expect(nonces.isOpen(nonce)).toBe(true)
  clock.nowMs += 1
  expect(nonces.isOpen(nonce)).toBe(false)
})

test('a nonce that was used is open no more', () => {
  const { nonces } = noncesAt()
  const nonce = nonces.issue()
  expect(nonces.use(nonce)).toBe(true)
  expect(nonces.isOpen(nonce)).toBe(false)
})

test('another spelling of a nonce is none', () => {
  const { nonces } = noncesAt()
  const nonce = nonces.issue()
  const standard = Buffer.from(nonce, 'base64url').toString('base64')
  // The last character of 43 holds 4 bits; the 2 below them are free.
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet[alphabet.indexOf(nonce.slice(-1)) + 1]
  for (const other of [standard, `${nonce}=`, ` ${nonce}`, `${nonce}\n`, `${nonce.slice(0, -1)}${last}`]) {
    expect(nonces.isOpen(other)).toBe(false)
  }
})

test('a nonce with any bit flipped is none', () => {
  const { nonces } = noncesAt()
  const nonce = Buffer.from(nonces.issue(), 'base64url')
  for (let bit = 0; bit < 256; bit += 1) {
    const forged = Buffer.from(nonce)
    forged.writeUInt8(forged.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    expect(nonces.isOpen(forged.toString('base64url'))).toBe(false)
  }
})

test('a nonce of another process is none', () => {
  expect(noncesAt().nonces.isOpen(noncesAt().nonces.issue())).toBe(false)
})

test('used nonces are forgotten when they have ended, and until then there is an end to their number', () => {
  const { clock, nonces } = noncesAt()
  for (let used = 0; used < 10_000; used += 1) expect(nonces.use(nonces.issue())).toBe(true)
  expect(nonces.use(nonces.issue())).toBe(false)
  clock.nowMs += NONCE_SECONDS * 1000
  expect(nonces.use(nonces.issue())).toBe(true)
})
