import { describe, expect, test } from 'vitest'
import { parseEndpoint, serverNameOf } from './endpoint.ts'

describe('an endpoint', () => {
  test.each([
    '',
    ':7373',
    'https://',
    'http://localhost:7373',
    'ftp://localhost',
    'localhost:99999',
    'localhost:7373/v1',
    'localhost:7373?a',
    'localhost:7373#a',
    'user@localhost:7373',
    'https://user:password@localhost',
    '::1',
    'local host',
  ])('is not %j', (text) => {
    expect(() => parseEndpoint(text)).toThrow(TypeError)
  })

  test.each([
    ['https://kes.example:7373', 'https://kes.example:7373', 'kes.example', 7373],
    ['https://kes.example:7373/', 'https://kes.example:7373', 'kes.example', 7373],
    ['kes.example:7373', 'https://kes.example:7373', 'kes.example', 7373],
    ['kes.example', 'https://kes.example', 'kes.example', 443],
    ['127.0.0.1:7373', 'https://127.0.0.1:7373', '127.0.0.1', 7373],
    ['[::1]:7373', 'https://[::1]:7373', '::1', 7373],
  ])('%j is read', (text, origin, host, port) => {
    expect(parseEndpoint(text)).toEqual({ origin, host, port })
  })

  test('has a server name only if it is no IP address', () => {
    expect(serverNameOf(parseEndpoint('localhost:1'))).toBe('localhost')
    expect(serverNameOf(parseEndpoint('127.0.0.1:1'))).toBeUndefined()
    expect(serverNameOf(parseEndpoint('[::1]:1'))).toBeUndefined()
  })
})
