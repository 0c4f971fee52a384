import { createPrivateKey, generateKeyPairSync } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  decryptPrivateKey,
  encryptPrivateKey,
  findPrivateKeyPem,
  IncorrectPasswordError,
  isEncryptedPrivateKey,
} from './rfc1423.ts'

const { privateKey } = generateKeyPairSync('ed25519')
const plainPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** Written by `openssl ec -aes-256-cbc`, password `secret`: another program's view of the same format. */
const OPENSSL_PEM = `-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-256-CBC,6F3650E538C0E1333556400F4DB1F11D

Ab7tdJTmoEZNwdNtNGAmRchSNq7QfOgzvbH6brMYDtm7A0efdzd1eZFQWX6iNGNX
XFpm23y+V3MvWkJnSSG0KMCOnmshlw94jH1fo7GDlP/C10ut3Z8bTs0TZe68KM+H
wMS73DrtwKZAlbWNkr3Ycy1jPieWufPLBP3lgYsQRtc=
-----END EC PRIVATE KEY-----
`

test('a key that was encrypted with another password is refused', () => {
  const pem = encryptPrivateKey(privateKey, 'right')
  for (const wrong of ['', 'Right', 'right ', 'righ']) {
    expect(() => decryptPrivateKey(pem, wrong)).toThrow(IncorrectPasswordError)
  }
})

test('an encrypted key can not be read without a password', () => {
  expect(() => createPrivateKey(encryptPrivateKey(privateKey, 'right'))).toThrow()
})

test('a key whose first block is damaged is refused', () => {
  const pem = encryptPrivateKey(privateKey, 'right')
  const body = pem.indexOf('\n\n') + 2
  for (let offset = body; offset < body + 20; offset++) {
    const damaged = pem.slice(0, offset) + (pem[offset] === 'A' ? 'B' : 'A') + pem.slice(offset + 1)
    expect(() => decryptPrivateKey(damaged, 'right')).toThrow(IncorrectPasswordError)
  }
})

test('every password opens the key that it encrypted', () => {
  // OpenSSL takes a password of at most 1023 bytes, and ends it at a zero byte.
  const password = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 40 })
    .filter((text) => !text.includes('\0'))
  fc.assert(
    fc.property(password, (text) => {
      expect(decryptPrivateKey(encryptPrivateKey(privateKey, text), text).equals(privateKey)).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('the same key and password never give the same text twice', () => {
  expect(encryptPrivateKey(privateKey, 'x')).not.toBe(encryptPrivateKey(privateKey, 'x'))
})

test('the headers are those of RFC 1423, and lines have at most 64 characters', () => {
  const lines = encryptPrivateKey(privateKey, 'x').split('\n')
  expect(lines.slice(0, 2)).toEqual(['-----BEGIN PRIVATE KEY-----', 'Proc-Type: 4,ENCRYPTED'])
  expect(lines[2]).toMatch(/^DEK-Info: AES-256-CBC,[0-9a-f]{32}$/)
  expect(lines[3]).toBe('')
  expect(Math.max(...lines.map((line) => line.length))).toBe(64)
})

test('a key that OpenSSL encrypted is decrypted', () => {
  expect(decryptPrivateKey(OPENSSL_PEM, 'secret').asymmetricKeyType).toBe('ec')
})

test('encrypted keys of either kind are told from plain ones', () => {
  const pkcs8 = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' })
  expect(isEncryptedPrivateKey(pkcs8.toString())).toBe(true)
  expect(isEncryptedPrivateKey(encryptPrivateKey(privateKey, 'x'))).toBe(true)
  expect(isEncryptedPrivateKey(plainPem)).toBe(false)
})

test('the private key is found behind a certificate, and nothing where there is none', () => {
  const certificate = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'
  expect(findPrivateKeyPem(certificate + plainPem)).toBe(plainPem.trim())
  expect(findPrivateKeyPem(certificate)).toBeUndefined()
})
