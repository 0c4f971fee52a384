import { randomBytes } from 'node:crypto'
import { BuiltinKms, encodeContext, type Kms, objectContext, SecretKey } from '@latchkey/kms-client/kms'
import { describe, expect, test } from 'vitest'
import { generatedPlaintext, readMinioVectors, sha256 } from '../../../../test/minio-vectors.ts'
import { encryptBytes } from '../dare/encrypt.ts'
import { CIPHERS, sealedSize } from '../dare/format.ts'
import { type ContentSource, encryptContent, readContent } from './content.ts'
import {
  beginEncryption,
  openEncryption,
  resealUnderCustomerKey,
  resealUnderExternalKey,
} from './encryption.ts'
import { sealEtag, shownEtag, unsealChecksum, unsealEtag } from './etag.ts'
import {
  CHECKSUM_NAME,
  decodeEncryption,
  encodeEncryption,
  encryptionKind,
  isMultipart,
  type Metadata,
  withoutEncryption,
} from './metadata.ts'
import type { CustomerKey, EncryptionRequest } from './mode.ts'
import type { EncryptionKind, ObjectKey } from './object-key.ts'

interface RecordedKeys {
  readonly kmsKeyName?: string
  readonly ek?: string
  readonly kmsContext?: string
  readonly dek?: string
  readonly clientKey?: string
  readonly oek: string
}

interface RecordedPart {
  readonly number: number
  readonly plainSize: number
  readonly storedSize: number
  readonly generatorLabel: string
  readonly plaintextSHA256: string
  readonly storedSHA256: string
  readonly firstDareHeader: string
  readonly partKey?: string
  readonly uploadResponseETag?: string
  readonly stored?: string
}

interface RecordedObject {
  readonly id: string
  readonly kind: EncryptionKind
  readonly bucket: string
  readonly object: string
  readonly size: number
  readonly multipart: boolean
  readonly metaSys: Metadata
  readonly metaUser: Metadata
  readonly keys: RecordedKeys
  readonly parts: readonly RecordedPart[]
  readonly etag: { readonly stored: string; readonly sealingKey?: string; readonly unsealed?: string }
  readonly checksum?: { readonly key: string; readonly plain: string }
  readonly userContext: Readonly<Record<string, string>> | null
  readonly responseHeaders?: { readonly put?: Readonly<Record<string, string>> }
}

const plaintexts = new Map<string, Buffer>()

/** Remembered: the longest takes a second to make. */
function plaintextOf({ generatorLabel, plainSize }: RecordedPart): Buffer {
  const plaintext = plaintexts.get(generatorLabel) ?? generatedPlaintext(generatorLabel, plainSize)
  plaintexts.set(generatorLabel, plaintext)
  return plaintext
}

const hex = (text: string) => Buffer.from(text, 'hex')
const customerKey = (key: string): CustomerKey => ({ key: hex(key), md5: '' })

function kmsOf({ kmsKeyName, ek }: RecordedKeys): Kms | undefined {
  return ek === undefined ? undefined : new BuiltinKms(kmsKeyName ?? '', hex(ek))
}

/** A binary value has a name with `;base64` in the recording. */
function metadataOf(recorded: Metadata): Record<string, string> {
  return Object.fromEntries(
    Object.entries(recorded).map(([name, value]) => [name.replace(/;base64$/, ''), value]),
  )
}

function opened(key: ObjectKey | undefined): string | undefined {
  return key?.contentKey.export().toString('hex')
}

async function collect(content: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of content) pieces.push(Buffer.from(piece))
  return Buffer.concat(pieces)
}

async function* inPieces(content: Buffer, bytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < content.length; at += bytes) yield content.subarray(at, at + bytes)
}

/** Stored bytes in memory, read as a file would be: in pieces that are no packages. */
function sourceOf(
  stored: readonly Buffer[],
  parts: ContentSource['record']['parts'],
  internal: Metadata,
): ContentSource {
  return {
    record: { parts, internal },
    read: (part, offset, length) =>
      inPieces((stored[part] ?? Buffer.alloc(0)).subarray(offset, offset + length), 70_001),
  }
}

/** The longest has 10 MB, and is encrypted once and read many times. */
const TIMEOUT_MS = 60_000

describe.each(readMinioVectors<RecordedObject>('objects.json'))(
  'written by MinIO: $id',
  { timeout: TIMEOUT_MS },
  (row) => {
    const metadata = metadataOf(row.metaSys)
    const name = { bucket: row.bucket, key: row.object }
    const kms = kmsOf(row.keys)
    const clientKey = row.keys.clientKey === undefined ? undefined : customerKey(row.keys.clientKey)
    const open = () => openEncryption(kms, name, metadata, clientKey)

    /** As recorded or, where that would be too long, made anew with the recorded nonce: the digest tells. */
    function storedPart(key: ObjectKey, part: RecordedPart): Buffer {
      const content = plaintextOf(part)
      const header = hex(part.firstDareHeader)
      const stored = encryptBytes(content, row.multipart ? key.partKey(part.number) : key.contentKey, {
        cipher: CIPHERS[header[1] ?? 0] ?? 'AES-256-GCM',
        ...(header.length > 0 && { nonce: header.subarray(4) }),
      })
      if (part.stored !== undefined) expect(stored.toString('base64')).toBe(part.stored)
      expect(sha256(stored)).toBe(part.storedSHA256)
      return stored
    }

    test('its object key opens, through the context and the data key that were recorded', async () => {
      if (row.keys.kmsContext !== undefined) {
        const context = objectContext(row.bucket, row.object, row.userContext ?? {})
        expect(encodeContext(context).toString()).toBe(row.keys.kmsContext)
      }
      const key = await open()
      expect(opened(key)).toBe(row.keys.oek)
      for (const { number, partKey } of row.parts) {
        if (partKey !== undefined) expect(key?.partKey(number).export().toString('hex')).toBe(partKey)
      }
    })

    test('its content is encrypted to the same bytes, and decrypted, whole and in ranges', async () => {
      const key = await open()
      if (!key) throw new Error('the object is encrypted')
      const stored = row.parts.map((part) => storedPart(key, part))
      const parts = row.parts.map((part) => ({
        number: part.number,
        size: part.plainSize,
        storedBytes: part.storedSize,
      }))
      const plaintext = Buffer.concat(row.parts.map(plaintextOf))
      expect(isMultipart(metadata)).toBe(row.multipart)
      expect(plaintext.length).toBe(row.size)
      const source = sourceOf(stored, parts, metadata)
      const read = (offset: number, length: number) => collect(readContent(source, key, { offset, length }))
      expect((await read(0, row.size)).equals(plaintext)).toBe(true)

      const edges = [0, 1, 65_535, 65_536, 65_537, 131_072, row.size - 1, row.size]
      if (row.multipart)
        edges.push((parts[0]?.size ?? 0) - 1, parts[0]?.size ?? 0, (parts[0]?.size ?? 0) + 65_536)
      const inside = edges.filter((edge) => edge >= 0 && edge <= row.size)
      for (const from of inside) {
        for (const to of [from, from + 1, from + 65_536, ...inside].filter(
          (to) => to >= from && to <= row.size,
        )) {
          if (to - from > 200_000) continue
          expect((await read(from, to - from)).equals(plaintext.subarray(from, to))).toBe(true)
        }
      }
    })

    test('its metadata are decoded, and encoded to the same', () => {
      const decoded = decodeEncryption(metadata)
      expect(decoded?.kind).toBe(row.kind)
      const encryption = Object.entries(metadata).filter(([entry]) => /Server-Side-Encryption/.test(entry))
      expect(decoded && encodeEncryption(decoded)).toEqual(Object.fromEntries(encryption))
      expect(withoutEncryption(metadata)).toEqual({})
    })

    test('its ETag and checksum open, and clients see the ETag that they saw', async () => {
      const key = await open()
      if (!key) throw new Error('the object is encrypted')
      expect(row.metaUser.etag).toBe(row.etag.stored)
      if (row.etag.unsealed !== undefined) expect(unsealEtag(key, row.etag.stored)).toBe(row.etag.unsealed)
      const seen = row.responseHeaders?.put?.etag
      if (seen !== undefined) expect(`"${shownEtag(row.kind, row.etag.stored, key)}"`).toBe(seen)
      if (row.checksum) {
        expect(unsealChecksum(key, metadata[CHECKSUM_NAME] ?? '').toString('hex')).toBe(row.checksum.plain)
      }
    })

    test('it opens at no other place, and under no other key', async () => {
      await expect(
        openEncryption(kms, { ...name, key: `${name.key}x` }, metadata, clientKey),
      ).rejects.toThrow()
      const otherKms = kms && new BuiltinKms(row.keys.kmsKeyName ?? '', randomBytes(32))
      const otherKey = clientKey && customerKey('00'.repeat(32))
      await expect(openEncryption(otherKms, name, metadata, otherKey)).rejects.toThrow()
    })
  },
)

interface RotatedState {
  readonly kind: EncryptionKind | 'none'
  readonly metaSys: Metadata
  readonly metaUser: Metadata
  readonly stored: Readonly<Record<string, string>>
  readonly ek?: string
  readonly clientKey?: string
  readonly oek?: string
}

interface Rotation {
  readonly id: string
  readonly bucket: string
  readonly object: string
  readonly plaintext: string
  readonly before: RotatedState
  readonly after: RotatedState
  readonly dataUnchanged: boolean
  readonly oekUnchanged: boolean
}

describe.each(readMinioVectors<Rotation>('rotation.json'))('rotated by MinIO: $id', (row) => {
  const name = { bucket: row.bucket, key: row.object }
  const plaintext = Buffer.from(row.plaintext, 'base64')

  function open(state: RotatedState): Promise<ObjectKey | undefined> {
    const metadata = metadataOf(state.metaSys)
    const stored = decodeEncryption(metadata)
    const externalKey = stored && 'dataKey' in stored ? stored.dataKey.externalKey : ''
    const kms = state.ek === undefined ? undefined : new BuiltinKms(externalKey, hex(state.ek))
    const clientKey = state.clientKey === undefined ? undefined : customerKey(state.clientKey)
    return openEncryption(kms, name, metadata, clientKey)
  }

  test.each(['before', 'after'] as const)('%s, it is read', async (when) => {
    const state = row[when]
    const key = await open(state)
    expect(opened(key)).toBe(state.oek)
    expect(encryptionKind(metadataOf(state.metaSys)) ?? 'none').toBe(state.kind)
    const stored = Object.values(state.stored).map((part) => Buffer.from(part, 'base64'))
    const part = { number: 1, size: plaintext.length, storedBytes: stored[0]?.length ?? 0 }
    const source = sourceOf(stored, [part], metadataOf(state.metaSys))
    const read = await collect(readContent(source, key, { offset: 0, length: plaintext.length }))
    expect(read.equals(plaintext)).toBe(true)
  })

  test('what MinIO keeps of the object, a rotation here keeps', async () => {
    const before = decodeEncryption(metadataOf(row.before.metaSys))
    if (!row.oekUnchanged || before === undefined) return
    if (before.kind === 'SSE-C') {
      const after = resealUnderCustomerKey(
        name,
        before,
        customerKey(row.before.clientKey ?? ''),
        customerKey(row.after.clientKey ?? ''),
      )
      const key = await openEncryption(
        undefined,
        name,
        encodeEncryption(after),
        customerKey(row.after.clientKey ?? ''),
      )
      expect(opened(key)).toBe(row.before.oek)
      expect(after.sealedKey.iv).toEqual(before.sealedKey.iv)
      return
    }
    const kms = new BuiltinKms(before.dataKey.externalKey, hex(row.before.ek ?? ''))
    const { stored: after } = await resealUnderExternalKey(kms, name, before, undefined)
    expect(opened(await openEncryption(kms, name, encodeEncryption(after)))).toBe(row.before.oek)
    expect(after.sealedKey.iv).not.toEqual(before.sealedKey.iv)
    expect(after.dataKey.ciphertext).not.toEqual(before.dataKey.ciphertext)
  })
})

describe('what is written here', () => {
  const kms = new BuiltinKms('my-key', randomBytes(32))
  const name = { bucket: 'bucket', key: 'dir//object' }
  const clientKey: CustomerKey = { key: randomBytes(32), md5: 'md5' }
  const requests: [string, EncryptionRequest][] = [
    ['SSE-S3', { kind: 'SSE-S3' }],
    ['SSE-KMS', { kind: 'SSE-KMS', externalKey: 'my-key', context: {} }],
    ['SSE-KMS with a context', { kind: 'SSE-KMS', externalKey: undefined, context: { b: '<1>', a: 'ü' } }],
    [
      'SSE-KMS with a context of the name of the bucket',
      { kind: 'SSE-KMS', externalKey: undefined, context: { bucket: 'mine' } },
    ],
    ['SSE-C', { kind: 'SSE-C', customerKey: clientKey }],
  ]

  test.each(requests)('as %s is read again, in one piece and in parts', async (_, request) => {
    const key = request.kind === 'SSE-C' ? clientKey : undefined
    const { objectKey, stored } = await beginEncryption(kms, name, request)
    const metadata = encodeEncryption(stored)
    expect(opened(await openEncryption(kms, name, metadata, key))).toBe(opened(objectKey))

    const content = randomBytes(200_000)
    const whole = await collect(encryptContent(inPieces(content, 1000), objectKey))
    const one = sourceOf([whole], [{ number: 1, size: content.length, storedBytes: whole.length }], metadata)
    const read = await collect(readContent(one, objectKey, { offset: 70_000, length: 100_000 }))
    expect(read.equals(content.subarray(70_000, 170_000))).toBe(true)

    const parts = [content.subarray(0, 80_000), content.subarray(80_000)]
    const sealed = [
      await collect(encryptContent(inPieces(parts[0] ?? content, 9999), objectKey, 3)),
      await collect(encryptContent(inPieces(parts[1] ?? content, 9999), objectKey, 10)),
    ]
    const multipart = sourceOf(
      sealed,
      [
        { number: 3, size: 80_000, storedBytes: sealedSize(80_000) },
        { number: 10, size: 120_000, storedBytes: sealedSize(120_000) },
      ],
      { ...metadata, 'X-Minio-Internal-Encrypted-Multipart': '' },
    )
    const across = await collect(readContent(multipart, objectKey, { offset: 79_000, length: 3000 }))
    expect(across.equals(content.subarray(79_000, 82_000))).toBe(true)
  })

  test('moves to another external key with its content and its context, and back', async () => {
    const other = new BuiltinKms('other-key', randomBytes(32))
    const both: Kms = Object.assign(Object.create(kms), {
      generateKey: (request: Parameters<Kms['generateKey']>[0]) =>
        (request?.key === 'other-key' ? other : kms).generateKey(request),
      decrypt: (request: Parameters<Kms['decrypt']>[0]) =>
        (request.key === 'other-key' ? other : kms).decrypt(request),
    })
    const request = { kind: 'SSE-KMS', externalKey: 'my-key', context: { a: 'b' } } as const
    const { objectKey, stored } = await beginEncryption(both, name, request)
    if (stored.kind !== 'SSE-KMS') throw new Error('the kind changed')
    const { stored: moved } = await resealUnderExternalKey(both, name, stored, 'other-key')
    expect(moved).toMatchObject({
      kind: 'SSE-KMS',
      context: { a: 'b' },
      dataKey: { externalKey: 'other-key' },
    })
    expect(opened(await openEncryption(other, name, encodeEncryption(moved)))).toBe(opened(objectKey))
    await expect(openEncryption(kms, name, encodeEncryption(moved))).rejects.toThrow()
  })

  test('with the context of another copy beside it, as MinIO leaves it behind, is read nevertheless', async () => {
    const { objectKey, stored } = await beginEncryption(kms, name, {
      kind: 'SSE-KMS',
      externalKey: undefined,
      context: {},
    })
    const left = { ...stored, context: { of: 'the source' } } as typeof stored
    expect(opened(await openEncryption(kms, name, encodeEncryption(left)))).toBe(opened(objectKey))
  })

  test('with a context is not read without it', async () => {
    const { stored } = await beginEncryption(kms, name, {
      kind: 'SSE-KMS',
      externalKey: undefined,
      context: { a: 'b' },
    })
    const { 'X-Minio-Internal-Server-Side-Encryption-Context': _, ...metadata } = encodeEncryption(stored)
    await expect(openEncryption(kms, name, metadata)).rejects.toMatchObject({ reason: 'wrong-ciphertext' })
  })
})

describe('refusals', () => {
  const kms = new BuiltinKms('my-key', randomBytes(32))
  const name = { bucket: 'bucket', key: 'object' }
  const clientKey: CustomerKey = { key: randomBytes(32), md5: 'md5' }

  test('a customer key where it is missed, of no use, or wrong', async () => {
    const s3 = encodeEncryption((await beginEncryption(kms, name, { kind: 'SSE-S3' })).stored)
    const c = encodeEncryption(
      (await beginEncryption(kms, name, { kind: 'SSE-C', customerKey: clientKey })).stored,
    )
    const nameOf = (call: Promise<unknown>) => call.then(String, (error: Error) => error.name)
    expect(await nameOf(openEncryption(kms, name, c))).toBe('CustomerKeyExpectedError')
    expect(await nameOf(openEncryption(kms, name, s3, clientKey))).toBe('CustomerKeyExpectedError')
    expect(await nameOf(openEncryption(kms, name, {}, clientKey))).toBe('CustomerKeyNotApplicableError')
    const wrong = { ...clientKey, key: randomBytes(32) }
    expect(await nameOf(openEncryption(kms, name, c, wrong))).toBe('SecretKeyMismatchError')
    expect(await nameOf(openEncryption(undefined, name, s3))).toBe('KmsNotConfiguredError')
    expect(await nameOf(beginEncryption(undefined, name, { kind: 'SSE-S3' }))).toBe('KmsNotConfiguredError')
    expect(await openEncryption(undefined, name, {})).toBeUndefined()
  })

  test('a key server that answers with an empty data key', async () => {
    const { stored } = await beginEncryption(kms, name, { kind: 'SSE-S3' })
    const empty: Kms = Object.assign(Object.create(kms), {
      decrypt: async () => new SecretKey(new Uint8Array()),
    })
    await expect(openEncryption(empty, name, encodeEncryption(stored))).rejects.toThrow('secret key')
  })

  const PREFIX = 'X-Minio-Internal-Server-Side-Encryption-'
  test.each([
    ['Iv', undefined, 'The object metadata is missing the internal encryption IV'],
    ['Iv', 'AAAA', 'The internal encryption IV is malformed'],
    ['Iv', '!', 'The internal encryption IV is malformed'],
    ['Seal-Algorithm', undefined, 'The object metadata is missing the internal seal algorithm'],
    ['Seal-Algorithm', 'DARE-SHA256', 'The internal seal algorithm is invalid and not supported'],
    ['S3-Sealed-Key', 'AAAA', 'The internal sealed key for SSE-S3 is invalid'],
    ['S3-Kms-Key-Id', undefined, 'The object metadata is missing the internal KMS key-ID for SSE-S3'],
    [
      'S3-Kms-Sealed-Key',
      undefined,
      'The object metadata is missing the internal sealed KMS data key for SSE-S3',
    ],
    ['S3-Kms-Sealed-Key', '*', 'The internal sealed KMS data key for SSE-S3 is invalid'],
  ])('metadata whose %s is %s', async (entry, value, message) => {
    const { stored } = await beginEncryption(kms, name, { kind: 'SSE-S3' })
    const metadata = encodeEncryption(stored)
    if (value === undefined) delete metadata[`${PREFIX}${entry}`]
    else metadata[`${PREFIX}${entry}`] = value
    await expect(openEncryption(kms, name, metadata)).rejects.toThrow(message)
  })

  test('metadata of no kind', async () => {
    const { stored } = await beginEncryption(kms, name, { kind: 'SSE-S3' })
    const all = encodeEncryption(stored)
    for (const entry of [...Object.keys(all), `${PREFIX}Context`, 'X-Minio-Internal-Encrypted-Multipart']) {
      if (entry.endsWith('Sealed-Key') && !entry.includes('Kms')) continue
      const metadata = { [entry]: all[entry] ?? '' }
      await expect(openEncryption(kms, name, metadata)).rejects.toMatchObject({ name: 'ObjectTamperedError' })
    }
  })

  test('content that is not all there, or not as long as the record says', async () => {
    const { objectKey } = await beginEncryption(kms, name, { kind: 'SSE-S3' })
    const content = randomBytes(100_000)
    const stored = encryptBytes(content, objectKey.contentKey)
    const read = (bytes: Buffer, part: { size: number; storedBytes: number }, offset = 0) =>
      collect(readContent(sourceOf([bytes], [{ number: 1, ...part }], {}), objectKey, { offset, length: 10 }))
    const right = { size: content.length, storedBytes: stored.length }
    expect((await read(stored, right)).equals(content.subarray(0, 10))).toBe(true)
    const tampered = { name: 'ObjectTamperedError' }
    await expect(read(Buffer.alloc(0), right)).rejects.toMatchObject(tampered)
    await expect(read(stored.subarray(0, 1000), right)).rejects.toMatchObject(tampered)
    await expect(read(stored, { ...right, size: content.length + 1 })).rejects.toMatchObject(tampered)
    await expect(read(stored, { ...right, storedBytes: 31 })).rejects.toMatchObject(tampered)
    const flipped = Buffer.from(stored)
    flipped[40] = (flipped[40] ?? 0) ^ 1
    await expect(read(flipped, right)).rejects.toMatchObject(tampered)
    expect((await read(flipped, right, 99_000)).equals(content.subarray(99_000, 99_010))).toBe(true)
  })

  test('a read stops before the next package once its signal says so', async () => {
    const { objectKey } = await beginEncryption(kms, name, { kind: 'SSE-S3' })
    const content = randomBytes(400_000)
    const stored = encryptBytes(content, objectKey.contentKey)
    const part = { number: 1, size: content.length, storedBytes: stored.length }
    for (const key of [objectKey, undefined]) {
      const plain = { ...part, storedBytes: content.length }
      const source = key ? sourceOf([stored], [part], {}) : sourceOf([content], [plain], {})
      const abort = new AbortController()
      let read = 0
      const reading = (async () => {
        for await (const piece of readContent(
          source,
          key,
          { offset: 0, length: content.length },
          abort.signal,
        )) {
          read += piece.length
          abort.abort(new Error('the key is locked'))
        }
      })()
      await expect(reading).rejects.toThrow('the key is locked')
      expect(read).toBeLessThanOrEqual(70_001)
    }
  })

  test('an ETag that is shown without the key has the form of one, and tells nothing of the MD5', async () => {
    const { objectKey } = await beginEncryption(kms, name, { kind: 'SSE-S3' })
    const md5 = randomBytes(16)
    const sealed = sealEtag(objectKey, md5)
    expect(shownEtag('SSE-S3', sealed, objectKey)).toBe(md5.toString('hex'))
    expect(shownEtag('SSE-S3', sealed)).toBe(sealed.slice(-32))
    expect(shownEtag('SSE-C', sealed, objectKey)).toBe(sealed.slice(-32))
    expect(shownEtag(undefined, md5.toString('hex'))).toBe(md5.toString('hex'))
  })
})
