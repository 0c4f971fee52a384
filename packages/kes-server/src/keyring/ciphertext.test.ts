import { AssertionError } from 'node:assert'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readVectors } from '../../../../test/read-vectors.ts'
import { NotAuthenticError } from '../errors.ts'
import type { Algorithm } from '../store/algorithm.ts'
import { CipherKey, repeatEncryption } from './ciphertext.ts'

interface Row {
  id: string
  why?: string
  algorithm: Algorithm
  key: string
  context: string | null
  plaintext?: string
  ciphertext: string
  decrypts: boolean
}

interface LargeRow extends Row {
  plaintext_byte: string
  plaintext_length: number
  iv_hex?: string
  nonce_hex: string
  tag_hex: string
  ciphertext_length: number
  ciphertext_sha256: string
}

const NO_CONTEXT = Buffer.alloc(0)
const algorithms: Algorithm[] = ['AES256', 'ChaCha20']
const algorithm = fc.constantFrom(...algorithms)

function base64(text: string | null | undefined): Buffer {
  return Buffer.from(text ?? '', 'base64')
}

function keyOf(row: { algorithm: Algorithm; key: string }): CipherKey {
  return CipherKey.from(row.algorithm, base64(row.key))
}

function newKey(kind: Algorithm): CipherKey {
  return CipherKey.from(kind, Buffer.alloc(32, 7))
}

function errorOf(action: () => unknown): unknown {
  try {
    action()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

describe.each(['ciphertexts.json', 'legacy-ciphertexts.json'])('%s', (file) => {
  const { rows } = readVectors<{ rows: Row[] }>(file)

  test.each(rows.filter((row) => !row.decrypts))('$id is refused: $why', (row) => {
    expect(() => keyOf(row).decrypt(base64(row.ciphertext), base64(row.context))).toThrow(NotAuthenticError)
  })

  test.each(rows.filter((row) => row.decrypts))('$id decrypts to what KES encrypted', (row) => {
    const plaintext = keyOf(row).decrypt(base64(row.ciphertext), base64(row.context))
    expect(plaintext.toString('base64')).toBe(row.plaintext)
  })
})

test.each(readVectors<{ rows: Row[] }>('ciphertexts.json').rows.filter((row) => row.decrypts))(
  '$id is encrypted again to the same bytes',
  (row) => {
    const ciphertext = base64(row.ciphertext)
    const [iv, nonce] = [ciphertext.subarray(-28, -12), ciphertext.subarray(-12)]
    const again = repeatEncryption(
      row.algorithm,
      base64(row.key),
      iv,
      nonce,
      base64(row.plaintext),
      base64(row.context),
    )
    expect(again.toString('base64')).toBe(row.ciphertext)
  },
)

test.each(
  readVectors<{ rows: LargeRow[] }>('large-ciphertexts.json').rows.flatMap((row) =>
    row.iv_hex === undefined ? [] : [{ ...row, iv_hex: row.iv_hex }],
  ),
)('$id: $plaintext_length bytes with $algorithm give what KES gave, and decrypt', (row) => {
  const plaintext = Buffer.alloc(row.plaintext_length, row.plaintext_byte, 'hex')
  const iv = Buffer.from(row.iv_hex, 'hex')
  const nonce = Buffer.from(row.nonce_hex, 'hex')
  const ciphertext = repeatEncryption(
    row.algorithm,
    base64(row.key),
    iv,
    nonce,
    plaintext,
    base64(row.context),
  )
  expect(ciphertext).toHaveLength(row.ciphertext_length)
  expect(ciphertext.subarray(plaintext.length, plaintext.length + 16).toString('hex')).toBe(row.tag_hex)
  expect(createHash('sha256').update(ciphertext).digest('hex')).toBe(row.ciphertext_sha256)
  expect(keyOf(row).decrypt(ciphertext, base64(row.context)).equals(plaintext)).toBe(true)
})

describe.each(algorithms)('a key for %s', (kind) => {
  test.each([0, 31, 33])('is not made from %i bytes', (length) => {
    expect(() => CipherKey.from(kind, new Uint8Array(length))).toThrow(AssertionError)
  })

  test('refuses a ciphertext with any one bit flipped, each time in the same words', () => {
    const key = newKey(kind)
    const { ciphertext } = key.generate(Buffer.from('context'))
    const tooShort = errorOf(() => key.decrypt(NO_CONTEXT, NO_CONTEXT))
    for (let bit = 0; bit < ciphertext.length * 8; bit += 1) {
      const flipped = Buffer.from(ciphertext)
      flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
      const error = errorOf(() => key.decrypt(flipped, Buffer.from('context')))
      expect(error).toEqual(tooShort)
      expect(error).toBeInstanceOf(NotAuthenticError)
      expect(error).not.toHaveProperty('cause')
    }
  })

  test('refuses every shorter and a longer ciphertext', () => {
    const key = newKey(kind)
    const { ciphertext } = key.generate(NO_CONTEXT)
    for (let length = 0; length < ciphertext.length; length += 1) {
      expect(() => key.decrypt(ciphertext.subarray(0, length), NO_CONTEXT)).toThrow(NotAuthenticError)
      const end = ciphertext.subarray(ciphertext.length - length)
      expect(() => key.decrypt(end, NO_CONTEXT)).toThrow(NotAuthenticError)
    }
    expect(() => key.decrypt(Buffer.concat([ciphertext, Buffer.alloc(1)]), NO_CONTEXT)).toThrow(
      NotAuthenticError,
    )
  })

  test('refuses another context, key or algorithm', () => {
    const { ciphertext } = newKey(kind).generate(Buffer.from('a'))
    expect(() => newKey(kind).decrypt(ciphertext, Buffer.from('b'))).toThrow(NotAuthenticError)
    expect(() => newKey(kind).decrypt(ciphertext, NO_CONTEXT)).toThrow(NotAuthenticError)
    const other = CipherKey.from(kind, Buffer.alloc(32, 8))
    expect(() => other.decrypt(ciphertext, Buffer.from('a'))).toThrow(NotAuthenticError)
    const otherKind = newKey(kind === 'AES256' ? 'ChaCha20' : 'AES256')
    expect(() => otherKind.decrypt(ciphertext, Buffer.from('a'))).toThrow(NotAuthenticError)
  })

  test('does nothing once it is destroyed, not even with an iv it has just used', () => {
    const key = newKey(kind)
    const own = key.generate(NO_CONTEXT).ciphertext
    const foreign = newKey(kind).encrypt(NO_CONTEXT, NO_CONTEXT)
    key.decrypt(foreign, NO_CONTEXT)
    key.destroy()
    expect(() => key.generate(NO_CONTEXT)).toThrow(AssertionError)
    expect(() => key.encrypt(NO_CONTEXT, NO_CONTEXT)).toThrow(AssertionError)
    expect(() => key.decrypt(own, NO_CONTEXT)).toThrow(AssertionError)
    expect(() => key.decrypt(foreign, NO_CONTEXT)).toThrow(AssertionError)
  })

  test('does not change with the buffer it came from', () => {
    const bytes = Buffer.alloc(32, 7)
    const key = CipherKey.from(kind, bytes)
    bytes.fill(0)
    expect(
      newKey(kind)
        .decrypt(key.encrypt(Buffer.from('x'), NO_CONTEXT), NO_CONTEXT)
        .toString(),
    ).toBe('x')
  })

  test('keeps no nonce, data key or encrypting iv for a second time', () => {
    const key = newKey(kind)
    const generated = Array.from({ length: 500 }, () => key.generate(NO_CONTEXT))
    const encrypted = Array.from({ length: 500 }, () => key.encrypt(NO_CONTEXT, NO_CONTEXT))
    const nonces = [...generated.map((one) => one.ciphertext), ...encrypted].map((c) =>
      c.toString('hex').slice(-24),
    )
    expect(new Set(nonces).size).toBe(1000)
    expect(new Set(generated.map((one) => one.plaintext.toString('hex'))).size).toBe(500)
    expect(new Set(encrypted.map((c) => c.subarray(-28, -12).toString('hex'))).size).toBe(500)
  })

  test('changes its iv after 2^16 data keys', () => {
    const key = newKey(kind)
    const ivs = new Set<string>()
    for (let made = 0; made < 2 ** 16; made += 1)
      ivs.add(key.generate(NO_CONTEXT).ciphertext.toString('hex', 48, 64))
    expect(ivs.size).toBe(1)
    ivs.add(key.generate(NO_CONTEXT).ciphertext.toString('hex', 48, 64))
    expect(ivs.size).toBe(2)
  })
})

test('a data key has 32 bytes, its ciphertext 76, and the one decrypts to the other', () => {
  fc.assert(
    fc.property(algorithm, fc.uint8Array(), (kind, context) => {
      const key = newKey(kind)
      const { plaintext, ciphertext } = key.generate(context)
      expect(plaintext).toHaveLength(32)
      expect(ciphertext).toHaveLength(76)
      expect(key.decrypt(ciphertext, context)).toEqual(plaintext)
      expect(newKey(kind).decrypt(ciphertext, context)).toEqual(plaintext)
    }),
  )
})

test('what is encrypted is 44 bytes longer, and decrypts', () => {
  fc.assert(
    fc.property(algorithm, fc.uint8Array({ maxLength: 300 }), fc.uint8Array(), (kind, plaintext, context) => {
      const key = newKey(kind)
      const ciphertext = key.encrypt(plaintext, context)
      expect(ciphertext).toHaveLength(plaintext.length + 44)
      expect(key.decrypt(ciphertext, context)).toEqual(Buffer.from(plaintext))
    }),
  )
})

test('a key that switches between ciphertexts of several ivs decrypts them all', () => {
  const key = newKey('AES256')
  const made = ['a', 'b', 'c', 'd'].map((text) => ({
    text,
    ciphertext: (text < 'c' ? key : newKey('AES256')).encrypt(Buffer.from(text), NO_CONTEXT),
  }))
  for (const { text, ciphertext } of [...made, ...made.toReversed(), ...made]) {
    expect(key.decrypt(ciphertext, NO_CONTEXT).toString()).toBe(text)
  }
})

test('whatever is not authentic is refused with that error', () => {
  const start = fc.constantFrom(
    '',
    '{',
    '{"aead":"ChaCha20Poly1305","iv":',
    '\x95',
    '\x95\xa6AES256\xa0\xc4\x10',
  )
  fc.assert(
    fc.property(algorithm, start, fc.uint8Array({ maxLength: 100 }), (kind, first, rest) => {
      const ciphertext = Buffer.concat([Buffer.from(first, 'latin1'), rest])
      expect(() => newKey(kind).decrypt(ciphertext, NO_CONTEXT)).toThrow(NotAuthenticError)
    }),
  )
})
