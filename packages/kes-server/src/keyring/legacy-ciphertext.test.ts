import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { toRawCiphertext } from './legacy-ciphertext.ts'

const IV = Buffer.alloc(16, 1)
const NONCE = Buffer.alloc(12, 2)

function json(fields: Record<string, unknown>): Buffer {
  const complete = {
    aead: 'AES-256-GCM-HMAC-SHA-256',
    iv: IV.toString('base64'),
    nonce: NONCE.toString('base64'),
    bytes: 'QUJD',
  }
  return Buffer.from(JSON.stringify({ ...complete, ...fields }))
}

/** The header of a string or byte string, in the given width of its length. */
function header(type: 'str' | 'bin', width: 0 | 1 | 2 | 4, length: number): Buffer {
  if (width === 0) return Buffer.from([0xa0 + length])
  const bytes = Buffer.alloc(1 + width)
  bytes.writeUInt8((type === 'str' ? 0xd9 : 0xc4) + Math.log2(width))
  bytes.writeUIntBE(length, 1, width)
  return bytes
}

function str(text: string, width: 0 | 1 | 2 | 4 = 0): Buffer {
  return Buffer.concat([header('str', width, text.length), Buffer.from(text)])
}

function bin(bytes: Uint8Array, width: 1 | 2 | 4 = 1): Buffer {
  return Buffer.concat([header('bin', width, bytes.length), bytes])
}

function messagePack(...elements: Buffer[]): Buffer {
  return Buffer.concat([Buffer.from([0x95]), ...elements])
}

const sealed = fc.uint8Array({ maxLength: 300 })
const id = fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), maxLength: 31 })

describe('a ciphertext stays as it is', () => {
  test.each([
    ['an empty one', Buffer.alloc(0)],
    ['a brace alone', Buffer.from('{')],
    ['JSON of another algorithm', json({ aead: 'AES256' })],
    ['JSON without algorithm', json({ aead: undefined })],
    ['JSON with a number as id', json({ id: 1 })],
    ['JSON with an iv of 15 bytes', json({ iv: IV.subarray(1).toString('base64') })],
    ['JSON with an iv of 17 bytes', json({ iv: Buffer.alloc(17).toString('base64') })],
    ['JSON with a nonce of 11 bytes', json({ nonce: NONCE.subarray(1).toString('base64') })],
    ['JSON with a nonce of 13 bytes', json({ nonce: Buffer.alloc(13).toString('base64') })],
    ['JSON with unpadded base64', json({ bytes: 'QUI' })],
    ['JSON behind a space', Buffer.concat([Buffer.from(' '), json({})])],
    ['JSON with something behind it', Buffer.concat([json({}), Buffer.from('x')])],
    ['MessagePack of four', messagePack(str('AES256'), str(''), bin(IV), bin(NONCE))],
    [
      'MessagePack of an array of six',
      Buffer.concat([
        Buffer.from([0x96]),
        messagePack(str('AES256'), str(''), bin(IV), bin(NONCE), bin(IV)).subarray(1),
      ]),
    ],
    [
      'MessagePack with a byte behind it',
      messagePack(str('AES256'), str(''), bin(IV), bin(NONCE), bin(IV), Buffer.alloc(1)),
    ],
    ['MessagePack of another algorithm', messagePack(str('aes256'), str(''), bin(IV), bin(NONCE), bin(IV))],
    [
      'MessagePack with its algorithm as bytes',
      messagePack(bin(Buffer.from('AES256')), str(''), bin(IV), bin(NONCE), bin(IV)),
    ],
    ['MessagePack without id', messagePack(str('AES256'), bin(IV), bin(IV), bin(NONCE), bin(IV))],
    [
      'MessagePack with an iv of 17 bytes',
      messagePack(str('AES256'), str(''), bin(Buffer.alloc(17)), bin(NONCE), bin(IV)),
    ],
    [
      'MessagePack with a nonce of 11 bytes',
      messagePack(str('AES256'), str(''), bin(IV), bin(NONCE.subarray(1)), bin(IV)),
    ],
    [
      'MessagePack with a length past its end',
      messagePack(str('AES256'), str(''), bin(IV), bin(NONCE), Buffer.from('c6ffffffff00', 'hex')),
    ],
  ])('%s', (_, ciphertext) => {
    expect(toRawCiphertext(ciphertext)).toBe(ciphertext)
  })

  test('if MessagePack is cut short anywhere', () => {
    const whole = messagePack(str('AES256'), str('id'), bin(IV), bin(NONCE), bin(IV))
    for (let length = 0; length < whole.length; length += 1) {
      const cut = whole.subarray(0, length)
      expect(toRawCiphertext(cut)).toBe(cut)
    }
  })

  test('if it does not begin like an old form', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        fc.pre(bytes[0] !== 0x7b && bytes[0] !== 0x95)
        const ciphertext = Buffer.from(bytes)
        expect(toRawCiphertext(ciphertext)).toBe(ciphertext)
      }),
    )
  })
})

test('JSON becomes raw', () => {
  const aead = fc.constantFrom('AES-256-GCM-HMAC-SHA-256', 'ChaCha20Poly1305')
  fc.assert(
    fc.property(aead, id, sealed, (name, key, bytes) => {
      const ciphertext = json({
        aead: name,
        id: key,
        bytes: Buffer.from(bytes).toString('base64'),
        more: [1],
      })
      expect(toRawCiphertext(ciphertext)).toEqual(Buffer.concat([bytes, IV, NONCE]))
    }),
  )
})

test('MessagePack becomes raw, whatever the widths of its lengths', () => {
  const name = fc.constantFrom('AES256', 'AES256-GCM_SHA256', 'ChaCha20', 'XCHACHA20-POLY1305')
  const strWidth = fc.constantFrom(0 as const, 1 as const, 2 as const, 4 as const)
  const binWidth = fc.constantFrom(2 as const, 4 as const)
  fc.assert(
    fc.property(name, id, sealed, strWidth, binWidth, (algorithm, key, bytes, ofText, ofBytes) => {
      const ciphertext = messagePack(
        str(algorithm, ofText),
        str(key, ofText),
        bin(IV),
        bin(NONCE, ofBytes),
        bin(bytes, ofBytes),
      )
      expect(toRawCiphertext(ciphertext)).toEqual(Buffer.concat([bytes, IV, NONCE]))
    }),
  )
})
