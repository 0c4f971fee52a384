/** `kes server --dev`. Apart from `run-server.ts`, because a server from a config needs no client library. */
import { generateKeyPairSync } from 'node:crypto'
import { networkInterfaces } from 'node:os'
import { ApiKey, makeCertificate } from '@latchkey/kms-client'
import { type Address, parseAddress } from '../config/address.ts'
import { devConfig } from '../config/dev-config.ts'
import { parseIdentity } from '../names.ts'
import type { TlsCredentials } from '../tls/credentials.ts'
import { banner } from './banner.ts'
import { runServer } from './run-server.ts'

const DEV_CERTIFICATE_DAYS = 90
const DAY_MS = 86_400_000

/**
 * A server in memory with a certificate and an admin API key of its own.
 *
 * @returns the exit code.
 */
export async function runDevServer(addr: string | undefined): Promise<number> {
  const apiKey = ApiKey.generate()
  const config = devConfig(
    parseIdentity(apiKey.identity),
    addr === undefined ? undefined : parseAddress(addr),
  )
  const tls = { made: makeDevCredentials(config.address) }
  return runServer({ ...config, tls }, (server) => banner(server, { apiKey: apiKey.toString() }))
}

/** For the addresses that the server listens on, and for `localhost`. */
function makeDevCredentials({ host }: Address): TlsCredentials {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const isUnspecified = host === '' || host === '0.0.0.0' || host === '::'
  const interfaces = Object.values(networkInterfaces()).flatMap((found) => found ?? [])
  const leaf = makeCertificate({
    subjectCommonName: 'localhost',
    publicKey,
    issuer: { privateKey },
    dnsNames: ['localhost'],
    ipAddresses: isUnspecified ? interfaces.map(({ address }) => address) : [host],
    extendedKeyUsage: ['serverAuth'],
    validity: { notBefore: new Date(), notAfter: new Date(Date.now() + DEV_CERTIFICATE_DAYS * DAY_MS) },
  })
  return {
    keyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    certPem: leaf.toString(),
  }
}
