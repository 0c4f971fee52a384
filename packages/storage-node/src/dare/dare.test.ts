import { createSecretKey, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generatedPlaintext, readMinioVectors, sha256 } from '../../../../test/minio-vectors.ts'
import { DareDecryptor, decryptBytes, decryptStream } from './decrypt.ts'
import { DareEncryptor, encryptBytes, encryptStream } from './encrypt.ts'
import { DareError } from './errors.ts'
import {
  type DareCipher,
  HEADER_BYTES,
  PACKAGE_BYTES,
  plainSize,
  SEALED_PACKAGE_BYTES,
  sealedSize,
  sealing,
} from './format.ts'
import { sealedRange } from './range.ts'

interface StreamCase {
  readonly id: string
  readonly version: '1.0' | '2.0'
  readonly cipher: 'AES-256-GCM' | 'CHACHA20-POLY1305'
  readonly key: string
  readonly nonce: string
  readonly plainSize: number
  readonly generatorLabel: string
  readonly sealedSHA256: string
  readonly firstHeader?: string
  readonly sealed?: string
  readonly startSequenceNumber?: number
  readonly plainOffset?: number
  readonly storedOffset?: number
  readonly fullPlainSize?: number
}

const streams = readMinioVectors<StreamCase>('dare-streams.json')
const KEY = createSecretKey(Buffer.alloc(32, 7))
const NONCE = Buffer.alloc(12, 9)

function cipherOf({ cipher }: StreamCase): DareCipher {
  return cipher === 'AES-256-GCM' ? 'AES-256-GCM' : 'ChaCha20-Poly1305'
}

function keyOf({ key }: { key: string }) {
  return createSecretKey(key, 'hex')
}

/** A version 1.0 stream, which the node never writes: recorded ones are cut off at 70,000 bytes. */
function encryptVersion1(content: Buffer, { key, nonce, cipher }: StreamCase): Buffer {
  const packages: Buffer[] = []
  for (let at = 0; at < content.length; at += PACKAGE_BYTES) {
    const piece = content.subarray(at, at + PACKAGE_BYTES)
    const header = Buffer.alloc(HEADER_BYTES)
    header[0] = 0x10
    header[1] = cipher === 'AES-256-GCM' ? 0 : 1
    header.writeUInt16LE(piece.length - 1, 2)
    header.writeUInt32LE(at / PACKAGE_BYTES, 4)
    header.write(nonce, 8, 'hex')
    const aead = sealing(
      cipher === 'AES-256-GCM' ? 'AES-256-GCM' : 'ChaCha20-Poly1305',
      createSecretKey(key, 'hex'),
      header.subarray(4),
    )
    aead.setAAD(header.subarray(0, 4))
    packages.push(header, aead.update(piece), aead.final(), aead.getAuthTag())
  }
  return Buffer.concat(packages)
}

function chunked(bytes: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
  return chunks
}

function encryptChunks(chunks: Iterable<Uint8Array>, cipher: DareCipher = 'AES-256-GCM'): Buffer {
  const encryptor = new DareEncryptor(KEY, { nonce: NONCE, cipher })
  const sealed: Buffer[] = []
  for (const chunk of chunks) for (const block of encryptor.update(chunk)) sealed.push(Buffer.from(block))
  for (const block of encryptor.end()) sealed.push(Buffer.from(block))
  return Buffer.concat(sealed)
}

function decryptChunks(
  chunks: Iterable<Uint8Array>,
  options: ConstructorParameters<typeof DareDecryptor>[1] = { versionMin: '1.0' },
): Buffer {
  const decryptor = new DareDecryptor(KEY, options)
  const content: Buffer[] = []
  for (const chunk of chunks) content.push(...decryptor.update(chunk))
  decryptor.end()
  return Buffer.concat(content)
}

function problemOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    if (error instanceof DareError) return error.message
    throw error
  }
  return ''
}

describe('recorded streams', () => {
  const whole = streams.filter((row) => row.plainOffset === undefined)

  test.each(whole.filter((row) => row.version === '2.0'))('$id is written to the byte', (row) => {
    const content = generatedPlaintext(row.generatorLabel, row.plainSize)
    const sealed = encryptBytes(content, keyOf(row), {
      cipher: cipherOf(row),
      nonce: Buffer.from(row.nonce, 'hex'),
    })
    expect(sha256(sealed)).toBe(row.sealedSHA256)
    expect(sealed.subarray(0, HEADER_BYTES).toString('hex')).toBe(row.firstHeader ?? '')
    if (row.sealed !== undefined) expect(sealed.toString('base64')).toBe(row.sealed)
    expect(decryptBytes(sealed, keyOf(row), '1.0').equals(content)).toBe(true)
  })

  test.each(whole.filter((row) => row.version === '1.0'))('$id is read', (row) => {
    const content = generatedPlaintext(row.generatorLabel, row.plainSize)
    const sealed =
      row.sealed === undefined ? encryptVersion1(content, row) : Buffer.from(row.sealed, 'base64')
    expect(sha256(sealed)).toBe(row.sealedSHA256)
    expect(decryptBytes(sealed, keyOf(row), '1.0').equals(content)).toBe(true)
  })

  test.each(streams.filter((row) => row.plainOffset !== undefined))(
    '$id is read from its package on',
    (row) => {
      const { plainOffset = 0, fullPlainSize = 0, storedOffset, startSequenceNumber = 0 } = row
      const content = generatedPlaintext(row.generatorLabel, fullPlainSize)
      const sealed = encryptBytes(content, keyOf(row), { nonce: Buffer.from(row.nonce, 'hex') })
      expect(sha256(sealed)).toBe(row.sealedSHA256)

      const range = sealedRange(sealed.length, plainOffset, row.plainSize)
      expect(range).toMatchObject({ offset: storedOffset, firstPackage: startSequenceNumber, skip: 0 })
      const decryptor = new DareDecryptor(keyOf(row), { versionMin: '1.0', ...range })
      const read = [...decryptor.update(sealed.subarray(range.offset))]
      decryptor.end()
      expect(Buffer.concat(read).equals(content.subarray(plainOffset))).toBe(true)
    },
  )

  test.each(
    readMinioVectors<{
      id: string
      sealed: string
      key: string
      minVersion: '1.0' | '2.0'
      startSequenceNumber: number
      error: string
    }>('dare-negative.json'),
  )('$id answers "$error"', (row) => {
    const decryptor = new DareDecryptor(keyOf(row), {
      versionMin: row.minVersion,
      firstPackage: row.startSequenceNumber,
    })
    const problem = problemOf(() => {
      for (const _ of decryptor.update(Buffer.from(row.sealed, 'base64')));
      decryptor.end()
    })
    expect(problem).toBe(row.error)
  })

  test.each(
    readMinioVectors<{ id: string; plain?: number; sealed: number; error?: string }>('dare-sizes.json'),
  )('the sizes of $id', ({ id, plain, sealed, error }) => {
    if (error !== undefined) {
      expect(problemOf(() => plainSize(sealed))).toBe(error)
      return
    }
    if (id.startsWith('enc')) expect(sealedSize(plain ?? -1)).toBe(sealed)
    expect(plainSize(sealed)).toBe(plain)
  })
})

describe('any content', () => {
  const content = fc
    .tuple(fc.integer({ min: 0, max: 5 * PACKAGE_BYTES + 2 }), fc.integer({ min: 1, max: 3 * PACKAGE_BYTES }))
    .map(([bytes, chunkBytes]) => ({ bytes: randomBytes(bytes), chunkBytes }))
  const cipher = fc.constantFrom<DareCipher>('AES-256-GCM', 'ChaCha20-Poly1305')

  test('comes back whatever the pieces it is written and read in', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        content,
        cipher,
        fc.integer({ min: 1, max: 200_000 }),
        ({ bytes, chunkBytes }, cipher, read) => {
          const sealed = encryptChunks(chunked(bytes, chunkBytes), cipher)
          expect(sealed.length).toBe(sealedSize(bytes.length))
          expect(sealed.equals(encryptBytes(bytes, KEY, { nonce: NONCE, cipher }))).toBe(true)
          expect(decryptChunks(chunked(sealed, read)).equals(bytes)).toBe(true)
        },
      ),
      { numRuns: 60 },
    )
  })

  test('comes back when it is written and read byte by byte', () => {
    const bytes = randomBytes(PACKAGE_BYTES + 3)
    const sealed = encryptChunks(chunked(bytes, 1))
    expect(decryptChunks(chunked(sealed, 1)).equals(bytes)).toBe(true)
  })

  test('gives any range of itself from the packages that hold it, and no others', () => {
    const bytes = randomBytes(4 * PACKAGE_BYTES + 77)
    const sealed = encryptChunks([bytes])
    fc.assert(
      fc.property(fc.nat(bytes.length), fc.nat(bytes.length), (a, b) => {
        const offset = Math.min(a, b)
        const length = Math.abs(a - b)
        const range = sealedRange(sealed.length, offset, length)
        const read = decryptChunks([sealed.subarray(range.offset, range.offset + range.length)], {
          versionMin: '2.0',
          ...range,
          mayEndEarly: range.mayEndEarly || length === 0,
        })
        expect(
          read.subarray(range.skip, range.skip + length).equals(bytes.subarray(offset, offset + length)),
        ).toBe(true)
        expect(range.length).toBeLessThanOrEqual(
          (Math.ceil(length / PACKAGE_BYTES) + 1) * SEALED_PACKAGE_BYTES,
        )
      }),
    )
  })
})

describe('a stream that somebody changed', () => {
  const bytes = randomBytes(3 * PACKAGE_BYTES + 100)
  const sealed = encryptChunks([bytes])
  const packages = chunked(sealed, SEALED_PACKAGE_BYTES)

  test.each([0, 1, 2, 3, 4, 8, 15, 16, 20_000, 65_551, 65_552, 65_567])(
    'is refused with any bit of byte %i of a package flipped',
    (at) => {
      for (const start of [0, SEALED_PACKAGE_BYTES, 3 * SEALED_PACKAGE_BYTES]) {
        for (let bit = 0; bit < 8 && start + at < sealed.length; bit++) {
          const changed = Buffer.from(sealed)
          changed[start + at] = (changed[start + at] ?? 0) ^ (1 << bit)
          expect(problemOf(() => decryptChunks([changed]))).not.toBe('')
        }
      }
    },
  )

  test('is refused when packages are swapped, dropped or doubled', () => {
    const [first, second, third, last] = packages as [Buffer, Buffer, Buffer, Buffer]
    const failed = 'sio: authentication failed'
    expect(problemOf(() => decryptChunks([first, third, second, last]))).toBe(failed)
    expect(problemOf(() => decryptChunks([first, third, last]))).toBe(failed)
    expect(problemOf(() => decryptChunks([first, first, second, third, last]))).toBe(failed)
  })

  test('is refused when its end is cut off, wherever', () => {
    expect(problemOf(() => decryptChunks(packages.slice(0, 3)))).toBe('sio: unexpected EOF')
    expect(problemOf(() => decryptChunks([sealed.subarray(0, -1)]))).toBe('sio: invalid payload size')
    expect(problemOf(() => decryptChunks([sealed.subarray(0, SEALED_PACKAGE_BYTES + 5)]))).toBe(
      'sio: unexpected EOF',
    )
    expect(problemOf(() => decryptChunks([], { versionMin: '2.0' }))).toBe('sio: unexpected EOF')
  })

  test('is refused when anything follows its end', () => {
    for (const more of [Buffer.alloc(1), packages[0] ?? sealed, sealed]) {
      expect(problemOf(() => decryptChunks([sealed, more]))).toBe('sio: unexpected data after final package')
    }
  })

  test('is refused when a package of another stream under the same key stands in it', () => {
    const other = encryptBytes(bytes, KEY, { nonce: Buffer.alloc(12, 3) })
    const foreign = other.subarray(SEALED_PACKAGE_BYTES, 2 * SEALED_PACKAGE_BYTES)
    const mixed = [packages[0] ?? sealed, foreign]
    expect(problemOf(() => decryptChunks(mixed))).toBe('sio: header nonce mismatch')
    const chacha = encryptBytes(bytes, KEY, { nonce: NONCE, cipher: 'ChaCha20-Poly1305' })
    const otherCipher = [packages[0] ?? sealed, chacha.subarray(SEALED_PACKAGE_BYTES)]
    expect(problemOf(() => decryptChunks(otherCipher))).toBe('sio: unsupported cipher suite')
  })

  test('gives the content of the packages before the change, and none behind it', () => {
    const changed = Buffer.from(sealed)
    changed[2 * SEALED_PACKAGE_BYTES - 1] = (changed[2 * SEALED_PACKAGE_BYTES - 1] ?? 0) ^ 1
    const decryptor = new DareDecryptor(KEY, { versionMin: '2.0' })
    const read: Buffer[] = []
    expect(() => {
      for (const content of decryptor.update(changed)) read.push(content)
    }).toThrow('sio: authentication failed')
    expect(Buffer.concat(read).equals(bytes.subarray(0, PACKAGE_BYTES))).toBe(true)
  })

  test('of version 1.0 is refused when its packages are swapped or a short one does not end it', () => {
    const row = streams.find(({ id }) => id === 'v1-aes256gcm-131073')
    if (!row) throw new Error('the recorded stream is missing')
    const content = generatedPlaintext(row.generatorLabel, row.plainSize)
    const [first, second, last] = chunked(encryptVersion1(content, row), SEALED_PACKAGE_BYTES) as [
      Buffer,
      Buffer,
      Buffer,
    ]
    const read = (pieces: Buffer[]) => problemOf(() => decryptBytes(Buffer.concat(pieces), keyOf(row), '1.0'))
    expect(read([first, second, last])).toBe('')
    expect(read([second, first, last])).toBe('sio: sequence number mismatch')

    const short = encryptVersion1(content.subarray(0, 10), row)
    expect(read([short, second])).toBe('sio: invalid payload size')
  })
})

test('two streams of the same content differ', () => {
  const first = encryptBytes(Buffer.from('content'), KEY)
  const second = encryptBytes(Buffer.from('content'), KEY)
  expect(first.equals(second)).toBe(false)
  expect(decryptBytes(first, KEY, '2.0').toString()).toBe('content')
})

test('a stream passes through bounded memory', async () => {
  const pieces = 256
  async function* content() {
    for (let piece = 0; piece < pieces; piece++) yield Buffer.alloc(PACKAGE_BYTES, piece)
  }
  const buffers = new Set<ArrayBufferLike>()
  async function* watched() {
    for await (const block of encryptStream(content(), KEY)) {
      buffers.add(block.buffer)
      yield block
    }
  }
  let piece = 0
  for await (const read of decryptStream(watched(), KEY, { versionMin: '2.0' })) {
    expect(read.equals(Buffer.alloc(PACKAGE_BYTES, piece))).toBe(true)
    piece += 1
  }
  expect(piece).toBe(pieces)
  expect(buffers.size).toBe(1)
})

test('package numbers enter the nonce as 32 bits, also the high half', () => {
  const last = 0xffff_fffe
  const decryptor = new DareDecryptor(KEY, { versionMin: '2.0', firstPackage: last })
  const header = Buffer.from(encryptBytes(Buffer.alloc(1), KEY, { nonce: NONCE }).subarray(0, HEADER_BYTES))
  const nonce = Buffer.from(header.subarray(4))
  nonce.writeUInt32LE((nonce.readUInt32LE(8) ^ last) >>> 0, 8)
  const aead = sealing('AES-256-GCM', KEY, nonce)
  aead.setAAD(header.subarray(0, 4))
  const sealed = Buffer.concat([header, aead.update('x'), aead.final(), aead.getAuthTag()])
  expect(Buffer.concat([...decryptor.update(sealed)]).toString()).toBe('x')
})
