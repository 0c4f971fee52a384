import { expect, test } from 'vitest'
import { apiErrorOf } from '../api-error.ts'
import { KesConnectionError, KesProtocolError, KesTimeoutError } from '../errors.ts'
import { judge } from './verdict.ts'

const broken = (code: string, isUnsent = false) =>
  new KesConnectionError('https://a', 'problem', { cause: Object.assign(new Error(), { code }), isUnsent })

test.each([
  // error, may have acted, try again, is out
  [broken('ECONNREFUSED', true), false, 'anywhere', true],
  [broken('EHOSTUNREACH', true), false, 'anywhere', true],
  [broken('CERT_HAS_EXPIRED', true), false, 'elsewhere', true],
  [broken('ENOTFOUND', true), false, 'elsewhere', true],
  [broken('ECONNRESET'), true, 'anywhere', true],
  [new KesTimeoutError('https://a', 1), true, 'anywhere', true],
  [new KesProtocolError('reply'), true, 'elsewhere', false],
  [apiErrorOf(503, 'server is shutting down', 'ShuttingDown'), false, 'anywhere', true],
  [apiErrorOf(502, '<html>Bad Gateway</html>'), true, 'anywhere', true],
  [apiErrorOf(503, 'Service Unavailable'), true, 'anywhere', true],
  [apiErrorOf(504, 'Gateway Timeout'), true, 'anywhere', true],
  [apiErrorOf(429, 'slow down'), false, 'anywhere', false],
  [apiErrorOf(408, 'too slow', 'RequestTimeout'), false, 'anywhere', false],
  [apiErrorOf(500, 'internal server error'), true, 'elsewhere', false],
  [apiErrorOf(500, 'failed to encrypt plaintext'), true, 'elsewhere', false],
  [apiErrorOf(502, 'failed to read key'), true, 'elsewhere', false],
  [apiErrorOf(502, 'failed to read key', 'RecordDamaged'), true, 'elsewhere', false],
  [apiErrorOf(504, 'key store is not reachable'), true, 'elsewhere', false],
  [apiErrorOf(501, 'not implemented'), true, 'nowhere', false],
  [apiErrorOf(503, 'key is erased, but …', 'ErasePending'), true, 'nowhere', false],
  [apiErrorOf(404, 'key does not exist'), true, 'nowhere', false],
  [apiErrorOf(403, 'not authorized: insufficient permissions', 'KeyDisabled'), true, 'nowhere', false],
  [new Error('an abort'), true, 'nowhere', false],
] as const)('%s', (error, mayHaveActed, retry, isOutage) => {
  expect(judge(error)).toEqual({ mayHaveActed, retry, isOutage })
})
