/** What `kes server` prints when it is up. Labels and columns are KES's, because scripts read them. */
import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import { formatAddress } from '../config/address.ts'
import { formatLogLevel, INFO } from '../config/log-level.ts'
import type { KesServer } from '../server.ts'
import { ABOUT } from './about.ts'

const VALUE_COLUMN = 34
const SECOND_COLUMN = 24

export interface BannerOptions {
  /** In development mode alone, where it is nowhere else to be read. */
  readonly apiKey?: string
}

export function banner(server: KesServer, { apiKey }: BannerOptions = {}): string {
  const { config } = server
  const lines = [
    ...ABOUT,
    [],
    ['KMS', server.storeLabel],
    ...addressesOf(server).map((url, index) => [index === 0 ? 'API' : '', `· ${url}`]),
    ...(server.consoleUrl === undefined ? [] : [['Console', `· ${server.consoleUrl}`]]),
    [],
    ...(apiKey === undefined ? [] : [['API Key', apiKey]]),
    ['Admin', config.adminIsDisabled ? '<disabled>' : config.adminIdentity],
    ['Logs', `error=stderr level=${formatLogLevel(config.log.errorLevel)}`],
  ]
  const text = lines.map(([label = '', value = '', extra]) => {
    if (label === '' && value === '') return ''
    const left = label.padEnd(VALUE_COLUMN)
    return extra === undefined ? `${left}${value}` : `${left}${value.padEnd(SECOND_COLUMN - 1)} ${extra}`
  })
  if (config.log.auditLevel <= INFO) {
    text.push(`            audit=stdout level=${formatLogLevel(config.log.auditLevel)}`)
  }
  if (config.log.auditFile !== undefined) text.push(`            audit=${config.log.auditFile.path}`)
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
