import type { NetworkInterfaceInfo } from 'node:os'
import { expect, test } from 'vitest'
import { nearnessOf } from './nearness.ts'

const interfaces: NetworkInterfaceInfo[] = [
  {
    address: '10.1.2.3',
    netmask: '255.255.0.0',
    family: 'IPv4',
    mac: '00:00:00:00:00:00',
    internal: false,
    cidr: '10.1.2.3/16',
  },
  {
    address: 'fd00::3',
    netmask: 'ffff:ffff:ffff:ffff::',
    family: 'IPv6',
    mac: '00:00:00:00:00:00',
    internal: false,
    scopeid: 0,
    cidr: 'fd00::3/64',
  },
]

test.each([
  ['localhost', 0],
  ['127.0.0.1', 0],
  ['127.9.9.9', 0],
  ['::1', 0],
  ['10.1.2.3', 0],
  ['fd00::3', 0],
  ['10.1.99.1', 1],
  ['fd00::ffff', 1],
  ['10.2.0.1', 2],
  ['fd00:0:0:1::1', 2],
  ['kes.example', 2],
] as const)('%s is %i networks away', (host, nearness) => {
  expect(nearnessOf(host, interfaces)).toBe(nearness)
})
