import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { apiErrorOf, decodeApiError } from '../api-error.ts'
import { KesConnectionError, KesProtocolError, KesTimeoutError } from '../errors.ts'
import { KmsError, type KmsOperation, kmsErrorOf } from './kms-error.ts'

function errorOf(error: unknown, operation: KmsOperation, key = 'k'): KmsError {
  const made = kmsErrorOf(error, operation, key)
  if (!(made instanceof KmsError)) throw new Error('it is no error of the KMS', { cause: made })
  return made
}

const GENERATE_FAILED = [500, 'kms:KeyGenerationFailed', 'failed to generate data key with KMS key']
const DECRYPT_FAILED = [500, 'kms:DecryptionFailed', 'failed to decrypt ciphertext with KMS key']
const DENIED = [403, 'kms:NotAuthorized', 'insufficient permissions to perform KMS operation']
const NOT_FOUND = [404, 'kms:KeyNotFound', 'key with given key ID does not exist']
const WRONG = [400, 'kms:InvalidCiphertextException', 'failed to decrypt ciphertext']

describe('what MinIO answers for an answer of its KES', () => {
  test.each([
    [403, '{"message":"not authorized: insufficient permissions"}', DENIED, DENIED],
    [403, '{"error":"not authorized: insufficient permissions"}', DENIED, DENIED],
    [403, 'not authorized: insufficient permissions', DENIED, DENIED],
    [403, '{"message":"prohibited by policy"}', DENIED, DENIED],
    [403, '{"message":"key is disabled"}', GENERATE_FAILED, DECRYPT_FAILED],
    [404, '{"message":"key does not exist"}', NOT_FOUND, NOT_FOUND],
    [404, '{"message":"key not found"}', GENERATE_FAILED, DECRYPT_FAILED],
    [400, '{"message":"decryption failed: ciphertext is not authentic"}', GENERATE_FAILED, WRONG],
    [400, '{"message":"key does already exist"}', GENERATE_FAILED, DECRYPT_FAILED],
    [409, '{"message":"key is disabled"}', GENERATE_FAILED, DECRYPT_FAILED],
    [423, '{"message":"key is disabled"}', GENERATE_FAILED, DECRYPT_FAILED],
    [429, '{"message":"slow down"}', GENERATE_FAILED, DECRYPT_FAILED],
    [500, '{"message":"internal"}', GENERATE_FAILED, DECRYPT_FAILED],
    [501, '{"message":"not implemented"}', GENERATE_FAILED, DECRYPT_FAILED],
    [502, '{"message":"bad gateway: backend failed"}', GENERATE_FAILED, DECRYPT_FAILED],
    [503, '{"message":"unavailable"}', GENERATE_FAILED, DECRYPT_FAILED],
  ])('%i %s', (status, body, generate, decrypt) => {
    const contentType = body.startsWith('{') ? 'application/json' : 'text/plain'
    const error = decodeApiError(status, contentType, Buffer.from(body))
    expect(Object.values(errorOf(error, 'generate').minio)).toEqual(generate)
    expect(Object.values(errorOf(error, 'decrypt').minio)).toEqual(decrypt)
  })

  test('to create a key', () => {
    expect(errorOf(apiErrorOf(400, 'key already exists'), 'create').minio).toMatchObject({
      code: 'kms:KeyAlreadyExists',
      message: 'key with given key ID already exits',
    })
    const failed = errorOf(apiErrorOf(404, 'key does not exist'), 'create')
    expect(failed.minio.message).toBe('failed to create KMS key')
    expect(failed.message).toBe('failed to create KMS key: key does not exist')
  })
})

const allowed = 'not authorized: insufficient permissions'
const cause = Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })

test.each([
  [apiErrorOf(403, allowed, 'KeyDisabled'), 'locked'],
  [apiErrorOf(403, allowed, 'KeyPendingDeletion'), 'locked'],
  [apiErrorOf(403, allowed, 'NotAllowed'), 'not-allowed'],
  [apiErrorOf(403, allowed), 'not-allowed'],
  [apiErrorOf(404, 'key does not exist'), 'erased'],
  [apiErrorOf(400, 'decryption failed: ciphertext is not authentic'), 'wrong-ciphertext'],
  [new KesConnectionError('https://a', 'connection refused', { cause }), 'unreachable'],
  [new KesTimeoutError('https://a', 1), 'unreachable'],
  [apiErrorOf(503, 'server is shutting down'), 'unreachable'],
  [apiErrorOf(502, '<html>Bad Gateway</html>'), 'unreachable'],
  [apiErrorOf(502, 'failed to read key', 'StoreUnavailable'), 'unreachable'],
  [apiErrorOf(429, 'slow down'), 'unreachable'],
  [apiErrorOf(502, 'failed to read key', 'RecordDamaged'), 'failed'],
  [apiErrorOf(500, 'internal server error'), 'failed'],
  [new KesProtocolError('the reply'), 'failed'],
] as const)('%s of a decrypt is %s', (error, reason) => {
  const made = errorOf(error, 'decrypt')
  expect(made).toMatchObject({ reason, operation: 'decrypt', key: 'k', cause: error })
})

test('each reason has a message of its own, which names the key', () => {
  const reasons = ['locked', 'erased', 'not-allowed', 'wrong-ciphertext', 'exists', 'unsupported'] as const
  const messages = reasons.map((reason) => new KmsError(reason, 'decrypt', 'orders').message)
  expect(new Set(messages).size).toBe(reasons.length)
  for (const message of messages) expect(message).toContain("key 'orders'")
  expect(new KmsError('not-allowed', 'list', undefined).message).toBe(
    'the key server does not allow this client to list keys',
  )
})

test('what is no error of the client, such as an abort, stays as it is', () => {
  const abort = new Error('enough')
  expect(kmsErrorOf(abort, 'generate')).toBe(abort)
  const made = errorOf(new KesProtocolError('x'), 'generate')
  expect(kmsErrorOf(made, 'decrypt')).toBe(made)
  expect(inspect(made)).toContain('KmsError')
})
