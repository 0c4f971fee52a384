/** What `kes server` prints when it is up. Labels and columns are KES's, because scripts read them. */
import { isIPv4 } from 'node:net'
import { arch, networkInterfaces, platform } from 'node:os'
import { formatAddress } from '../config/address.ts'
import { formatLogLevel, INFO } from '../config/log-level.ts'
import type { KesServer } from '../server.ts'
import { VERSION } from '../version.ts'

const VALUE_COLUMN = 34
const SECOND_COLUMN = 24

export interface BannerOptions {
  /** In development mode alone, where it is nowhere else to be read. */
  readonly apiKey?: string
}

export function banner(server: KesServer, { apiKey }: BannerOptions = {}): string {
  const { config } = server
  const lines = [
    ['Version', VERSION.version, `commit=${VERSION.commit}`],
    ['Runtime', `node ${process.version} ${platform()}/${arch()}`, 'compiler=v8'],
    ['License', 'Apache-2.0', 'https://www.apache.org/licenses/LICENSE-2.0'],
    ['Copyright', 'The Latchkey authors'],
    [],
    ['KMS', server.storeLabel],
    ...addressesOf(server).map((url, index) => [index === 0 ? 'API' : '', `· ${url}`]),
    [],
    ...(apiKey === undefined ? [] : [['API Key', apiKey]]),
    ['Admin', config.adminIsDisabled ? '<disabled>' : config.adminIdentity],
    ['Logs', `error=stderr level=${formatLogLevel(config.log.errorLevel)}`],
  ]
  const text = lines.map(([label = '', value = '', extra]) => {
    if (label === '' && value === '') return ''
    const left = `${label.padEnd(VALUE_COLUMN)}${value}`
    return extra === undefined ? left : `${left.padEnd(VALUE_COLUMN + SECOND_COLUMN)}${extra}`
  })
  if (config.log.auditLevel <= INFO) {
    text.push(`            audit=stdout level=${formatLogLevel(config.log.auditLevel)}`)
  }
  return `${text.join('\n')}\n\n=> Server is up and running...\n\n`
}

/** One address, or those of every interface if the server listens on all; IPv4 where there is one. */
function addressesOf({ address }: KesServer): string[] {
  const isUnspecified = address.host === '0.0.0.0' || address.host === '::'
  if (!isUnspecified) return [`https://${formatAddress(address)}`]
  const all = Object.values(networkInterfaces()).flatMap((found) => (found ?? []).map((each) => each.address))
  const ipv4 = all.filter((host) => isIPv4(host))
  const hosts = ipv4.length > 0 ? ipv4 : all
  return hosts.map((host) => `https://${formatAddress({ host, port: address.port })}`)
}
