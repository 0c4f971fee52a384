import { describe, expect, test } from 'vitest'
import {
  apiErrorOf,
  CertificateRequiredError,
  decodeApiError,
  ErasePendingError,
  IdentityNotFoundError,
  InvalidBodyError,
  InvalidKeySizeError,
  InvalidNameError,
  InvalidPatternError,
  KesApiError,
  KeyDisabledError,
  KeyExistsError,
  KeyNameReservedError,
  KeyNotFoundError,
  NoHmacError,
  NotAllowedError,
  NotAuthenticError,
  NotFoundError,
  PolicyNotFoundError,
  RecordDamagedError,
  ShuttingDownError,
  StoreUnavailableError,
  StoreUnreachableError,
  UnsupportedAlgorithmError,
} from './api-error.ts'

const NOT_ALLOWED = 'not authorized: insufficient permissions'

describe('status and message of a Go KES give the class', () => {
  test.each([
    [400, 'tls: client certificate is required', CertificateRequiredError, 'CertificateRequired'],
    [403, NOT_ALLOWED, NotAllowedError, 'NotAllowed'],
    [403, 'prohibited by policy', NotAllowedError, 'NotAllowed'],
    [404, '404 page not found', NotFoundError, 'NotFound'],
    [
      400,
      "key name 'a.b' is empty, too long or contains invalid characters",
      InvalidNameError,
      'InvalidName',
    ],
    [
      400,
      "policy name 'a\nb' is empty, too long or contains invalid characters",
      InvalidNameError,
      'InvalidName',
    ],
    [400, "identity '' is empty, too long or contains invalid characters", InvalidNameError, 'InvalidName'],
    [400, "listing pattern 'x-' is empty, too long or is invalid", InvalidPatternError, 'InvalidPattern'],
    [400, 'invalid request body', InvalidBodyError, 'InvalidBody'],
    [400, 'invalid import key request body', InvalidBodyError, 'InvalidBody'],
    [400, 'key already exists', KeyExistsError, 'KeyExists'],
    [400, 'key does already exist', KeyExistsError, 'KeyExists'],
    [404, 'key does not exist', KeyNotFoundError, 'KeyNotFound'],
    [400, 'decryption failed: ciphertext is not authentic', NotAuthenticError, 'NotAuthentic'],
    [406, "algorithm 'x' is not supported", UnsupportedAlgorithmError, 'UnsupportedAlgorithm'],
    [
      406,
      "algorithm 'ChaCha20' not supported by FIPS 140-2",
      UnsupportedAlgorithmError,
      'UnsupportedAlgorithm',
    ],
    [406, "invalid key size for 'AES256'", InvalidKeySizeError, 'InvalidKeySize'],
    [409, 'key does not support HMAC', NoHmacError, 'NoHmac'],
    [404, 'policy does not exist', PolicyNotFoundError, 'PolicyNotFound'],
    [404, 'identity does not exist', IdentityNotFoundError, 'IdentityNotFound'],
    [502, 'failed to create key', StoreUnavailableError, 'StoreUnavailable'],
    [502, 'failed to read key', StoreUnavailableError, 'StoreUnavailable'],
    [502, 'failed to delete key', StoreUnavailableError, 'StoreUnavailable'],
    [502, 'failed to list keys', StoreUnavailableError, 'StoreUnavailable'],
    [502, 'key store is unavailable', StoreUnavailableError, 'StoreUnavailable'],
    [504, 'key store is not reachable', StoreUnreachableError, 'StoreUnreachable'],
    [
      503,
      'key is erased, but its record is still being removed from disk',
      ErasePendingError,
      'ErasePending',
    ],
    [503, 'server is shutting down', ShuttingDownError, 'ShuttingDown'],
  ])('%i %j', (status, message, type, code) => {
    const error = apiErrorOf(status, message)
    expect(error).toBeInstanceOf(type)
    expect(error).toMatchObject({ name: type.name, status, message, code })
    expect(apiErrorOf(status + 1, message).constructor).toBe(KesApiError)
    expect(apiErrorOf(status, `${message}.`).constructor).toBe(KesApiError)
  })
})

describe('a code says more than status and message', () => {
  test('a disabled key is told from a policy, and is both to those who ask for less', () => {
    const error = apiErrorOf(403, NOT_ALLOWED, 'KeyDisabled')
    expect(error).toBeInstanceOf(KeyDisabledError)
    expect(error).toBeInstanceOf(NotAllowedError)
    expect(error.name).toBe('KeyDisabledError')
    expect(apiErrorOf(403, NOT_ALLOWED)).not.toBeInstanceOf(KeyDisabledError)
  })

  test('a reserved name is told from an existing key, and is both', () => {
    const error = apiErrorOf(400, 'key already exists', 'KeyNameReserved')
    expect(error).toBeInstanceOf(KeyNameReservedError)
    expect(error).toBeInstanceOf(KeyExistsError)
  })

  test('a damaged record is told from a store that failed', () => {
    expect(apiErrorOf(502, 'failed to read key', 'RecordDamaged')).toBeInstanceOf(RecordDamagedError)
    expect(apiErrorOf(502, 'failed to read key')).not.toBeInstanceOf(RecordDamagedError)
  })

  test('one that the client does not know stays, and status and message decide', () => {
    const error = apiErrorOf(403, NOT_ALLOWED, 'KeyPendingDeletion')
    expect(error).toBeInstanceOf(NotAllowedError)
    expect(error.code).toBe('KeyPendingDeletion')
  })
})

describe('the body of a refusal', () => {
  test("is read as the server writes it, with a line end before the object's own", () => {
    const body = Buffer.from('{"message":"not authorized: insufficient permissions","code":"KeyDisabled"\n}')
    expect(decodeApiError(403, 'application/json', body)).toBeInstanceOf(KeyDisabledError)
  })

  test('may have the message in `error`, which goes first', () => {
    const body = Buffer.from('{"message":"x","error":"key does not exist"}')
    expect(decodeApiError(404, 'application/json; charset=utf-8', body)).toBeInstanceOf(KeyNotFoundError)
  })

  test('that is plain text is the message', () => {
    const error = decodeApiError(404, 'text/plain; charset=utf-8', Buffer.from('404 page not found\n'))
    expect(error).toBeInstanceOf(NotFoundError)
  })

  test.each([
    ['not JSON', '{"message":'],
    ['a list', '["x"]'],
    ['null', 'null'],
    ['without a message', '{"code":7,"message":8}'],
  ])('that is %s becomes the message itself', (_, text) => {
    expect(decodeApiError(500, 'application/json', Buffer.from(text))).toMatchObject({ message: text })
  })

  test('that is empty is replaced by the meaning of the status', () => {
    expect(decodeApiError(503, undefined, Buffer.alloc(0)).message).toBe('Service Unavailable')
    expect(decodeApiError(599, undefined, Buffer.alloc(0)).message).toBe('HTTP status 599')
  })

  test('that is a page is shortened', () => {
    expect(decodeApiError(500, 'text/html', Buffer.alloc(5000, 'x')).message).toHaveLength(201)
  })
})
