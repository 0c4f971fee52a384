import { BuiltinKms } from '@latchkey/kms-client/kms'
import { describe, expect, test } from 'vitest'
import { readMinioVectors } from '../../../../test/minio-vectors.ts'
import { CredentialsError, credentialsFromMacs, rootCredentials } from './credentials.ts'

interface RootCase {
  readonly id: string
  readonly accessMac?: string
  readonly secretMac: string
  readonly accessKey: string
  readonly secretKey: string
}

const recorded = readMinioVectors<RootCase>('madmin.json').filter(({ accessMac }) => accessMac !== undefined)

test.each(recorded)('$id: the keys that MinIO makes of the MACs', ({ accessMac, secretMac, ...keys }) => {
  const made = credentialsFromMacs(Buffer.from(accessMac ?? '', 'hex'), Buffer.from(secretMac, 'hex'))
  expect(made).toEqual({ accessKey: keys.accessKey, secretKey: keys.secretKey })
})

describe('the environment', () => {
  test('names both keys', async () => {
    const env = { MINIO_ROOT_USER: 'admin', MINIO_ROOT_PASSWORD: 'long enough' }
    expect(await rootCredentials(env, undefined)).toEqual({
      accessKey: 'admin',
      secretKey: 'long enough',
      isDefault: false,
    })
  })

  test('without a word means the keys that everybody knows, and says so', async () => {
    expect(await rootCredentials({}, undefined)).toMatchObject({ accessKey: 'minioadmin', isDefault: true })
  })

  test('may leave them to the KMS, which gives the same ones each time', async () => {
    const kms = new BuiltinKms('key', Buffer.alloc(32, 1))
    const env = { MINIO_API_ROOT_ACCESS: 'off' }
    const first = await rootCredentials(env, kms)
    expect(first).toMatchObject({ accessKey: expect.stringMatching(/^[0-9A-Z]{20}$/), isDefault: false })
    expect(await rootCredentials(env, kms)).toEqual(first)
  })

  test.each([
    [{ MINIO_ROOT_USER: 'admin' }],
    [{ MINIO_ROOT_PASSWORD: 'long enough' }],
    [{ MINIO_ROOT_USER: 'ab', MINIO_ROOT_PASSWORD: 'long enough' }],
    [{ MINIO_ROOT_USER: 'a/b', MINIO_ROOT_PASSWORD: 'long enough' }],
    [{ MINIO_ROOT_USER: 'admin', MINIO_ROOT_PASSWORD: 'short' }],
    [{ MINIO_ROOT_USER: 'admin', MINIO_ROOT_PASSWORD_FILE: '/nowhere/at/all' }],
  ])('%j is refused', async (env) => {
    await expect(rootCredentials(env, undefined)).rejects.toThrow(CredentialsError)
  })
})
