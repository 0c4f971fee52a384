import { createCipheriv, createSecretKey, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { BuiltinKms } from './builtin-kms.ts'
import type { KmsContext } from './context.ts'
import { KmsError } from './kms-error.ts'

function readRows<Row>(file: string): readonly Row[] {
  return JSON.parse(readFileSync(new URL(`../../../../test/vectors/minio/${file}`, import.meta.url), 'utf8'))
}

interface Ciphertext {
  readonly id: string
  readonly keyName: string
  readonly key: string
  readonly context: string
  readonly ciphertext: string
  readonly dek: string
}

interface Mac {
  readonly id: string
  readonly key: string
  readonly message: string
  readonly mac: string
}

const ciphertexts = readRows<Ciphertext>('builtin-kms.json')
const macs = readRows<Mac>('builtin-kms-misc.json').filter(({ id }) => id.startsWith('mac-'))

const SECRET = Buffer.from('00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff', 'hex')
const CONTEXT: KmsContext = { bucket: 'bucket/object' }

const kms = new BuiltinKms('my-key', SECRET)

async function reasonOf(call: Promise<unknown>): Promise<string | undefined> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  return error instanceof KmsError ? error.reason : `${error}`
}

describe("MinIO's ciphertexts are decrypted", () => {
  test.each(ciphertexts)('$id', async ({ keyName, key, context, ciphertext, dek }) => {
    await using own = new BuiltinKms(keyName, Buffer.from(key, 'hex'))
    const request = { key: keyName, ciphertext: Buffer.from(ciphertext, 'base64') }
    const plaintext = await own.decrypt({ ...request, context: JSON.parse(context) })
    expect(Buffer.from(plaintext.bytes).toString('hex')).toBe(dek)
    expect(await reasonOf(own.decrypt({ ...request, context: { other: 'context' } }))).toBe(
      'wrong-ciphertext',
    )
  })
})

describe("MinIO's MACs are made", () => {
  test.each(macs)('$id', async ({ key, message, mac }) => {
    await using own = new BuiltinKms('k', Buffer.from(key, 'hex'))
    const made = await own.mac({ message: Buffer.from(message) })
    expect(Buffer.from(made).toString('hex')).toBe(mac)
  })
})

test('a data key comes back from its ciphertext, and each is a new one', async () => {
  const first = await kms.generateKey({ context: CONTEXT })
  const second = await kms.generateKey({ context: CONTEXT })
  expect(first.key).toBe('my-key')
  expect(first.ciphertext).toHaveLength(76)
  expect(first.plaintext.equals(second.plaintext)).toBe(false)
  const again = await kms.decrypt({ ...first, context: CONTEXT })
  expect(again.equals(first.plaintext)).toBe(true)
})

test('a ciphertext of which any bit is flipped is wrong, as is one that is cut short', async () => {
  const { key, ciphertext } = await kms.generateKey({ context: CONTEXT })
  for (let bit = 0; bit < ciphertext.length * 8; bit++) {
    const flipped = Buffer.from(ciphertext)
    flipped.writeUInt8(flipped.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3)
    const call = kms.decrypt({ key, ciphertext: flipped, context: CONTEXT })
    expect(await reasonOf(call)).toBe('wrong-ciphertext')
  }
  for (let length = 0; length < ciphertext.length; length++) {
    const call = kms.decrypt({ key, ciphertext: ciphertext.subarray(0, length), context: CONTEXT })
    expect(await reasonOf(call)).toBe('wrong-ciphertext')
  }
})

describe('the older form of ciphertexts, JSON', () => {
  async function jsonForm(): Promise<Record<string, string>> {
    const { ciphertext } = await kms.generateKey({ context: CONTEXT })
    const text = (start: number, end: number) =>
      Buffer.from(ciphertext.subarray(start, end)).toString('base64')
    return {
      aead: 'AES-256-GCM-HMAC-SHA-256',
      id: 'x',
      iv: text(48, 64),
      nonce: text(64, 76),
      bytes: text(0, 48),
    }
  }
  const decrypt = (value: unknown) =>
    kms.decrypt({ key: 'my-key', ciphertext: Buffer.from(JSON.stringify(value)), context: CONTEXT })

  test('is decrypted', async () => {
    expect(await decrypt(await jsonForm())).toHaveLength(32)
  })

  test('is wrong if a part is damaged, missing or of another length', async () => {
    const form = await jsonForm()
    for (const broken of [
      { ...form, aead: 'ChaCha20Poly1305' },
      { ...form, aead: 'none' },
      { ...form, iv: '' },
      { ...form, nonce: form.iv },
      { ...form, bytes: 'AAAA' },
      { ...form, bytes: '%' },
      { ...form, bytes: undefined },
    ]) {
      expect(await reasonOf(decrypt(broken))).toBe('wrong-ciphertext')
    }
  })

  test('of ChaCha20-Poly1305 is decrypted with the key of HChaCha20', async () => {
    // draft-irtf-cfrg-xchacha-03, section 2.2.1
    const key = Buffer.from('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f', 'hex')
    const iv = Buffer.from('000000090000004a0000000031415927', 'hex')
    const derived = Buffer.from('82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc', 'hex')
    const nonce = randomBytes(12)
    const cipher = createCipheriv('chacha20-poly1305', createSecretKey(derived), nonce, { authTagLength: 16 })
    const plaintext = Buffer.alloc(32, 7)
    cipher.setAAD(Buffer.from('{}'), { plaintextLength: plaintext.length })
    const bytes = Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()])
    const form = {
      aead: 'ChaCha20Poly1305',
      iv: iv.toString('base64'),
      nonce: nonce.toString('base64'),
      bytes: bytes.toString('base64'),
    }
    await using own = new BuiltinKms('k', key)
    const decrypted = await own.decrypt({ key: 'k', ciphertext: Buffer.from(JSON.stringify(form)) })
    expect(decrypted.bytes).toEqual(plaintext)
  })
})

test('there is one key, which is neither made nor joined by another', async () => {
  expect(await Array.fromAsync(kms.listKeys())).toEqual(['my-key'])
  expect(await Array.fromAsync(kms.listKeys('my'))).toEqual(['my-key'])
  expect(await Array.fromAsync(kms.listKeys('other'))).toEqual([])
  expect(await reasonOf(kms.createKey('my-key'))).toBe('exists')
  expect(await reasonOf(kms.createKey('other'))).toBe('unsupported')
  expect(await reasonOf(kms.generateKey({ key: 'other' }))).toBe('erased')
  expect(await reasonOf(kms.decrypt({ key: 'other', ciphertext: Buffer.alloc(76) }))).toBe('erased')
  expect(await reasonOf(kms.mac({ key: 'other', message: SECRET }))).toBe('erased')
})

test('it tells of itself what MinIO does', async () => {
  await kms.start()
  expect(await kms.status()).toEqual({ type: 'MinIO builtin', defaultKey: 'my-key', endpoints: [] })
  expect(await kms.version()).toMatchObject({ version: 'v1' })
  expect(await reasonOf(kms.apis())).toBe('unsupported')
  expect(await kms.checkKey()).toEqual({ key: 'my-key' })
  const { encryptionError } = await kms.checkKey('other')
  expect(encryptionError?.minio.message).toBe('key with given key ID does not exist')
})

test('an aborted call throws the reason of its signal', async () => {
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(kms.generateKey({ signal })).rejects.toThrow('enough')
})

test('a key of another size than 32 bytes is refused, with its size alone in the message', () => {
  expect(() => new BuiltinKms('k', SECRET.subarray(1))).toThrow('a secret key has 32 bytes, not 31')
})
