import { BuiltinKms, KmsError } from '@latchkey/kms-client/kms'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { generatedPlaintext, readMinioVectors } from '../../../../test/minio-vectors.ts'
import {
  ConfigFileError,
  decryptConfig,
  encryptConfig,
  isEncryptedConfig,
  readConfigHeader,
} from './config-file.ts'
import { decryptStream, encryptStream, type StreamCipher, StreamNotAuthenticError } from './config-stream.ts'

interface StreamCase {
  readonly id: string
  readonly algorithm: StreamCipher
  readonly key: string
  readonly nonce: string
  readonly plainSize: number
  readonly generatorLabel: string
  readonly sealed: string
}

interface FileCase {
  readonly id: string
  readonly kmsContext: string
  readonly keyName: string
  readonly ek: string
  readonly file: string
  readonly plaintext: string
}

const streams = readMinioVectors<StreamCase>('config-stream.json')
const files = readMinioVectors<FileCase>('config-files.json')
const hex = (text: string) => Buffer.from(text, 'hex')
/** Behind the folder, which the context has twice. */
const pathOf = ({ kmsContext }: FileCase) =>
  String(JSON.parse(kmsContext)['.minio.sys']).replace('.minio.sys/', '')
const kmsOf = ({ keyName, ek }: FileCase) => new BuiltinKms(keyName, hex(ek))

describe('streams', () => {
  test.each(streams)('$id: the same bytes as the library of MinIO, and back', (row) => {
    const key = { cipher: row.algorithm, key: hex(row.key), nonce: hex(row.nonce) }
    const plaintext = generatedPlaintext(row.generatorLabel, row.plainSize)
    expect(encryptStream(key, plaintext).toString('base64')).toBe(row.sealed)
    expect(decryptStream(key, Buffer.from(row.sealed, 'base64')).equals(plaintext)).toBe(true)
  })

  const [first] = streams
  if (first === undefined) throw new Error('there are no recorded streams')
  const key = { cipher: first.algorithm, key: hex(first.key), nonce: hex(first.nonce) }

  test('of any length are read back', () => {
    fc.assert(
      fc.property(fc.nat({ max: 40_000 }), (length) => {
        const plaintext = Buffer.alloc(length, 7)
        expect(decryptStream(key, encryptStream(key, plaintext)).equals(plaintext)).toBe(true)
      }),
      { numRuns: 20 },
    )
  })

  test.each([0, 1, 16_384, 16_385, 32_768])('of %d bytes notice each kind of change', (length) => {
    const sealed = encryptStream(key, Buffer.alloc(length, 7))
    const flipped = Buffer.from(sealed)
    flipped[0] = (flipped[0] ?? 0) ^ 1
    const changes = [
      flipped,
      sealed.subarray(0, -1),
      sealed.subarray(0, -16),
      sealed.subarray(0, 16_400),
      Buffer.concat([sealed, sealed]),
      Buffer.concat([sealed.subarray(16_400), sealed.subarray(0, 16_400)]),
    ].filter((changed) => !changed.equals(sealed))
    for (const changed of changes) {
      expect(() => decryptStream(key, changed)).toThrow(StreamNotAuthenticError)
    }
  })
})

describe('files', () => {
  test.each(files)('$id of a MinIO drive is read', async (row) => {
    const file = Buffer.from(row.file, 'base64')
    expect(isEncryptedConfig(file)).toBe(true)
    expect(readConfigHeader(file).header.keyName).toBe(row.keyName)
    const plaintext = await decryptConfig(kmsOf(row), pathOf(row), file)
    expect(plaintext.toString('base64')).toBe(row.plaintext)
  })

  const kms = new BuiltinKms('key', Buffer.alloc(32, 1))

  test('what was encrypted is decrypted under its own path alone', async () => {
    const file = await encryptConfig(kms, 'config/a.json', Buffer.from('{}'))
    expect((await decryptConfig(kms, 'config/a.json', file)).toString()).toBe('{}')
    await expect(decryptConfig(kms, 'config/b.json', file)).rejects.toThrow(KmsError)
  })

  test('a text is not taken for an encrypted file', () => {
    expect(isEncryptedConfig(Buffer.from('{"a":"ü"}'))).toBe(false)
  })

  test('any other bytes are refused with one of three errors', async () => {
    const real = await encryptConfig(kms, 'p', Buffer.from('{}'))
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: real.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, bits) => {
          const changed = Buffer.from(real)
          changed[at] = (changed[at] ?? 0) ^ bits
          const outcome = await decryptConfig(kms, 'p', changed).then(
            (plaintext) => plaintext.toString(),
            (error: unknown) => error,
          )
          const isRefused =
            outcome instanceof ConfigFileError ||
            outcome instanceof StreamNotAuthenticError ||
            outcome instanceof KmsError
          // A changed digit of base64 may stand for the same bytes, and the name of a field may be any other's.
          expect(isRefused || outcome === '{}').toBe(true)
        },
      ),
    )
    for (let length = 0; length < real.length; length += 1) {
      await expect(decryptConfig(kms, 'p', real.subarray(0, length))).rejects.toThrow()
    }
  })
})
