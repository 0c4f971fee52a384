/** How near an endpoint is, by its address alone: names are not looked up. */
import { BlockList, isIP, isIPv6 } from 'node:net'
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os'

/** This host, a network that it is part of, or anywhere else. */
export type Nearness = 0 | 1 | 2

/** @param host - a DNS name, or an IP address without brackets. */
export function nearnessOf(
  host: string,
  interfaces: readonly NetworkInterfaceInfo[] = Object.values(networkInterfaces()).flatMap(
    (each) => each ?? [],
  ),
): Nearness {
  if (host === 'localhost') return 0
  if (isIP(host) === 0) return 2
  const family = isIPv6(host) ? 'ipv6' : 'ipv4'
  if (LOOPBACK.check(host, family) || interfaces.some(({ address }) => address === host)) return 0
  const local = new BlockList()
  for (const { address, cidr } of interfaces) {
    const bits = Number(cidr?.split('/')[1])
    if (Number.isInteger(bits)) local.addSubnet(address, bits, isIPv6(address) ? 'ipv6' : 'ipv4')
  }
  return local.check(host, family) ? 1 : 2
}

const LOOPBACK = new BlockList()
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4')
LOOPBACK.addAddress('::1', 'ipv6')
