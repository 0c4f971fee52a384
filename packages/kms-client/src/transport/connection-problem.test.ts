import { expect, test } from 'vitest'
import { describeConnectionProblem } from './connection-problem.ts'

function coded(code: string): Error {
  return Object.assign(new Error('4053E69A757F0000:error:0A00045C:SSL routines'), { code })
}

test.each([
  ['ECONNREFUSED', 'connection refused'],
  ['ENOTFOUND', 'host name is unknown'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'unknown authority'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'unknown authority'],
  ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'requires a client certificate'],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', "refused the client's certificate"],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'something else than TLS'],
  ['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'no TLS version'],
])('%s is put in words of its own', (code, words) => {
  expect(describeConnectionProblem(coded(code), true)).toContain(words)
  expect(describeConnectionProblem(coded(code), true)).not.toContain('routines')
})

test('a handshake that fails means a missing certificate only if there is none', () => {
  const error = coded('ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE')
  expect(describeConnectionProblem(error, false)).toContain('requires a client certificate')
  expect(describeConnectionProblem(error, true)).not.toContain('requires a client certificate')
})

test('a connection that breaks may mean a missing certificate only if there is none', () => {
  expect(describeConnectionProblem(coded('ECONNRESET'), false)).toContain('perhaps the server requires')
  expect(describeConnectionProblem(coded('ECONNRESET'), true)).not.toContain('perhaps')
})

test('an error without a known code keeps its message', () => {
  expect(describeConnectionProblem(new Error('odd'), true)).toBe('the connection failed: odd')
  expect(describeConnectionProblem('odd', true)).toBe('the connection failed')
})
