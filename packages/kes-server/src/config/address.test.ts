import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AddressError, formatAddress, parseAddress } from './address.ts'

test.each([
  ['foo', 'address foo: missing port in address'],
  ['', 'address : missing port in address'],
  ['[::1]', 'address [::1]: missing port in address'],
  ['::1:7373', 'address ::1:7373: too many colons in address'],
  ['[::1:7373', "address [::1:7373: missing ']' in address"],
  ['localhost:7373', "'localhost' is not a valid IP address"],
  ['256.0.0.1:7373', "'256.0.0.1' is not a valid IP address"],
  ['0.0.0.0:65536', 'listen tcp: address 65536: invalid port'],
  ['0.0.0.0:99999', 'listen tcp: address 99999: invalid port'],
  ['0.0.0.0:-1', 'listen tcp: address -1: invalid port'],
  ['0.0.0.0:https', 'listen tcp: address https: invalid port'],
])('%j is refused in the words of KES', (text, message) => {
  expect(() => parseAddress(text)).toThrow(AddressError)
  expect(() => parseAddress(text)).toThrow(message)
})

test.each([
  ['127.0.0.1:27373', { host: '127.0.0.1', port: 27_373 }],
  ['[::1]:65535', { host: '::1', port: 65_535 }],
  [':7373', { host: '', port: 7373 }],
  ['127.0.0.1:', { host: '127.0.0.1', port: 0 }],
])('%s is an address', (text, address) => {
  expect(parseAddress(text)).toEqual(address)
})

test('a printed address reads as the same address', () => {
  const host = fc.oneof(fc.ipV4(), fc.constantFrom('', '::', '::1', 'fe80::1', '2001:db8::7'))
  fc.assert(
    fc.property(host, fc.nat({ max: 65_535 }), (ip, port) => {
      expect(parseAddress(formatAddress({ host: ip, port }))).toEqual({ host: ip, port })
    }),
  )
})
