import { describe, expect, test } from 'vitest'
import { readBucketEncryption, withDefaultEncryption, writeBucketEncryption } from './bucket-encryption.ts'
import { S3Error } from './errors.ts'

const document = (rule: string) =>
  Buffer.from(`<ServerSideEncryptionConfiguration>${rule}</ServerSideEncryptionConfiguration>`)
const rule = (inner: string) =>
  `<Rule><ApplyServerSideEncryptionByDefault>${inner}</ApplyServerSideEncryptionByDefault></Rule>`

test.each([
  [rule('<SSEAlgorithm>AES256</SSEAlgorithm>'), { algorithm: 'AES256' }],
  [
    rule('<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>arn:aws:kms:a</KMSMasterKeyID>'),
    { algorithm: 'aws:kms', keyId: 'arn:aws:kms:a' },
  ],
  [rule(''), {}],
])('%s is read, and written as MinIO does', (text, expected) => {
  const encryption = readBucketEncryption(document(text))
  expect(encryption).toEqual(expected)
  expect(writeBucketEncryption(encryption)).toBe(
    `<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${text}</ServerSideEncryptionConfiguration>`,
  )
})

describe('a document is refused', () => {
  test.each([
    ['without a rule', '', 'only one server-side encryption rule is allowed at a time'],
    ['with two', rule('') + rule(''), 'only one server-side encryption rule is allowed at a time'],
    ['of another algorithm', rule('<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>'), 'Unknown SSE algorithm'],
    [
      'of AES256 with a key',
      rule('<SSEAlgorithm>AES256</SSEAlgorithm><KMSMasterKeyID>a</KMSMasterKeyID>'),
      'MasterKeyID is allowed with aws:kms only',
    ],
    [
      'of aws:kms without one',
      rule('<SSEAlgorithm>aws:kms</SSEAlgorithm>'),
      'MasterKeyID is missing with aws:kms',
    ],
    [
      'with a space beside the key',
      rule('<SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID> a</KMSMasterKeyID>'),
      'MasterKeyID contains unsupported characters',
    ],
  ])('%s', (_what, text, detail) => {
    let thrown: unknown
    try {
      readBucketEncryption(document(text))
    } catch (error) {
      thrown = error
    }
    expect(thrown).toBeInstanceOf(S3Error)
    expect((thrown as S3Error).message).toContain(`(${detail})`)
  })
})

describe('the default of a bucket', () => {
  const kms = { algorithm: 'aws:kms', keyId: 'a' } as const

  test('is added to a request that asks for nothing', () => {
    expect(withDefaultEncryption({ host: 'h' }, kms, false)).toEqual({
      host: 'h',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-server-side-encryption-aws-kms-key-id': 'a',
    })
  })

  test.each([
    'x-amz-server-side-encryption',
    'x-amz-server-side-encryption-context',
    'x-amz-server-side-encryption-customer-key',
  ])('gives way to %s', (name) => {
    expect(withDefaultEncryption({ [name]: 'x' }, kms, true)).toEqual({ [name]: 'x' })
  })

  test('wins over automatic encryption, which takes the default key', () => {
    expect(withDefaultEncryption({}, undefined, true)).toEqual({ 'x-amz-server-side-encryption': 'aws:kms' })
    expect(withDefaultEncryption({}, { algorithm: 'AES256' }, true)).toEqual({
      'x-amz-server-side-encryption': 'AES256',
    })
  })
})
