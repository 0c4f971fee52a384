import { createSecretKey, randomBytes } from 'node:crypto'
import { objectPath } from '@latchkey/kms-client/kms'
import { describe, expect, test } from 'vitest'
import { readMinioVectors } from '../../../../test/minio-vectors.ts'
import { encryptBytes } from '../dare/encrypt.ts'
import { SecretKeyMismatchError } from './errors.ts'
import { etagTag, isEtagSealed, sealChecksum, sealEtag, unsealChecksum, unsealEtag } from './etag.ts'
import { encodeEncryption } from './metadata.ts'
import {
  type EncryptionKind,
  LEGACY_SEAL_ALGORITHM,
  ObjectKey,
  SEAL_ALGORITHM,
  type SealedObjectKey,
} from './object-key.ts'

interface SealCase {
  readonly id: string
  readonly domain: EncryptionKind
  readonly bucket: string
  readonly object: string
  readonly path: string
  readonly extKey: string
  readonly oekRandom: string
  readonly iv: string
  readonly oek: string
  readonly sealedKey: string
  readonly partKeys: Readonly<Record<string, string>>
  readonly etag: { readonly plain: string; readonly sealingKey: string; readonly sealed: string }
  readonly legacy: { readonly algorithm: string; readonly kek: string; readonly sealedKey: string }
  readonly metadata: Readonly<Record<string, string>>
}

const hex = (text: string) => Buffer.from(text, 'hex')

function opened(key: ObjectKey): string {
  return key.contentKey.export().toString('hex')
}

describe.each(readMinioVectors<SealCase>('seal.json'))('recorded: $id', (row) => {
  const extKey = hex(row.extKey)
  const place = { kind: row.domain, path: objectPath(row.bucket, row.object) }
  const sealed: SealedObjectKey = {
    algorithm: SEAL_ALGORITHM,
    iv: hex(row.iv),
    sealed: hex(row.sealedKey),
  }
  const objectKey = ObjectKey.repeat(extKey, hex(row.oekRandom))

  test('the object key is made of the external key and the random bytes', () => {
    expect(place.path).toBe(row.path)
    expect(opened(objectKey)).toBe(row.oek)
  })

  test('the sealed key opens, also in the old form', () => {
    expect(opened(ObjectKey.unseal(extKey, place, sealed))).toBe(row.oek)
    const legacy = {
      algorithm: LEGACY_SEAL_ALGORITHM,
      iv: hex(row.iv),
      sealed: hex(row.legacy.sealedKey),
    } as const
    expect(opened(ObjectKey.unseal(extKey, place, legacy))).toBe(row.oek)
  })

  test('what is sealed here opens again, and is never the same twice', () => {
    const first = objectKey.seal(extKey, place)
    const second = objectKey.seal(extKey, place)
    expect(opened(ObjectKey.unseal(extKey, place, first))).toBe(row.oek)
    expect(Buffer.compare(first.sealed, second.sealed)).not.toBe(0)
    expect(Buffer.compare(first.iv, second.iv)).not.toBe(0)
    expect(first.sealed).toHaveLength(64)
  })

  test('parts have keys of their own', () => {
    for (const [number, key] of Object.entries(row.partKeys)) {
      expect(objectKey.partKey(Number(number)).export().toString('hex')).toBe(key)
    }
  })

  test('the ETag opens, and is sealed under a key of its own', () => {
    expect(objectKey.etagKey().export().toString('hex')).toBe(row.etag.sealingKey)
    expect(unsealEtag(objectKey, row.etag.sealed)).toBe(row.etag.plain)
    const again = sealEtag(objectKey, hex(row.etag.plain))
    expect(again).toHaveLength(96)
    expect(unsealEtag(objectKey, again)).toBe(row.etag.plain)
  })

  test('the metadata are those of MinIO', () => {
    const dataKey = { externalKey: 'my-key', ciphertext: Buffer.from('dek-ciphertext') }
    const encoded = encodeEncryption(
      row.domain === 'SSE-C'
        ? { kind: 'SSE-C', sealedKey: sealed }
        : { kind: row.domain, sealedKey: sealed, dataKey, context: { b: '2', a: '1' } },
    )
    expect(encoded).toEqual(row.metadata)
  })
})

describe('a sealed key opens for nobody else', () => {
  const extKey = randomBytes(32)
  const place = { kind: 'SSE-S3', path: 'bucket/object' } as const
  const objectKey = ObjectKey.generate(extKey)
  const sealed = objectKey.seal(extKey, place)
  const mismatch = (...args: Parameters<typeof ObjectKey.unseal>) =>
    expect(() => ObjectKey.unseal(...args)).toThrow(SecretKeyMismatchError)

  test('under another external key, at another place, as another kind', () => {
    mismatch(randomBytes(32), place, sealed)
    mismatch(extKey, { ...place, path: 'bucket/other' }, sealed)
    mismatch(extKey, { ...place, path: 'other/object' }, sealed)
    mismatch(extKey, { ...place, kind: 'SSE-KMS' }, sealed)
    mismatch(extKey, place, { ...sealed, algorithm: LEGACY_SEAL_ALGORITHM })
  })

  test('with any bit of the IV or of itself flipped', () => {
    for (let bit = 0; bit < 64 * 8; bit++) {
      const changed = Buffer.from(sealed.sealed)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      mismatch(extKey, place, { ...sealed, sealed: changed })
    }
    for (let bit = 0; bit < 32 * 8; bit++) {
      const changed = Buffer.from(sealed.iv)
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      mismatch(extKey, place, { ...sealed, iv: changed })
    }
  })

  test('cut short, empty, or if it holds no key', () => {
    mismatch(extKey, place, { ...sealed, sealed: sealed.sealed.subarray(0, 63) })
    mismatch(extKey, place, { ...sealed, sealed: Buffer.alloc(0) })
    const kek = createSecretKey(Buffer.alloc(32))
    mismatch(extKey, place, { ...sealed, sealed: encryptBytes(Buffer.alloc(31), kek) })
  })
})

describe('ETags and checksums', () => {
  const objectKey = ObjectKey.generate(randomBytes(32))
  const md5 = randomBytes(16)

  test('of another object do not open', () => {
    const other = ObjectKey.generate(randomBytes(32))
    expect(() => unsealEtag(other, sealEtag(objectKey, md5))).toThrow('may be compromised')
    expect(() => unsealChecksum(other, sealChecksum(objectKey, md5))).toThrow('may be compromised')
  })

  test('come back', () => {
    expect(unsealEtag(objectKey, sealEtag(objectKey, md5))).toBe(md5.toString('hex'))
    expect(unsealChecksum(objectKey, sealChecksum(objectKey, Buffer.from('0901020304', 'hex')))).toEqual(
      Buffer.from('0901020304', 'hex'),
    )
  })

  test('that are not sealed are shown as they are', () => {
    for (const etag of [md5.toString('hex'), `${md5.toString('hex')}-2`]) {
      expect(isEtagSealed(etag)).toBe(false)
      expect(unsealEtag(objectKey, etag)).toBe(etag)
      expect(etagTag(etag)).toBe(etag)
    }
  })
})
